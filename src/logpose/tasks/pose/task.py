"""The task of pose models: the joints of a person in a crop of an image."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logpose.tasks.pose.options import PoseEvalOptions, PoseInspectOptions, PosePredictOptions
from logpose.tasks.task import Predictions, Task

__all__ = ["PoseTask"]

log = logging.getLogger("logpose")


class PoseTask(Task):
    """Joints of a person in a crop of an image, in two dimensions or three."""

    name = "pose"
    description = "a person's joints in a crop"
    eval_options = PoseEvalOptions
    predict_options = PosePredictOptions
    inspect_options = PoseInspectOptions

    def evaluate(self, model: Any, loss: Any, options: PoseEvalOptions) -> Any:
        """Predict every labelled person, or in every detected box, and collect the predictions."""
        from logpose.data.detections import DetectedBoxes
        from logpose.data.problems import log_problems
        from logpose.tasks.pose.evaluate import evaluate
        from logpose.tasks.pose.people import labelled_people

        people = labelled_people(model, options)
        detected = DetectedBoxes(people, options.boxes) if options.boxes else None
        if detected is not None:
            log_problems(detected)
            if detected.passed_over:
                over = detected.passed_over
                log.warning("%s: %d boxes on other images or of other categories left out", options.boxes, over)
        return evaluate(
            model,
            people if detected is None else detected,
            loss,
            flip_test=options.flip_test,
            nms=detected is not None,
            scoring=options.score,
            batch_size=options.batch_size or 64,
            workers=options.workers,
            device=options.device,
            show_progress=True,
        )

    def save(self, evaluator: Any, options: PoseEvalOptions) -> None:
        """Write the COCO results file."""
        from logpose.report.results import write_json

        if options.save_json:
            write_json(options.save_json, evaluator.results())

    def page(self, evaluator: Any, figures: Mapping[str, float]) -> Any:  # noqa: ARG002
        """See `Task`."""
        from logpose.tasks.pose.report import page_parts

        return page_parts(evaluator)

    def predict(self, model: Any, options: PosePredictOptions) -> Predictions:
        """See `Task`."""
        from logpose.tasks.pose.images import predict_in_crops

        return predict_in_crops(model, options)

    def opens(self, data: Path) -> bool:
        """Whether the data are annotations of people in images: JSON, or a MATLAB file of joints."""
        from logpose.tasks.pose.people import holds_people

        return holds_people(data)

    def inspect(self, options: PoseInspectOptions) -> dict[str, dict[str, Any]]:
        """See `Task`."""
        from logpose.tasks.pose.people import inspect_people

        return inspect_people(options)

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """See `Task`."""
        from logpose.tasks.pose.people import inspection_text

        return inspection_text(facts)
