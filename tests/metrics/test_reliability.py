"""Scores against errors, on hand-made cases; regions of scores, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from logpose.metrics.reliability import RegionsOfScores, auroc, excess_of_sparsification, sparsification


def test_auroc_is_the_share_of_pairs_in_order():
    scores, correct = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    assert auroc(scores, correct) == (1 + 0.5 + 1 + 1) / 4
    assert math.isnan(auroc(scores, np.ones(4, dtype=bool)))
    assert math.isnan(auroc(scores, np.zeros(4, dtype=bool)))


@given(nst.arrays(np.float64, 30, elements=st.floats(0, 10)), st.integers(0, 2**32 - 1))
def test_no_order_is_better_than_that_of_the_errors(error, seed):
    certainty = np.random.default_rng(seed).normal(size=30)
    assert (sparsification(error, -error) <= sparsification(error, certainty) + 1e-9).all()


def test_sparsification_leaves_out_the_least_certain_first():
    error, certainty = np.array([4.0, 1.0, 3.0, 2.0]), np.array([0.0, 0.9, 0.1, 0.5])
    assert sparsification(error, certainty, 4).tolist() == [2.5, 2.0, 1.5, 1.0]
    assert excess_of_sparsification(error, certainty) == 0
    assert excess_of_sparsification(error, np.ones(4)) == pytest.approx(1)
    assert excess_of_sparsification(error, error) > 1.5
    assert math.isnan(excess_of_sparsification(np.ones(4), certainty))


def people(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors that fall with the score, of another size for the second joint; three people in each image."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, (count, 2))
    error = rng.lognormal(np.log([0.05, 0.2]) - 2 * scores, 0.7)
    error[rng.random(error.shape) < 0.1] = np.nan
    return error, scores, np.arange(count) // 3


def test_regions_hold_new_labels_and_shrink_with_the_score():
    levels = (0.5, 0.9, 0.95)
    found = RegionsOfScores.learned(*people(3000, 0), levels)
    error, scores, _ = people(6000, 1)
    radius = found.radius(scores)
    known = ~np.isnan(error)
    for joint in range(2):
        inside = (error[:, joint, None] <= radius[:, joint])[known[:, joint]].mean(axis=0)
        assert inside == pytest.approx(levels, abs=0.03)
    at = found.radius(np.array([[0.1, 0.1], [0.9, 0.9]]))
    assert at[0, :, 1] / at[1, :, 1] == pytest.approx(math.exp(1.6), rel=0.5)
    assert at[0, 1, 1] / at[0, 0, 1] == pytest.approx(4, rel=0.4)
    assert (np.diff(radius, axis=-1) >= 0).all()


def test_a_joint_with_few_labels_has_the_regions_of_all():
    error, scores, groups = people(600, 2)
    error[10:, 1] = np.nan
    found = RegionsOfScores.learned(error, scores, groups, (0.9,))
    assert np.isfinite(found.factors).all()


def test_scores_without_information_give_one_radius():
    rng = np.random.default_rng(3)
    error = rng.lognormal(size=(400, 1))
    found = RegionsOfScores.learned(error, np.full((400, 1), 0.5), np.arange(400), (0.9,))
    assert len(found.knots[0]) == 1
    assert (error <= found.radius(np.full((400, 1), 0.2))[..., 0]).mean() == pytest.approx(0.9, abs=0.04)
