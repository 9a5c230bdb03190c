"""Proof that an exported model predicts what its checkpoint predicts: both see the same labelled inputs."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.messages import only_errors
from logpose.core.structures import Prediction
from logpose.export.graph import finite
from logpose.export.target import Precision
from logpose.models import Detections, Detector, KeypointWrapper
from logpose.models.detector import box_iou
from logpose.tasks.evaluation import first_rows
from logpose.tasks.task import EvalOptions, Task

__all__ = ["LIMITS", "Limits", "Observed", "Verified", "data_of", "observe", "refuse_nobody", "verify"]


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
        missing: share of the people that a detector finds whom the other does not find.
    """

    moved: float = math.inf
    sigma: float = math.inf
    pck: float = math.inf
    coverage: float = math.inf
    error: float = math.inf
    others: float = math.inf
    missing: float = math.inf


LIMITS: dict[Precision, Limits] = {
    "single": Limits(moved=0.01, sigma=0.001, others=0.001, missing=0.001),
    "half": Limits(moved=0.3, missing=0.02),
    "int8": Limits(pck=0.01, coverage=0.02, error=0.05),
}
"""By the precision of weights."""
BATCH = 50
IN_STEPS = 0.999
"""Share of the joints that has to be within the limit where positions are those of maxima: at a tie of two cells the
last digit decides."""
SAME = 0.9
"""Intersection over union of the boxes of one person."""
PIXELS = "input_px"
"""Unit of detectors' changes."""
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
    predictions: list[Any]
    """On these: of detectors the people of each image."""

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
    predictions: list[Any] = []
    inner = model.predict

    def predict(batch: Any, flip_test: bool | None = False) -> Any:
        found = inner(batch, flip_test)
        inputs.append(batch.inputs.cpu().numpy())
        predictions.append(found)
        return found

    without: dict[str, Any] = {"flip_test": False} if hasattr(options, "flip_test") else {}
    size = None if isinstance(model, Detector) else BATCH
    plain = replace(options, device="cpu", workers=0, batch_size=size, **without)
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
    """Whether positions are those of maxima of maps, or chosen among others."""
    people: int = 0
    """That detectors find."""
    missing: int = 0
    """Of these, whom only one of both finds."""

    def excess(self, limits: Limits) -> list[str]:
        """What is above a limit, in words; nothing if all is well."""
        wrong = []
        moved = float(np.quantile(self.moved, IN_STEPS if self.in_steps else 1)) if len(self.moved) else 0.0
        if not moved <= limits.moved:
            wrong.append(f"keypoints move by up to {moved:.3g} {self.unit}, limit {limits.moved:g}")
        if len(self.sigma) and not self.sigma.max() <= limits.sigma:
            wrong.append(f"sigma changes by up to {self.sigma.max():.2%}, limit {limits.sigma:.2%}")
        if not self.others <= limits.others:
            wrong.append(
                f"a confidence, probability or correlation changes by {self.others:.2g}, limit {limits.others:g}"
            )
        if self.missing > limits.missing * self.people:
            wrong.append(f"{self.missing} of {self.people} people are not found by both, limit {limits.missing:.1%}")
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
        sigma, moved = (
            (float(values.max()), float(np.median(values))) if len(values) else (None, None)
            for values in (self.sigma, self.moved)
        )
        both = {name: [value, self.after[name]] for name, value in self.before.items() if name in self.after}
        found: dict[str, Any] = finite(
            {
                "rows": self.rows,
                f"moved_{self.unit}_largest": moved[0],
                f"moved_{self.unit}_median": moved[1],
                "sigma_change_largest": sigma[0],
                "sigma_change_median": sigma[1],
                **({"people": self.people, "not_found_by_both": self.missing} if self.people else {}),
                "checkpoint_and_export": both,
            }
        )
        return found

    def text(self) -> list[str]:
        """Lines for a person to read."""
        lines = []
        if self.people:
            lines.append(f"  {self.people} people are found, {self.missing} of them not by both")
        if len(self.moved):
            median, largest = np.median(self.moved), self.moved.max()
            lines.append(f"  keypoints move by {median:.2g} {self.unit} (median), {largest:.2g} (largest)")
        if len(self.sigma):
            lines.append(
                f"  sigma changes by {np.median(self.sigma):.2g} (median), {self.sigma.max():.2g} (largest), relative"
            )
        kept = [n for n in self.before if n in SHOWN or n == "nll" or (n.startswith("coverage@") and "/" not in n)]
        lines += [
            f"  {name:16} {self.before[name]:9.4f} -> {self.after[name]:9.4f}" for name in kept if name in self.after
        ]
        return lines


def refuse_nobody(seen: Observed, model: Any, options: EvalOptions) -> None:
    """Refuse images in which a detector finds nobody: they prove nothing.

    Raises:
        InputError: if they are such.
    """
    if isinstance(model, Detector) and not any(
        (people.box_scores >= model.score_threshold).any() for batch in seen.predictions for people in batch
    ):
        raise InputError(f"{options.data}: the model finds nobody; give other images to verify with, or --unverified")


