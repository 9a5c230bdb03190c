"""The task of wrappers: how far off the keypoints of another program are."""

from __future__ import annotations

from typing import Any

from logpose.tasks.options import (
    PeopleInspectOptions,
    WrappingCalibrateOptions,
    WrappingEvalOptions,
    WrappingPredictOptions,
)
from logpose.tasks.pose.task import PoseTask

__all__ = ["WrappingTask"]


class WrappingTask(PoseTask):
    """Standard deviations of keypoints that a program predicted, from its predictions alone."""

    name = "wrapping"
    description = "the uncertainty of a program's keypoints"
    module = "logpose.tasks.wrapping.report"
    eval_options = WrappingEvalOptions  # type: ignore[assignment]
    calibrate_options = WrappingCalibrateOptions
    predict_options = WrappingPredictOptions  # type: ignore[assignment]
    inspect_options = PeopleInspectOptions

    def evaluate(self, model: Any, loss: Any, options: Any) -> Any:
        """Match predictions with labels, and collect how far off they are by the wrapper."""
        from logpose.tasks.wrapping.evaluate import evaluate

        return evaluate(model, loss, options)

    def opens(self, data: Any) -> bool:  # noqa: ARG002
        """Labels alone are the data of pose models."""
        return False
