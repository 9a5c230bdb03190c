"""`logpose predict` on images by detection models."""

from __future__ import annotations

from logpose.models import Detector
from logpose.tasks.detection.options import DetectionPredictOptions
from logpose.tasks.detection.predict import Finder
from logpose.tasks.pose.images import ImageInputs, say_nobody
from logpose.tasks.task import Predictions

__all__ = ["predict_in_images"]


def predict_in_images(model: Detector, options: DetectionPredictOptions) -> Predictions:
    """Predictions of a detection model.

    Args:
        model: the model.
        options: of `logpose predict`.

    Raises:
        InputError: if an option or an input is not what it should be, or the model has diverged.
    """
    finder = Finder(model, options.device, options.batch_size or 8, options.score, options.box_score)
    inputs = ImageInputs(options)
    predictions, found = inputs.predict(lambda left_out: finder.many(inputs.readable, left_out), model)
    say_nobody(found, finder.least_score)
    return predictions