def verify(before: Observed, after: Observed, model: Any, most: int | None = None) -> Verified:
    """Compare what a checkpoint and an exported model predict of the same rows.

    Args:
        before: of the checkpoint.
        after: of the exported model.
        model: the checkpoint's.
        most: people that a detector's file finds in an image; of the checkpoint the first so many are compared.
    """
    changes, counted, missing = [], 0, 0
    for one, other, inputs in zip(before.predictions, after.predictions, before.inputs, strict=True):
        if isinstance(model, Detector):
            for own, their in zip(one, other, strict=True):
                pairs, lost = _same_people(own, their, model.score_threshold, most)
                counted, missing = counted + len(pairs) + lost, missing + lost
                rows, others = (torch.tensor([pair[side] for pair in pairs], dtype=torch.long) for side in (0, 1))
                changes.append(_change_of_people(own.chosen(rows), their.chosen(others)))
        else:
            size = model.placement(torch.from_numpy(inputs))[1] if isinstance(model, KeypointWrapper) else None
            changes.append(_change(model, one, other, size))
    return Verified(
        PIXELS if isinstance(model, Detector) else model.unit,
        sum(map(len, before.inputs)),
        torch.cat([moved for moved, _, _ in changes]).double().numpy(),
        torch.cat([sigma for _, sigma, _ in changes]).double().numpy(),
        float(np.max([others for _, _, others in changes])),
        before.figures,
        after.figures,
        isinstance(model, Detector) or model.output_type == "heatmaps",
        counted,
        missing,
    )


def _change(model: Any, one: Prediction, other: Prediction, size: Tensor | None) -> tuple[Tensor, Tensor, float]:
    """Distances, relative changes of standard deviations and the largest other change between two predictions.

    Lengths are in units of a size, if it is given, else in the model's.
    """
    first, second = one.mean.float(), other.mean.float()
    apart = model.distance(second, first) if size is None else (second - first).norm(dim=-1) * size[:, None]
    pairs = [(one.confidence, other.confidence)]
    if one.visibility is not None and other.visibility is not None:
        pairs.append((one.visibility.sigmoid(), other.visibility.sigmoid()))
    if one.correlation is not None:
        pairs.append((one.error_correlation, other.error_correlation))
    return apart.flatten(), _ratio(one.std, other.std), max(_largest(second - first) for first, second in pairs)


def _change_of_people(one: Detections, other: Detections) -> tuple[Tensor, Tensor, float]:
    """The same of people in pixels of the input."""
    pairs = ((one.box_scores, other.box_scores), (one.prediction.confidence, other.prediction.confidence))
    apart = torch.cat(
        [(other.keypoints() - one.keypoints()).norm(dim=-1).flatten(), (other.boxes - one.boxes).abs().flatten()]
    )
    return apart, _ratio(one.spread(), other.spread()), max(_largest(second - first) for first, second in pairs)


def _ratio(one: Tensor, other: Tensor) -> Tensor:
    """Relative changes, where there are standard deviations."""
    return (other / one - 1).abs()[one.isfinite() & (one > 0)]


def _largest(change: Tensor) -> float:
    return float(change.abs().max()) if change.numel() else 0.0


def _same_people(
    one: Detections, other: Detections, least: float, most: int | None
) -> tuple[list[tuple[int, int]], int]:
    """Rows of the same people in an image, and how many are not found by both.

    Each person of the least score or more in one is looked for among all of the other.
    """
    pairs, lost = [], 0
    overlap = box_iou(one.boxes[:most], other.boxes)
    for row in range(len(overlap)):
        if one.box_scores[row] < least:
            break
        if len(other) and overlap[row].max() > SAME:
            pairs.append((row, int(overlap[row].argmax())))
            overlap[:, pairs[-1][1]] = 0
        else:
            lost += 1
    known, found = ({pair[side] for pair in pairs} for side in (0, 1))
    sure = [row for row in range(len(other)) if other.box_scores[row] >= least and row not in found]
    back = box_iou(other.boxes[sure], one.boxes)
    back[:, sorted(known)] = 0
    for each in back:
        if len(one) and each.max() > SAME:
            back[:, int(each.argmax())] = 0
        else:
            lost += 1
    return pairs, lost


def data_of(
    task: Task,
    checkpoint: str | Path,
    recipe: dict[str, Any],
    data: str | Path | None,
    images: str | Path | None = None,
    flag: str = "--verify DATA, or --unverified",
    **files: str | Path | None,
) -> EvalOptions:
    """The options of the evaluation of given data, or of those that a run was validated on.

    Args:
        task: of the model.
        checkpoint: the model's.
        recipe: plain values of the recipe of its training; empty if it is not known.
        data: labelled data; None: those of the recipe, opened as in training.
        images: folder of the images of given data, if not beside them.
        flag: what would give data, for the message.
        files: options of the evaluation that name further files.

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
    known: dict[str, Any] = {name: _option(name, recipe[name]) for name in opened if name in names and recipe.get(name)}
    known |= {"images": Path(images)} if images and "images" in names else {}
    more = {name: Path(path) for name, path in files.items() if path is not None}
    if foreign := [name for name in more if name not in names]:
        raise InputError(f"--{foreign[0]} is for wrappers")
    missing = [
        name
        for name, field in task.eval_options.__dataclass_fields__.items()
        if name not in {"checkpoint", "data", *known, *more} and field.default is MISSING
    ]
    if missing:
        raise InputError(f"{checkpoint}: to verify it give --{missing[0]} too, or --unverified")
    return task.eval_options(checkpoint=Path(checkpoint), data=Path(place), **known | more)


def _option(name: str, value: Any) -> Any:
    """A recipe's plain value as the option of that name takes it."""
    return Path(value) if name in PATHS else tuple(value) if isinstance(value, list) else value
