"""Scores of people: from those of their boxes and joints, or the OKS that their regions let expect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.samples import Scoring
from logpose.core.structures import ErrorDistribution
from logpose.data.areas import COVERED
from logpose.metrics.oks import expected_oks
from logpose.models import Model

__all__ = ["calibrated_oks", "person_oks", "person_scores", "refuse_scoring", "without_confidence"]

LEAST_CONFIDENCE = 0.2
"""Joints with a lower confidence do not count in a score by "product"."""


def person_oks(
    std: Float[np.ndarray, "N K 2"],
    boxes: Float[np.ndarray, "N 4"],
    sigmas: Sequence[float] | Float[np.ndarray, "N K"],
    radii: Float[np.ndarray, "L"],
) -> Float[np.ndarray, "N"]:
    """The OKS that is expected of people who cover .53 of their boxes, from the regions of all joints.

    Args:
        std: standard deviations of the joints, pixels; NaN of joints that a person does not have.
        boxes: x, y, width, height.
        sigmas: of the skeleton's joints, or of each person's.
        radii: see `Model.radii`.

    Returns:
        0 where nothing is known.
    """
    each = expected_oks(std, COVERED * np.maximum(boxes[:, 2:], 1).prod(axis=1), sigmas, radii)
    known = np.isfinite(each)
    return np.asarray(np.where(known, each, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def calibrated_oks(
    model: Model,
    std: Float[np.ndarray, "N K 2"],
    boxes: Float[np.ndarray, "N 4"],
    sigmas: Sequence[float] | Float[np.ndarray, "N K"],
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]] | None:
    """The OKS that people are expected to have, and the probability of one above .5; None: not calibrated.

    Arguments are those of `person_oks`; the model has the radii and the calibration.
    """
    if model.calibration is None or not model.calibration.oks:
        return None
    return model.calibration.of_expected_oks(person_oks(std, boxes, sigmas, model.radii()))


def person_scores(
    scoring: Scoring,
    box_scores: Float[np.ndarray, "N"],
    confidence: Float[np.ndarray, "N K"],
    std: Float[np.ndarray, "N K D"],
    boxes: Float[np.ndarray, "N 4"],
    sigmas: Sequence[float],
    radii: Float[np.ndarray, "L"],
) -> Float[np.ndarray, "N"]:
    """The scores of people, from those of their boxes and the confidence of their joints.

    Args:
        scoring: "sum" adds the joints' mean and their greatest confidence (the paper's released code); "product"
            multiplies by the mean of those above 0.2, by 0 if there are none (HRNet's and mmpose's code); "oks" by the
            OKS predicted from the joints' regions (`expected_oks`, of a person who covers .53 of the box), by 0 where
            these are unknown; "box" leaves the joints out.
        box_scores: the detector's scores; 1 for annotated boxes.
        confidence: of each joint.
        std: standard deviations of the joints, in pixels.
        boxes: x, y, width, height in pixels.
        sigmas: of the skeleton's joints.
        radii: of regions, see `Model.radii`.
    """
    scores: Float[np.ndarray, "N"] = box_scores
    if scoring == "sum":
        scores = box_scores + confidence.mean(axis=1) + confidence.max(axis=1)
    elif scoring == "product":
        counted = confidence > LEAST_CONFIDENCE
        scores = box_scores * np.where(counted, confidence, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    elif scoring == "oks":
        scores = box_scores * person_oks(std[..., :2], boxes, sigmas, radii)
    return scores


def refuse_scoring(scoring: Scoring, error_distribution: ErrorDistribution) -> None:
    """Refuse an unknown score, and one by OKS of a model without an error distribution.

    Raises:
        InputError: if `scoring` is none of `Scoring`, or is "oks" and the standard deviations are unknown.
    """
    if scoring not in get_args(Scoring):
        raise InputError(f"scoring must be one of {', '.join(get_args(Scoring))}; got {scoring!r}")
    if scoring == "oks" and not error_distribution.std.isfinite().all():
        raise InputError("--score oks needs a model trained by a likelihood: this one has no standard deviations")


def without_confidence(confidences: Iterable[Float[np.ndarray, "..."]]) -> list[str]:
    """A note on predictions whose joints all have the confidence 1: so those of models without sigma have (L1, L2)."""
    each = [own for own in confidences if own.size]
    if not each or not all((own == 1).all() for own in each):
        return []
    return ["this model predicts no confidence, that of every joint is 1: people are ranked by their boxes alone"]
