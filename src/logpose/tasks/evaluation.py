"""Evaluation in any task: a pass over a data set; figures of poses matched to labels; calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from logpose.core.calibration import Group
from logpose.core.device import choose_device, evaluating
from logpose.core.errors import InputError
from logpose.core.messages import difference
from logpose.core.progress import track
from logpose.core.samples import VISIBLE, Sample
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Evaluator
from logpose.losses import LikelihoodLoss
from logpose.metrics import calibration
from logpose.metrics.covariance import principal, whitened_errors
from logpose.metrics.oks import expected_oks, oks, over_labelled
from logpose.metrics.pck import distances, pck, pckh, torso_size
from logpose.metrics.visibility import visibility_figures
from logpose.models import Model
from logpose.report.results import rounded
from logpose.tasks.calibrate import Errors, group_numbers
from logpose.tasks.scoring import calibrated_oks, person_oks
from logpose.training.checkpoint import load_model

__all__ = [
    "Found",
    "calibrated",
    "check_skeletons",
    "clip_of",
    "coco_result",
    "errors_of",
    "evaluate",
    "first_rows",
    "loaded",
    "pose_figures",
]

M = TypeVar("M", bound=Model)
AnyEvaluator = TypeVar("AnyEvaluator", bound=Evaluator[Any])

MOST_ROWS: ContextVar[int | None] = ContextVar("MOST_ROWS", default=None)
"""See `first_rows`."""
PCK_THRESHOLDS = (0.05, 0.1, 0.2)
TORSO_THRESHOLDS = (0.1, 0.2)
COVERAGE_LEVELS = (0.5, 0.9, 0.95)


def evaluate(
    model: Model,
    evaluator: AnyEvaluator,
    batches: Iterable[Any],
    *,
    flip_test: bool | None = None,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> AnyEvaluator:
    """Predict every batch of a data set and collect the predictions; nothing is computed of them yet.

    Args:
        model: on `device` and in evaluation mode while it predicts, and then as it was.
        evaluator: collects the predictions; its `compute` gives the figures. Its loss stays on `device`, in evaluation
            mode.
        batches: of the evaluator's data set.
        flip_test: whether to average with the prediction on mirrored inputs; None: where the model's left and right
            joints are known.
        device: where to predict.
        show_progress: whether to report progress on stderr.

    Raises:
        InputError: if a flip test is asked of a model that has none.
    """
    if evaluator.loss is not None:
        evaluator.loss.to(device).eval()
    with evaluating(model, device), torch.inference_mode():
        for batch in track(batches, "evaluating", unit="batches") if show_progress and not MOST_ROWS.get() else batches:
            on_device = batch.to(device)
            evaluator.update(on_device, model.predict(on_device, flip_test))
            if len(evaluator.rows) >= (MOST_ROWS.get() or math.inf):
                break
    return evaluator


@contextmanager
def first_rows(count: int) -> Iterator[None]:
    """A context in which `evaluate` ends with the batch that has the row of this number."""
    token = MOST_ROWS.set(count)
    try:
        yield
    finally:
        MOST_ROWS.reset(token)


@dataclass(frozen=True)
class Found:
    """Predictions beside labels: N people, K joints; pixels of the original images, and millimetres of depth."""

    predicted: Float[np.ndarray, "N K D"]
    std: Float[np.ndarray, "N K D"]
    confidence: Float[np.ndarray, "N K"]
    nll: Float[np.ndarray, "N K"]
    """Nats, in crop coordinates; NaN where there is no whole label or no loss."""
    standardised_nll: Float[np.ndarray, "N K"]
    """The same of the standardised error alone, -log P(e): the likelihood with sigma's scale left out."""
    truth: Float[np.ndarray, "N K D"]
    """Labels, in as many dimensions as are predicted; NaN where they have no depth."""
    visible: Int[np.ndarray, "N K"]
    boxes: Float[np.ndarray, "N 4"]
    area: Float[np.ndarray, "N"]
    image_ids: list[int]
    category_ids: Sequence[int] = ()
    clips: Sequence[str] = ()
    """The folder of each one's image."""
    predicted_boxes: Float[np.ndarray, "N 4"] | None = None
    """Of people that a detector or another program found, the boxes that it gave them."""
    correlation: Float[np.ndarray, "N K"] | None = None
    """Of errors along x and y; None of models that do not predict it."""
    visibility: Float[np.ndarray, "N K"] | None = None
    """Probability that a joint is labelled as visible; None of models that do not predict it."""

    @classmethod
    def of(cls, samples: Sequence[Sample], *arrays: Any) -> Found:
        """Predictions beside the people that they are of.

        Args:
            samples: N labelled people.
            arrays: the fields of predictions, in their order, and `truth`.
        """
        visible, boxes = np.stack([sample.visible for sample in samples]), np.stack([sample.box for sample in samples])
        area = np.array([sample.area for sample in samples])
        ids = [sample.image_id for sample in samples], [sample.category_id for sample in samples]
        clips = [clip_of(sample) for sample in samples]
        labels: tuple[Any, ...] = (visible, boxes, area, *ids, clips)
        return cls(*arrays, *labels)

    def apart(self) -> Float[np.ndarray, "N K"]:
        """Distances of labels from predictions in the image plane; NaN without a label."""
        return distances(self.predicted[..., :2], self.truth[..., :2], self.visible)

    def whole(self) -> Bool[np.ndarray, "N K"]:
        """Which joints are labelled in every dimension."""
        return np.asarray((self.visible > 0) & ~np.isnan(self.truth).any(axis=-1))

    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""
        return bool(np.isfinite(self.predicted).all() and np.isfinite(self.confidence).all())

    def radius(self) -> Float[np.ndarray, "M"]:
        """Distance of each whole label from its prediction, in predicted standard deviations."""
        return np.asarray(self.scaled()[self.whole()])

    def scaled(self) -> Float[np.ndarray, "N K"]:
        """The same of every joint; NaN without a whole label."""
        whole = self.whole()
        radius = np.full(whole.shape, np.nan)
        correlation = None if self.correlation is None else self.correlation[whole]
        radius[whole] = calibration.scaled_radius(
            self.predicted[whole], self.std[whole], self.truth[whole], correlation
        )
        return radius

    def axes(self) -> Float[np.ndarray, "N K 2"]:
        """Standard deviations along the axes of each joint's ellipse in the image plane."""
        return principal(self.std[..., :2], self.correlation)[0]

    def sizes(self) -> Float[np.ndarray, "N"]:
        """The longer side of the box that each person was predicted in."""
        return np.asarray(self.own_boxes()[:, 2:].max(axis=1))

    def own_boxes(self) -> Float[np.ndarray, "N 4"]:
        """The box that each person was predicted in: the labelled one, or that of a detector or program."""
        return self.boxes if self.predicted_boxes is None else self.predicted_boxes

    def radii(self, model: Model, level: float) -> Float[np.ndarray, "N K"]:
        """Radius of the model's region of a level around each joint, in standard deviations."""
        return np.broadcast_to(model.region_radius(level, self.sizes()), self.visible.shape)

    def deviations(self, model: Model) -> calibration.Deviations:
        """Of every whole label, in the image plane; regions are those of the model."""
        whole = self.whole()
        spread = np.sqrt((self.std[whole][:, :2] ** 2).sum(axis=-1))
        return calibration.Deviations(
            self.radius(), spread, self.apart()[whole], "px", lambda level: self.radii(model, level)[whole]
        )


