"""Scores of people, from boxes, joints, and the OKS that is expected."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.samples import Scoring
from logpose.core.structures import ErrorDistribution
from logpose.losses import Gaussian
from logpose.tasks.scoring import person_oks, person_scores, refuse_scoring, without_confidence

RADII = Gaussian().error_distribution().radius.double().numpy()


def scores(scoring: Scoring, confidence: list[float], std: float = 2.0) -> np.ndarray:
    """Of two people with the same joints, in boxes of 10 by 20 pixels and of four times as many."""
    joints = np.tile(confidence, (2, 1))
    boxes = np.array([[3.0, 4.0, 10.0, 20.0], [0.0, 0.0, 20.0, 40.0]])
    sigmas = (0.05, 0.1, 0.05, 0.1)[: len(confidence)]
    spread = np.full((2, len(confidence), 2), std)
    return person_scores(scoring, np.array([0.5, 0.25]), joints, spread, boxes, sigmas, RADII)


@pytest.mark.parametrize(("scoring", "score"), [("sum", 0.5 + 0.55 + 0.9), ("product", 0.5 * 0.9), ("box", 0.5)])
def test_a_person_s_score(scoring: Scoring, score: float) -> None:
    assert scores(scoring, [0.2, 0.9])[0] == pytest.approx(score)


def test_a_score_by_product_leaves_out_joints_that_nobody_sees() -> None:
    assert scores("product", [0.1, 0.2, 0.3, 0.9])[0] == pytest.approx(0.5 * 0.6)
    assert scores("product", [0.1, 0.2]).tolist() == [0, 0]


def test_a_score_by_oks_is_what_draws_of_the_joints_have_on_average() -> None:
    """Of a person who covers .53 of the box, and whose first joint is labelled twice as exactly as the second."""
    rng = np.random.default_rng(0)
    squared = (rng.normal(0, 2.0, (400_000, 2, 2)) ** 2).sum(axis=-1)
    for person, (box, area) in enumerate([(0.5, 0.53 * 200), (0.25, 0.53 * 800)]):
        drawn = np.exp(-squared / (2 * area * np.array([0.1, 0.2]) ** 2)).mean()
        assert scores("oks", [0.9, 0.9])[person] == pytest.approx(box * drawn, rel=5e-3)
    assert scores("oks", [0.9, 0.9], std=np.nan).tolist() == [0, 0]


@pytest.mark.parametrize("scoring", get_args(Scoring))
def test_nobody_has_no_score(scoring: Scoring) -> None:
    joints, spread, boxes = np.zeros((0, 3)), np.zeros((0, 3, 2)), np.zeros((0, 4))
    nobody = person_scores(scoring, np.zeros(0), joints, spread, boxes, (0.1,) * 3, RADII)
    assert nobody.shape == (0,)


def test_scores_by_a_spread_that_nobody_learned_are_refused() -> None:
    with pytest.raises(InputError, match="--score oks"):
        refuse_scoring("oks", ErrorDistribution.unknown(2))
    refuse_scoring("product", ErrorDistribution.unknown(2))
    refuse_scoring("oks", Gaussian().error_distribution())


def test_joints_that_a_person_does_not_have_do_not_count() -> None:
    boxes, whole = np.array([[0.0, 0.0, 20.0, 40.0]]), np.full((1, 3, 2), 2.0)
    some = whole.copy()
    some[0, 1] = np.nan
    assert person_oks(some, boxes, (0.1,) * 3, RADII) == pytest.approx(person_oks(whole, boxes, (0.1,) * 3, RADII))
    assert person_oks(np.full_like(whole, np.nan), boxes, (0.1,) * 3, RADII).tolist() == [0]


@pytest.mark.parametrize(("confidences", "noted"), [([1.0, 1.0], True), ([1.0, 0.99], False), ([], False)])
def test_a_model_without_confidence_is_noted(confidences: list[float], noted: bool) -> None:
    each = [np.full(17, own) for own in confidences]
    assert bool(without_confidence([np.zeros((0, 17)), *each])) is noted
