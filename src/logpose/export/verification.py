"""Proof that an exported model predicts what its checkpoint predicts: both see the same labelled inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.messages import only_errors
from logpose.core.structures import Prediction
from logpose.export.graph import finite
from logpose.export.target import Precision
from logpose.tasks.evaluation import first_rows
from logpose.tasks.task import EvalOptions, Task

__all__ = ["LIMITS", "Limits", "Observed", "Verified", "data_of", "observe", "verify"]


@dataclass(frozen=True)
class Limits:
    """How much a prediction may change; infinite where nothing is required.

    Attributes:
        moved: of keypoints, in the model's unit: pixels of the crop, millimetres, rows of the window.
        sigma: of standard deviations, relative.
        pck: loss of PCK, a share.
        coverage: change of the coverage of regions, a share.
        error: rise of the mean error, relative, where there is no PCK.
        others: change of confidences, probabilities and correlations.
    """

    moved: float = math.inf
    sigma: float = math.inf
    pck: float = math.inf
    coverage: float = math.inf
    error: float = math.inf
    others: float = math.inf


LIMITS: dict[Precision, Limits] = {
    "single": Limits(moved=0.01, sigma=0.001, others=0.001),
    "half": Limits(moved=0.3),
    "int8": Limits(pck=0.01, coverage=0.02, error=0.05),
}
"""By the precision of weights."""
BATCH = 50
IN_STEPS = 0.999
"""Share of the joints that has to be within the limit where positions are those of maxima: at a tie of two cells the
last digit decides."""
OPENED_BY = ("category", "depth")
"""Fields of a recipe without which other data of the same kind cannot be opened."""
PATHS = ("keypoints", "detected")
"""Of these, files."""
NOT_OF_DATA = {"data", "images", "flip_test", "batch_size", "workers", "device", "report"}
"""Fields that recipes and evaluations share and that do not belong to the data."""
ERRORS = {"mpjpe", "mae_um", "mae_px"}
"""Mean errors of models without PCK."""
SHOWN = ("pck@0.05", "pck@0.1", "pck@0.2", "pck_torso@0.1", "pck_torso@0.2", "mpjpe", "mae_um", "mae_px", "error_px")


@dataclass(frozen=True)
class Observed:
    """What a model predicts of labelled data."""

    evaluator: Any
    inputs: list[np.ndarray]
    """The batches."""
    predictions: list[Prediction]
    """On these."""

    @cached_property
    def figures(self) -> dict[str, float]:
        """Those that take no long time."""
        figures: dict[str, float] = self.evaluator.compute(costly=False)
        return figures


def observe(task: Task, model: Any, loss: Any, options: EvalOptions, count: int) -> Observed:
    """Let a model predict the first rows of labelled data.

    Args:
        task: of the model.
        model: a checkpoint's, or an exported one.
        loss: the density that the checkpoint's has learned; None if it is not kept.
        options: of the task's `logpose eval`; `device` and `workers` are set.
        count: of the rows (people, windows, …).

    Raises:
        InputError: if the data are not what they should be, or there are none.
    """
    inputs: list[np.ndarray] = []
    predictions: list[Prediction] = []
    inner = model.predict

    def predict(batch: Any, flip_test: bool | None = False) -> Prediction:
        found: Prediction = inner(batch, flip_test)
        inputs.append(batch.inputs.cpu().numpy())
        predictions.append(found)
        return found

    without: dict[str, Any] = {"flip_test": False} if hasattr(options, "flip_test") else {}
    plain = replace(options, device="cpu", workers=0, batch_size=BATCH, **without)
    model.predict = predict
    try:
        with only_errors("logpose"), first_rows(count):  # messages about the data are those of `eval`
            evaluator = task.evaluate(model, loss, plain)
    finally:
        del model.predict
    if not predictions:
        raise InputError(f"{options.data}: nobody to verify with")
    return Observed(evaluator, inputs, predictions)


@dataclass(frozen=True)
class Verified:
    """How an exported model's predictions differ from its checkpoint's."""

    unit: str
    rows: int
    moved: Float[np.ndarray, "N"]
    """Distances of keypoints, in `unit`."""
    sigma: Float[np.ndarray, "M"]
    """Changes of standard deviations, relative; empty of models without."""
    others: float
    """The largest change of a confidence, a probability or a correlation."""
    before: dict[str, float]
    after: dict[str, float]
    in_steps: bool = False
    """Whether positions are those of maxima of maps."""

    def excess(self, limits: Limits) -> list[str]:
        """What is above a limit, in words; nothing if all is well."""
        wrong = []
        moved = float(np.quantile(self.moved, IN_STEPS) if self.in_steps else self.moved.max())
        if not moved <= limits.moved:
            wrong.append(f"keypoints move by up to {moved:.3g} {self.unit}, limit {limits.moved:g}")
        if len(self.sigma) and not self.sigma.max() <= limits.sigma:
            wrong.append(f"sigma changes by up to {self.sigma.max():.2%}, limit {limits.sigma:.2%}")
        if not self.others <= limits.others:
            wrong.append(
                f"a confidence, probability or correlation changes by {self.others:.2g}, limit {limits.others:g}"
            )
        measured = {name: value for name, value in self.before.items() if math.isfinite(value)}
        if not any(name.startswith("pck") for name in measured):
            for name in ERRORS & measured.keys():
                rise = self.after.get(name, math.nan) / measured[name] - 1
                if not rise <= limits.error:
                    wrong.append(f"{name} rises by {rise:.1%}, limit {limits.error:.0%}")
        for name, value in measured.items():
            change = self.after.get(name, math.nan) - value
            if name.startswith("pck") and not change >= -limits.pck:
                wrong.append(f"{name} falls by {-change:.3f}, limit {limits.pck:g}")
            if name.startswith("coverage@") and "/" not in name and not abs(change) <= limits.coverage:
                wrong.append(f"{name} changes by {change:+.3f}, limit {limits.coverage:g}")
        return wrong

    def figures(self) -> dict[str, Any]:
        """Plain values."""
        sigma = (self.sigma.max(), np.median(self.sigma)) if len(self.sigma) else (None, None)
        both = {name: [value, self.after[name]] for name, value in self.before.items() if name in self.after}
        found: dict[str, Any] = finite(
            {
                "rows": self.rows,
                f"moved_{self.unit}_largest": float(self.moved.max()),
                f"moved_{self.unit}_median": float(np.median(self.moved)),
                "sigma_change_largest": None if sigma[0] is None else float(sigma[0]),
                "sigma_change_median": None if sigma[1] is None else float(sigma[1]),
                "checkpoint_and_export": both,
            }
        )
        return found

    def text(self) -> list[str]:
        """Lines for a person to read."""
        lines = [
            f"  keypoints move by {np.median(self.moved):.2g} {self.unit} (median), {self.moved.max():.2g} (largest)"
        ]
        if len(self.sigma):
            lines.append(
                f"  sigma changes by {np.median(self.sigma):.2g} (median), {self.sigma.max():.2g} (largest), relative"
            )
        kept = [n for n in self.before if n in SHOWN or n == "nll" or (n.startswith("coverage@") and "/" not in n)]
        lines += [
            f"  {name:16} {self.before[name]:9.4f} -> {self.after[name]:9.4f}" for name in kept if name in self.after
        ]
        return lines


def verify(before: Observed, after: Observed, model: Any) -> Verified:
    """Compare what a checkpoint and an exported model predict of the same rows.

    Args:
        before: of the checkpoint.
        after: of the exported model.
        model: the checkpoint's.
    """
    moved, sigma, others = [], [], [0.0]
    for one, other in zip(before.predictions, after.predictions, strict=True):
        first, second = one.mean.float(), other.mean.float()
        moved.append(model.distance(second, first).flatten())
        sigma.append((other.std / one.std - 1).abs()[one.std.isfinite() & (one.std > 0)])
        pairs = [(one.confidence, other.confidence)]
        if one.visibility is not None and other.visibility is not None:
            pairs.append((one.visibility.sigmoid(), other.visibility.sigmoid()))
        if one.correlation is not None:
            pairs.append((one.error_correlation, other.error_correlation))
        others += [float((second - first).abs().max()) for first, second in pairs]
    return Verified(
        model.unit,
        sum(map(len, before.inputs)),
        torch.cat(moved).double().numpy(),
        torch.cat(sigma).double().numpy(),
        float(np.max(others)),
        before.figures,
        after.figures,
        model.output_type == "heatmaps",
    )


def data_of(
    task: Task,
    checkpoint: str | Path,
    recipe: dict[str, Any],
    data: str | Path | None,
    images: str | Path | None = None,
    flag: str = "--verify DATA, or --unverified",
) -> EvalOptions:
    """The options of the evaluation of given data, or of those that a run was validated on.

    Args:
        task: of the model.
        checkpoint: the model's.
        recipe: plain values of the recipe of its training; empty if it is not known.
        data: labelled data; None: those of the recipe, opened as in training.
        images: folder of the images of given data, if not beside them.
        flag: what would give data, for the message.

    Raises:
        InputError: if there are none.
    """
    names = task.eval_options.__dataclass_fields__.keys()
    place, opened = data, {*OPENED_BY}
    if place is None:
        place, opened = recipe.get("val_data") or recipe.get("data"), names & recipe.keys() - NOT_OF_DATA
        images = recipe.get("val_images") if recipe.get("val_data") else recipe.get("images")
    if place is None or not Path(place).exists():
        why = f"{place} is not there" if place else "the checkpoint does not name its data"
        raise InputError(f"{checkpoint}: no labelled data, {why}: give {flag}")
    more = {name: _option(name, recipe[name]) for name in opened if name in names and recipe.get(name)}
    more |= {"images": Path(images)} if images and "images" in names else {}
    return task.eval_options(checkpoint=Path(checkpoint), data=Path(place), **more)


def _option(name: str, value: Any) -> Any:
    """A recipe's plain value as the option of that name takes it."""
    return Path(value) if name in PATHS else tuple(value) if isinstance(value, list) else value
