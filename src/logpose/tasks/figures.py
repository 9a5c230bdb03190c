"""Figures of poses that stand beside labels, whatever found them: distances, likelihood, and what sigma is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import ErrorDistribution, Scoring
from logpose.metrics import calibration
from logpose.metrics.oks import expected_oks, oks, over_labelled
from logpose.metrics.pck import distances, pck, pckh, torso_size
from logpose.models import Model

__all__ = ["Found", "calibrated", "person_scores", "pose_figures", "refuse_scoring", "uniform_sigmas"]

PCK_THRESHOLDS = (0.05, 0.1, 0.2)
TORSO_THRESHOLDS = (0.1, 0.2)
COVERAGE_LEVELS = (0.5, 0.9, 0.95)
LEAST_CONFIDENCE = 0.2
"""Joints that are less sure do not count in a score by "product"."""
COVERED = 0.53
"""Of a person's box, in area, what the person covers: the mean of COCO's labels (.52 and .54 in two samples of 2017's).
OKS measures distances by that area, and of somebody who was found the box alone is known."""


@dataclass(frozen=True)
class Found:
    """Predictions beside labels: N people, K joints; pixels of the original images, and millimetres of depth."""

    predicted: Float[np.ndarray, "N K D"]
    std: Float[np.ndarray, "N K D"]
    confidence: Float[np.ndarray, "N K"]
    nll: Float[np.ndarray, "N K"]
    """Nats, in crop coordinates; NaN where there is no whole label or no loss."""
    standardised_nll: Float[np.ndarray, "N K"]
    """The same of the standardised error alone, -log P(e): how unlikely the label is, given how sure the model was."""
    truth: Float[np.ndarray, "N K D"]
    """Labels, in as many dimensions as are predicted; NaN where they have no depth."""
    visible: Int[np.ndarray, "N K"]
    boxes: Float[np.ndarray, "N 4"]
    area: Float[np.ndarray, "N"]
    image_ids: list[int]

    def whole(self) -> Bool[np.ndarray, "N K"]:
        """Which joints are labelled in every dimension."""
        whole: Bool[np.ndarray, "N K"] = (self.visible > 0) & ~np.isnan(self.truth).any(axis=-1)
        return whole

    def is_finite(self) -> bool:
        """Whether all that was predicted is; sigma may be unknown."""
        return bool(np.isfinite(self.predicted).all() and np.isfinite(self.confidence).all())

    def radius(self) -> Float[np.ndarray, "M"]:
        """Distance of each whole label from its prediction, in predicted standard deviations."""
        whole = self.whole()
        return calibration.scaled_radius(self.predicted[whole], self.std[whole], self.truth[whole])

    def deviations(self) -> calibration.Deviations:
        """Of every whole label, in the picture's plane."""
        whole = self.whole()
        spread = np.sqrt((self.std[whole][:, :2] ** 2).sum(axis=-1))
        apart = distances(self.predicted[..., :2], self.truth[..., :2], self.visible)[whole]
        return calibration.Deviations(self.radius(), spread, apart, "px")


def pose_figures(
    at: Found, model: Model, learns_sigma: bool, heads: Float[np.ndarray, "N"] | Float[np.ndarray, "N K"] | None = None
) -> dict[str, float]:
    """Figures of predictions that stand beside labels, by name; see `Evaluation.compute`.

    Args:
        at: both.
        model: tells the skeleton, and what it claims of its errors.
        learns_sigma: whether joints have spreads of their own.
        heads: sizes of people's heads, or one for each joint (NaN where one does not count), in pixels, where known.
    """
    skeleton = model.skeleton
    predicted, truth, labelled = at.predicted[..., :2], at.truth[..., :2], at.visible > 0
    figures: dict[str, float] = {"people": len(at.nll), "joints": int(labelled.sum())}
    if not labelled.any():
        return figures
    apart = distances(predicted, truth, at.visible)
    side = at.boxes[:, 2:].max(axis=1)
    similarity = oks(predicted, truth, at.visible, at.area, skeleton.sigmas)
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
        figures |= calibrated(at.deviations(), model.error_distribution, learns_sigma)
        expected = expected_oks(at.std[..., :2], at.area, skeleton.sigmas)
        foreseen = over_labelled(expected, at.visible)[has_label]
        figures["oks_expected"] = float(foreseen.mean())
        if np.ptp(foreseen) > 0:
            figures["oks_expected_r"] = calibration.pearson(foreseen, similarity[has_label])
    confidence = at.confidence.mean(axis=1)[has_label]
    if np.ptp(confidence) > 0:  # a model that does not tell its predictions apart says 1 of all
        figures["confidence_oks"] = calibration.pearson(confidence, similarity[has_label])
    return figures


def calibrated(
    found: calibration.Deviations, error_distribution: ErrorDistribution, learns_sigma: bool
) -> dict[str, float]:
    """Whether spreads mean what they say: share of labels in regions, mean spread, rank correlation with the error.

    Args:
        found: labels beside predictions.
        error_distribution: what is claimed of errors.
        learns_sigma: whether joints have spreads of their own.
    """
    figures = {}
    if len(found.radius):  # of boundaries it may be that no column has a label of each
        shares = calibration.coverage(found.radius, [error_distribution.radius_at(level) for level in COVERAGE_LEVELS])
        figures = {f"coverage@{level:g}": share for level, share in zip(COVERAGE_LEVELS, shares, strict=True)}
    figures[f"std_{found.unit}"] = float(found.spread.mean())
    if learns_sigma:
        figures["sigma_rank"] = calibration.rank_correlation(found.spread, found.apart)
    return figures


def person_scores(
    scoring: Scoring,
    box_scores: Float[np.ndarray, "N"],
    confidence: Float[np.ndarray, "N K"],
    std: Float[np.ndarray, "N K D"],
    boxes: Float[np.ndarray, "N 4"],
    sigmas: Sequence[float],
) -> Float[np.ndarray, "N"]:
    """The scores of people by those of their boxes and what is said of their joints.

    Args:
        scoring: "sum" adds the joints' mean and their greatest confidence (the paper's released code); "product"
            multiplies by the mean of those above 0.2, by 0 if there are none (HRNet's and mmpose's code); "oks" by the
            OKS that the joints' spread lets expect (`expected_oks`, of a person who covers .53 of the box), where no
            spread is known by 0; "box" leaves the joints out.
        box_scores: how sure it is that there is somebody.
        confidence: of each joint.
        std: standard deviations of the joints, in pixels.
        boxes: x, y, width, height in pixels.
        sigmas: of the skeleton's joints.
    """
    scores: Float[np.ndarray, "N"] = box_scores
    if scoring == "sum":
        scores = box_scores + confidence.mean(axis=1) + confidence.max(axis=1)
    elif scoring == "product":
        sure = confidence > LEAST_CONFIDENCE
        scores = box_scores * np.where(sure, confidence, 0).sum(axis=1) / np.maximum(sure.sum(axis=1), 1)
    elif scoring == "oks":
        expected = expected_oks(std[..., :2], COVERED * boxes[:, 2:].prod(axis=1), sigmas)
        scores = box_scores * np.nan_to_num(expected).mean(axis=1)
    return scores


def refuse_scoring(scoring: Scoring, error_distribution: ErrorDistribution) -> None:
    """Refuse scores by OKS of a model that does not know how large its errors are.

    Raises:
        InputError: says so.
    """
    if scoring == "oks" and not error_distribution.std.isfinite().all():
        raise InputError("a score by oks needs a model that was trained by a likelihood: this one knows no spread")


def uniform_sigmas(skeleton: Skeleton) -> str:
    """What is to be told beside OKS and AP of joints that all count as labelled alike well; nothing of others."""
    if len(set(skeleton.sigmas)) > 1:
        return ""
    return f"OKS, AP and AR take {skeleton.sigmas[0]:g} as the sigma of every joint: this skeleton has none of its own"
