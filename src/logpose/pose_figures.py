"""Figures of poses that stand beside labels, whatever found them: distances, likelihood, and what sigma is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from logpose.metrics import calibration
from logpose.metrics.oks import oks
from logpose.metrics.pck import distances, pck, pckh, torso_size
from logpose.models import Model
from logpose.skeletons import Skeleton
from logpose.structures import ErrorLaw, Scoring

__all__ = ["Found", "calibrated", "person_score", "pose_figures", "uniform_sigmas"]

PCK_THRESHOLDS = (0.05, 0.1, 0.2)
TORSO_THRESHOLDS = (0.1, 0.2)
COVERAGE_LEVELS = (0.5, 0.9, 0.95)
LEAST_CONFIDENCE = 0.2
"""Joints that are less sure do not count in a score by "product"."""


@dataclass(frozen=True)
class Found:
    """Predictions beside labels: N people, K joints; pixels of the original images, and millimetres of depth."""

    predicted: Float[np.ndarray, "N K D"]
    std: Float[np.ndarray, "N K D"]
    confidence: Float[np.ndarray, "N K"]
    nll: Float[np.ndarray, "N K"]
    """Nats, in crop coordinates; NaN where there is no whole label or no loss."""
    surprise: Float[np.ndarray, "N K"]
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
        figures |= calibrated(at.deviations(), model.law, learns_sigma)
    confidence = at.confidence.mean(axis=1)[has_label]
    if np.ptp(confidence) > 0:  # a model that does not tell its predictions apart says 1 of all
        figures["confidence_oks"] = calibration.pearson(confidence, similarity[has_label])
    return figures


def calibrated(found: calibration.Deviations, law: ErrorLaw, learns_sigma: bool) -> dict[str, float]:
    """Whether spreads mean what they say: share of labels in regions, mean spread, rank correlation with the error.

    Args:
        found: labels beside predictions.
        law: what is claimed of errors.
        learns_sigma: whether joints have spreads of their own.
    """
    figures = {}
    if len(found.radius):  # of boundaries it may be that no column has a label of each
        shares = calibration.coverage(found.radius, [law.radius_at(level) for level in COVERAGE_LEVELS])
        figures = {f"coverage@{level:g}": share for level, share in zip(COVERAGE_LEVELS, shares, strict=True)}
    figures[f"std_{found.unit}"] = float(found.spread.mean())
    if learns_sigma:
        figures["sigma_rank"] = calibration.rank_correlation(found.spread, found.apart)
    return figures


def person_score(box: float, confidence: Float[np.ndarray, "K"], scoring: Scoring) -> float:
    """The score of a person by that of the box and the confidence of the joints.

    Args:
        box: the box's score.
        confidence: of each joint.
        scoring: "sum" adds their mean and their greatest (the paper's released code); "product" multiplies by the mean
            of those above 0.2, by 0 if there are none (HRNet's and mmpose's code); "box" leaves them out.
    """
    if scoring == "sum":
        return float(box + confidence.mean() + confidence.max())
    sure = confidence[confidence > LEAST_CONFIDENCE]
    return float(box * (sure.mean() if len(sure) else 0.0)) if scoring == "product" else box


def uniform_sigmas(skeleton: Skeleton) -> str:
    """What is to be told beside OKS and AP of joints that all count as labelled alike well; nothing of others."""
    if len(set(skeleton.sigmas)) > 1:
        return ""
    return f"OKS, AP and AR take {skeleton.sigmas[0]:g} as the sigma of every joint: this skeleton has none of its own"