def clip_of(sample: Sample) -> str:
    """The name of the clip that a person's image is of: its folder."""
    return str(sample.image.parent) if isinstance(sample.image, Path) else ""


def errors_of(at: Found, group: Group, skeleton: Skeleton, model: Model) -> Errors:
    """The errors of matched people, to calibrate on; of several categories each has the joints of their own."""
    with np.errstate(divide="ignore", invalid="ignore"):
        error = whitened_errors(at.truth - at.predicted, at.std, at.correlation)
        error = np.where(at.whole()[..., None], error, np.nan)
        std = at.std[..., :2].mean(axis=-1)
    if skeleton.categories:
        std = np.where(skeleton.owned(at.category_ids), std, np.nan)
    groups = group_numbers(group, at.image_ids, at.clips)
    sigmas = skeleton.sigmas_of(at.category_ids) if skeleton.categories else skeleton.sigmas
    had = oks(at.predicted[..., :2], at.truth[..., :2], at.visible, at.area, sigmas)

    def expected(factor: Float[np.ndarray, "J"]) -> Float[np.ndarray, "N"]:
        return person_oks(at.axes() * factor[:, None], at.own_boxes(), sigmas, model.radii())

    return Errors(error, std, "px", groups, at.sizes(), at.visible, had, expected, at.visibility)


