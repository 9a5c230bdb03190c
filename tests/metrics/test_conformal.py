"""Split conformal prediction: the finite-sample quantile, and the guarantee by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.metrics.conformal import conformal_quantiles, least_groups

LEVELS = (0.5, 0.9, 0.95)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.05, 0.99))
def test_of_single_scores_it_is_an_order_statistic(scores, level):
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    expected = sorted(scores)[rank - 1] if rank <= len(scores) else math.inf
    assert conformal_quantiles(np.array(scores), np.arange(len(scores)), [level])[0] == expected


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_fewer_groups_than_are_needed_give_no_finite_quantile(level, fewest):
    assert least_groups(level) == fewest
    for count, finite in ((fewest, True), (fewest - 1, False)):
        groups = np.repeat(np.arange(count), 3)
        assert np.isfinite(conformal_quantiles(np.ones(len(groups)), groups, [level])[0]) == finite


def test_copies_of_a_score_in_its_group_change_nothing():
    rng = np.random.default_rng(0)
    scores, groups = rng.exponential(size=40), np.arange(40)
    again = rng.integers(1, 30, 40)
    copied = conformal_quantiles(np.repeat(scores, again), np.repeat(groups, again), LEVELS)
    assert copied == pytest.approx(conformal_quantiles(scores, groups, LEVELS))


def test_a_label_of_a_new_group_is_covered_as_often_as_guaranteed():
    """Scores of a group share a factor: were they taken as independent, the guarantee would not hold."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(4000):
        factor = rng.lognormal(0, 1, 25)  # of 24 groups and a new one
        size = np.append(rng.integers(1, 20, 24), 1)
        groups = np.repeat(np.arange(25), size)
        scores = rng.exponential(size=len(groups)) * factor[groups]
        known = groups < 24
        covered.append(scores[-1] <= conformal_quantiles(scores[known], groups[known], LEVELS))
    # No less than the level, and no more than by 1 / 25: four standard errors to either side.
    for share, level in zip(np.mean(covered, axis=0), LEVELS, strict=True):
        error = 4 * math.sqrt(level * (1 - level) / 4000)
        assert level - error <= share <= level + 1 / 25 + error
