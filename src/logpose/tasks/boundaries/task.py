"""The task of boundary models: the row of every boundary in every column of a B-scan."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logpose.core.calibration import Group
from logpose.core.errors import InputError
from logpose.tasks.options import (
    BoundaryCalibrateOptions,
    BoundaryEvalOptions,
    BoundaryInspectOptions,
    BoundaryPredictOptions,
)
from logpose.tasks.task import ReportedTask

__all__ = ["BoundaryTask"]

log = logging.getLogger("logpose")


class BoundaryTask(ReportedTask):
    """The row of every boundary in every column of a B-scan."""

    name = "boundaries"
    description = "boundaries in B-scans"
    module = "logpose.tasks.boundaries.report"
    eval_options = BoundaryEvalOptions
    calibrate_options = BoundaryCalibrateOptions
    predict_options = BoundaryPredictOptions
    inspect_options = BoundaryInspectOptions

    def evaluate(self, model: Any, loss: Any, options: BoundaryEvalOptions) -> Any:
        """Predict the boundaries of every labelled scan, and collect them."""
        from logpose.tasks.boundaries.evaluate import evaluate_scans

        scans = _open(model, options)
        evaluation = evaluate_scans(
            model, scans, loss, columns=options.columns, flip_test=options.flip_test, **options.running()
        )
        if evaluation.is_finite() and not evaluation.columns_labelled():
            raise InputError(f"{options.data}: no label in the {options.columns} columns in the middle of any B-scan")
        return evaluation

    def save(self, evaluator: Any, options: BoundaryEvalOptions) -> None:
        """Write the images of scans with predictions and labels."""
        from logpose.report.page import save_image
        from logpose.tasks.boundaries.report import draw_scan

        if options.save_images:
            for i in range(len(evaluator.scans)):
                file = options.save_images / f"{evaluator.scans[i].name}-boundaries.png"
                save_image(draw_scan(evaluator, i), file)

    def errors(self, evaluator: Any, group: Group) -> Any:
        """The errors of every evaluated column's boundaries."""
        return evaluator.errors(group)

    def has_learned(self, evaluator: Any, options: Any) -> bool:  # noqa: ARG002
        """Whether B-scans are among those that the model was trained on."""
        scans = (evaluator.scans[i] for i in range(len(evaluator.scans)))
        return any(scan.fingerprint in evaluator.model.learned_from for scan in scans)

    def opens(self, data: str | Path) -> bool:
        """Whether the data are B-scans: in the Duke layout, or images with CSV files beside them."""
        from logpose.data.oct import holds_scans

        return holds_scans(data)

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Sizes of images, and labelled columns of each boundary."""
        return [
            "  height × width: " + ", ".join(f"{count} of {size}" for size, count in facts["height × width"].items()),
            "  boundary          labelled columns",
            *(f"  {name:16} {columns:17}" for name, columns in facts["labelled columns"].items()),
        ], []


def _open(model: Any, options: BoundaryEvalOptions) -> Any:
    """The scans that a model is evaluated on, checked against it: new to it, those it was trained on, or all."""
    from logpose.data.oct import check_height, open_scans
    from logpose.data.problems import log_problems
    from logpose.tasks.evaluation import check_skeletons

    if options.columns is not None and options.columns < 1:
        raise InputError(f"--columns must be at least 1, got {options.columns}")
    check_height(options.um_per_px, "--um-per-px")
    scans = open_scans(options.data, options.grader or 1, options.um_per_px)
    log_problems(scans)
    check_skeletons(options.checkpoint, model, scans)
    part, count = options.part or "val", len(scans)
    if part != "all":
        wanted = part == "train"
        scans = scans.of([i for i, s in enumerate(scans.scans) if (s.fingerprint in model.learned_from) is wanted])
        if not len(scans):
            others = "none" if wanted else "all"
            hint = "--part all evaluates them all"
            raise InputError(f"{options.data}: of its {count} B-scans the model was trained on {others}; {hint}")
    if part == "all" and (seen := sum(scan.fingerprint in model.learned_from for scan in scans.scans)):
        words = "%s was trained on %d of the %d B-scans measured: these are not held-out data"
        log.warning(words, options.checkpoint, seen, count)
    left = f"; {count - len(scans)} of the training data are left out" if len(scans) < count and part == "val" else ""
    log.info("evaluating %d B-scans of %s%s", len(scans), ", ".join(scans.subjects), left)
    if model.um_per_px and (unknown := sum(scan.um_per_px is None for scan in scans.scans)):
        message = "%d of them have pixels of unknown height: their retina is sought as at %g µm, as in training"
        log.info(message, unknown, model.um_per_px)
    return scans
