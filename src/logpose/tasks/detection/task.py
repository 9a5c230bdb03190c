"""The task of detection models: every person in an image, with joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logpose.tasks.options import (
    DetectionCalibrateOptions,
    DetectionEvalOptions,
    DetectionPredictOptions,
    PeopleInspectOptions,
)
from logpose.tasks.pose.task import PoseTask

__all__ = ["DetectionTask"]


class DetectionTask(PoseTask):
    """Every person in an image, with joints: box and pose by one model. Labelled data are those of the pose task."""

    name = "detection"
    description = "every person in an image, with joints"
    module = "logpose.tasks.detection.report"
    eval_options = DetectionEvalOptions
    calibrate_options = DetectionCalibrateOptions
    predict_options = DetectionPredictOptions
    inspect_options = PeopleInspectOptions

    def evaluate(self, model: Any, loss: Any, options: DetectionEvalOptions) -> Any:
        """Detect the people of every image, and collect the detections."""
        from logpose.data.image_sets import whole_images
        from logpose.tasks.detection.evaluate import evaluate_detector
        from logpose.tasks.pose.evaluate import labelled_people
        from logpose.training.learned_images import report_learned

        people = labelled_people(model, options)
        evaluation = evaluate_detector(model, whole_images(people), loss, scoring=options.score, **options.running())
        evaluation.category_id = getattr(people, "category", 1)
        evaluation.images_learned = report_learned(options.checkpoint, model, people)
        return evaluation

    def opens(self, data: str | Path) -> bool:  # noqa: ARG002
        """False: such data are opened by the pose task; `--task detection` is given where these are meant."""
        return False
