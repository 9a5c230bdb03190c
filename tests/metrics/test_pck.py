"""Distances and PCK, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from logpose.metrics.pck import distances, pck

PREDICTED = np.array([[[3.0, 4.0], [1.0, 1.0], [0.0, 0.0]], [[10.0, 0.0], [5.0, 5.0], [2.0, 2.0]]])
TRUTH = np.array([[[0.0, 0.0], [1.0, 1.0], [math.nan, 9.0]], [[10.0, 10.0], [5.0, 8.0], [2.0, 2.0]]])
VISIBLE = np.array([[1, 2, 0], [2, 2, 0]])


def test_distances() -> None:
    np.testing.assert_array_equal(distances(PREDICTED, TRUTH, VISIBLE), [[5, 0, math.nan], [10, 3, math.nan]])


def test_distances_in_space() -> None:
    apart = distances(np.array([[[1.0, 2.0, 2.0]]]), np.zeros((1, 1, 3)), np.array([[1]]))
    assert apart.tolist() == [[3]]


@pytest.mark.parametrize(
    ("threshold", "share"),
    # Relative distances: 5/50 = .1 and 0; 10/20 = .5 and 3/20 = .15
    [(0.0, 1 / 4), (0.099, 1 / 4), (0.1, 2 / 4), (0.15, 3 / 4), (0.49, 3 / 4), (0.5, 1.0)],
)
def test_pck(threshold: float, share: float) -> None:
    apart = distances(PREDICTED, TRUTH, VISIBLE)
    assert pck(apart, np.array([50.0, 20.0]), threshold) == share


def test_pck_of_nobody() -> None:
    assert math.isnan(pck(np.full((2, 3), math.nan), np.ones(2), 0.1))
    assert math.isnan(pck(np.zeros((0, 3)), np.zeros(0), 0.1))