def pose_figures(
    at: Found,
    model: Model,
    loss: LikelihoodLoss | None,
    heads: Float[np.ndarray, "N"] | Float[np.ndarray, "N K"] | None = None,
    sigmas: Sequence[float] | Float[np.ndarray, "N K"] | None = None,
    skeleton: Skeleton | None = None,
) -> dict[str, float]:
    """Figures of predictions matched to labels, by name; see `Evaluation.compute`.

    Args:
        at: both.
        model: has the skeleton and the error distribution.
        loss: that the model was trained by, where it is kept.
        heads: sizes of people's heads, or one for each joint (NaN where one does not count), in pixels, where known.
        sigmas: of OKS, or of each person; the model's unless given.
        skeleton: of several categories, in place of the model's.
    """
    skeleton, sigmas = skeleton or model.skeleton, model.skeleton.sigmas if sigmas is None else sigmas
    predicted, truth, labelled = at.predicted[..., :2], at.truth[..., :2], at.visible > 0
    figures: dict[str, float] = {"people": len(at.nll), "joints": int(labelled.sum())}
    if not labelled.any():
        return figures
    apart = at.apart()
    side = at.boxes[:, 2:].max(axis=1)
    similarity = oks(predicted, truth, at.visible, at.area, sigmas)
    has_label = labelled.any(axis=1)
    figures["error_px"] = float(np.nanmean(apart))
    figures["nme"] = float(np.nanmean(apart / np.linalg.norm(at.boxes[:, 2:], axis=1)[:, None]))
    figures |= {f"pck@{t:g}": pck(apart, side, t) for t in PCK_THRESHOLDS}
    if torso := skeleton.torso:
        size = torso_size(truth, at.visible, torso)
        figures |= {f"pck_torso@{t:g}": pck(apart, size, t) for t in TORSO_THRESHOLDS}
    if heads is not None:
        figures |= pckh(apart, heads, skeleton.joints)
    figures["oks"] = float(similarity[has_label].mean())
    if not np.isnan(at.nll).all():
        figures["nll"] = float(np.nanmean(at.nll))
    if np.isfinite(at.std).all() and at.whole().any():
        figures |= calibrated(at.deviations(model), loss)
        if known := calibrated_oks(model, at.axes(), at.own_boxes(), sigmas):
            foreseen = known[0][has_label]
        else:
            expected = expected_oks(at.axes(), at.area, sigmas, model.radii())
            foreseen = over_labelled(expected, at.visible)[has_label]
        figures["oks_expected"] = float(foreseen.mean())
        if np.ptp(foreseen) > 0:
            figures["oks_expected_r"] = calibration.pearson(foreseen, similarity[has_label])
    figures |= _by_visibility(at, model, skeleton)
    confidence = at.confidence.mean(axis=1)[has_label]
    if skeleton.categories:
        owned = skeleton.owned(at.category_ids)
        confidence = (np.where(owned, at.confidence, 0).sum(axis=1) / owned.sum(axis=1))[has_label]
    if np.ptp(confidence) > 0:  # without sigma the confidence of all is 1
        figures["confidence_oks"] = calibration.pearson(confidence, similarity[has_label])
    return figures


