"""Coverage by hand and on Gaussians; correlations against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from logpose.metrics.calibration import coverage, pearson, rank_correlation, scaled_radius

pairs = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30).map(
    lambda rows: np.array(rows, dtype=np.float64).T
)


def test_scaled_radius_by_hand() -> None:
    radius = scaled_radius(
        np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[2.0, 0.5], [1.0, 1.0]]), np.array([[7.0, 3.0], [0.0, 0.0]])
    )
    assert radius.tolist() == [5, 0]


def test_coverage_by_hand() -> None:
    assert coverage(np.array([0.5, 1.0, 2.0, 3.0]), [0.4, 1.0, 2.5, 9.0]) == [0, 0.5, 0.75, 1]
    assert np.isnan(coverage(np.zeros(0), [1.0, 2.0])).tolist() == [True, True]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_coverage_of_gaussians(dim: int) -> None:
    rng = np.random.default_rng(0)
    std = rng.uniform(0.1, 5, (40_000, dim))
    predicted = rng.uniform(-50, 50, (40_000, dim))
    radius = scaled_radius(predicted, std, predicted + std * rng.standard_normal(std.shape))
    levels = (0.1, 0.5, 0.9, 0.95)
    assert coverage(radius, [stats.chi(dim).ppf(level) for level in levels]) == pytest.approx(levels, abs=0.01)


@given(pairs)
def test_correlations_are_scipys(columns: np.ndarray) -> None:
    a, b = columns
    assume(np.ptp(a) > 0 and np.ptp(b) > 0)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30, unique=True))
def test_ranks_see_order_only(values: list[float]) -> None:
    a = np.array(values)
    order = np.argsort(np.argsort(a)).astype(float)
    assert rank_correlation(a, np.exp(order / 10)) == pytest.approx(1)
    assert rank_correlation(a, -order) == pytest.approx(-1)


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1.0, 1e200])
def test_correlation_does_not_depend_on_size(size: float) -> None:
    assert pearson(np.array([0.5, 0.6, 0.7]), size * np.array([1.0, 2.0, 0.0])) == pytest.approx(-0.5)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0])])
def test_without_spread_there_is_no_correlation(a: list[float], b: list[float]) -> None:
    assert math.isnan(pearson(np.array(a), np.array(b)))
    assert math.isnan(rank_correlation(np.array(a), np.array(b)))
