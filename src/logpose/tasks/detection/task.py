"""The task of detection models: every person in an image, with joints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logpose.tasks.options import DetectionEvalOptions, DetectionPredictOptions, PeopleInspectOptions
from logpose.tasks.pose.task import PoseTask
from logpose.tasks.task import Predictions

__all__ = ["DetectionTask"]


class DetectionTask(PoseTask):
    """Every person in an image, with joints: box and pose by one model. Labelled data are those of the pose task."""

    name = "detection"
    description = "every person in an image, with joints"
    eval_options = DetectionEvalOptions
    predict_options = DetectionPredictOptions
    inspect_options = PeopleInspectOptions

    def evaluate(self, model: Any, loss: Any, options: DetectionEvalOptions) -> Any:
        """Detect the people of every image, and collect the detections."""
        from logpose.data.image_sets import whole_images
        from logpose.tasks.detection.evaluate import evaluate_detector
        from logpose.tasks.pose.evaluate import labelled_people

        people = labelled_people(model, options)
        evaluation = evaluate_detector(model, whole_images(people), loss, scoring=options.score, **options.running())
        evaluation.category_id = getattr(people, "category", 1)
        return evaluation

    def page(self, evaluator: Any, figures: Mapping[str, float]) -> Any:  # noqa: ARG002
        """A table by joint, and some images."""
        from logpose.tasks.detection.report import page_parts

        return page_parts(evaluator)

    def predict(self, model: Any, options: DetectionPredictOptions) -> Predictions:
        """People in images."""
        from logpose.tasks.detection.report import predict_in_images

        return predict_in_images(model, options)

    def opens(self, data: str | Path) -> bool:  # noqa: ARG002
        """False: such data are opened by the pose task; `--task detection` is given where these are meant."""
        return False