def _by_visibility(at: Found, model: Model, skeleton: Skeleton) -> dict[str, float]:
    """Figures of hidden and of visible joints where both are labelled, and of predicted probabilities of these."""
    figures: dict[str, float] = {}
    labelled = at.visible > 0
    if len(np.unique(at.visible[labelled])) > 1:
        apart, spread, inside = at.apart(), np.sqrt((at.std[..., :2] ** 2).sum(axis=-1)), at.scaled()
        for name, rows in (("hidden", at.visible == 1), ("visible", at.visible == VISIBLE)):
            own = {"error_px": apart[rows], "std_px": spread[rows]}
            known = rows & np.isfinite(inside)
            own["coverage@0.9"] = (inside <= at.radii(model, 0.9))[known].astype(np.float64)
            each = {figure: float(values.mean()) for figure, values in own.items() if values.size}
            figures |= {f"{figure}/{name}": value for figure, value in each.items() if np.isfinite(value)}
    if at.visibility is not None:
        owned = skeleton.owned(at.category_ids) if skeleton.categories else np.ones_like(labelled)
        figures |= visibility_figures(at.visibility[owned], at.visible[owned] == VISIBLE)
    return figures


def calibrated(found: calibration.Deviations, loss: LikelihoodLoss | None) -> dict[str, float]:
    """Coverage of regions and mean standard deviation; with a learned sigma, its rank correlation with the error."""
    figures = {}
    if len(found.radius):  # perhaps no column has labels of all boundaries
        shares = found.coverage(COVERAGE_LEVELS)
        figures = {f"coverage@{level:g}": share for level, share in zip(COVERAGE_LEVELS, shares, strict=True)}
    figures[f"std_{found.unit}"] = float(found.spread.mean())
    if loss is None or loss.learns_sigma:
        figures["sigma_rank"] = calibration.rank_correlation(found.spread, found.apart)
    return figures


def coco_result(
    image_id: int | str, category_id: int, keypoints: np.ndarray, confidence: np.ndarray, score: float
) -> dict[str, Any]:
    """A person as an entry of a COCO results file, without a box, which would be taken for the area."""
    triplets = np.column_stack([keypoints, confidence])
    return {"image_id": image_id, "category_id": category_id, "keypoints": rounded(triplets), "score": float(score)}


def check_skeletons(checkpoint: str | Path, model: Model, data: Any) -> None:
    """Refuse to evaluate a model on labels of other joints.

    Raises:
        InputError: if the joints' names differ.
    """
    ours, theirs = model.skeleton.joints, data.skeleton.joints
    if ours != theirs:
        raise InputError(
            f"{checkpoint}: made for {len(ours)} joints or boundaries, {', '.join(ours[:3])} …; "
            f"{getattr(data, 'file', 'the data')} has {len(theirs)}: {', '.join(theirs[:3])} …: "
            f"{difference(theirs, ours)} (counted from 1)"
        )


def loaded(model: Any, kind: type[M], device: torch.device | str | None, refusal: str) -> tuple[M, torch.device]:
    """A model of a class, or of a checkpoint, ready to predict on a device (None: a GPU if there is one).

    Of a model that is given a copy is taken, which keeps its data type: the model stays where it is and in its mode,
    and later changes of its weights do not reach the copy.

    Raises:
        InputError: if the checkpoint cannot be used; with `refusal`, of which {} is the model, if that is of another
            class.
    """
    given = isinstance(model, Model)
    found = model if given else load_model(model)
    if not isinstance(found, kind):
        raise InputError(f"{type(model).__name__ if given else model}: {refusal.format(found)}")
    place = choose_device(device)
    return (deepcopy(found) if given else found).to(place).eval(), place
