"""The task of detection models: every person in an image, with joints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logpose.tasks.detection.options import DetectionEvalOptions, DetectionInspectOptions, DetectionPredictOptions
from logpose.tasks.task import Predictions, Task

__all__ = ["DetectionTask"]


class DetectionTask(Task):
    """Every person in an image, with joints: box and pose by one model."""

    name = "detection"
    description = "every person in an image, with joints"
    eval_options = DetectionEvalOptions
    predict_options = DetectionPredictOptions
    inspect_options = DetectionInspectOptions

    def evaluate(self, model: Any, loss: Any, options: DetectionEvalOptions) -> Any:
        """Detect the people of every image, and collect the detections."""
        from logpose.data.image_sets import whole_images
        from logpose.tasks.detection.evaluate import evaluate_detector
        from logpose.tasks.pose.people import labelled_people

        people = labelled_people(model, options)
        evaluation = evaluate_detector(
            model,
            whole_images(people),
            loss,
            scoring=options.score,
            batch_size=options.batch_size or 8,
            workers=options.workers,
            device=options.device,
            show_progress=True,
        )
        evaluation.category_id = getattr(people, "category", 1)
        return evaluation

    def save(self, evaluator: Any, options: DetectionEvalOptions) -> None:
        """Write the COCO results file."""
        from logpose.report.results import write_json

        if options.save_json:
            write_json(options.save_json, evaluator.results())

    def page(self, evaluator: Any, figures: Mapping[str, float]) -> Any:  # noqa: ARG002
        """See `Task`."""
        from logpose.tasks.detection.report import page_parts

        return page_parts(evaluator)

    def predict(self, model: Any, options: DetectionPredictOptions) -> Predictions:
        """See `Task`."""
        from logpose.tasks.detection.images import predict_in_images

        return predict_in_images(model, options)

    def opens(self, data: Path) -> bool:  # noqa: ARG002
        """False: labelled people are opened by the pose task; `--task detection` is given where these are meant."""
        return False

    def inspect(self, options: DetectionInspectOptions) -> dict[str, dict[str, Any]]:
        """As the pose task: the annotations are the same."""
        from logpose.tasks.pose.people import inspect_people

        return inspect_people(options)

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """As the pose task."""
        from logpose.tasks.pose.people import inspection_text

        return inspection_text(facts)
