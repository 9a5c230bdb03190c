"""Scores of people, and what is told of figures: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.pose_figures import Found, person_score, uniform_sigmas
from logpose.skeletons import COCO, Skeleton
from logpose.structures import Scoring


@pytest.mark.parametrize(("scoring", "score"), [("sum", 0.5 + 0.55 + 0.9), ("product", 0.5 * 0.9), ("box", 0.5)])
def test_a_person_s_score(scoring: Scoring, score: float) -> None:
    assert person_score(0.5, np.array([0.2, 0.9]), scoring) == pytest.approx(score)


def test_a_score_by_product_leaves_out_joints_that_nobody_sees() -> None:
    assert person_score(0.5, np.array([0.1, 0.2, 0.3, 0.9]), "product") == pytest.approx(0.5 * 0.6)
    assert person_score(0.5, np.array([0.1, 0.2]), "product") == 0


def test_sigmas_of_no_joint_s_own_are_told() -> None:
    assert uniform_sigmas(COCO) == ""
    assert "take 0.05 as the sigma of every joint" in uniform_sigmas(Skeleton("bar", ("a", "b")))
    assert uniform_sigmas(Skeleton("bar", ("a", "b"), oks_sigmas=(0.1, 0.2))) == ""


def found(predicted: np.ndarray, confidence: np.ndarray) -> Found:
    count, joints = confidence.shape
    unknown = np.full((count, joints), np.nan)
    return Found(
        predicted, np.full_like(predicted, np.nan), confidence, unknown, unknown, np.zeros_like(predicted),
        np.ones((count, joints), dtype=np.int64), np.ones((count, 4)), np.ones(count), [0] * count,
    )  # fmt: skip


@pytest.mark.parametrize(("place", "sure", "finite"), [(1.0, 0.5, True), (np.nan, 0.5, False), (1.0, np.inf, False)])
def test_what_has_diverged_is_not_finite(place: float, sure: float, finite: bool) -> None:
    """Spreads need not be known."""
    predicted, confidence = np.ones((2, 3, 2)), np.ones((2, 3))
    predicted[1, 2, 0], confidence[0, 1] = place, sure
    assert found(predicted, confidence).is_finite() is finite
