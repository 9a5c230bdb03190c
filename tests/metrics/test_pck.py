"""Distances and PCK, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from logpose.metrics.pck import distances, pck, pckh, torso_size

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


# By the torso, by the head


def test_who_has_no_reference_is_left_out() -> None:
    apart = np.array([[1.0, 3.0], [1.0, 1.0]])
    assert pck(apart, np.array([10.0, math.nan]), 0.2) == 0.5
    assert math.isnan(pck(apart, np.array([math.nan, math.nan]), 0.2))


def test_torso_size() -> None:
    truth = np.array([[[0.0, 0], [3, 4], [0, 1], [6, 9]]] * 4)  # shoulder, hip; shoulder, hip
    truth[3, 1] = 0
    visible = np.array([[2, 1, 2, 2], [0, 2, 2, 2], [0, 2, 2, 0], [2, 2, 2, 0]])
    size = torso_size(truth, visible, ((0, 1), (2, 3)))
    np.testing.assert_array_equal(size, [5, 10, math.nan, math.nan])
    assert np.isnan(torso_size(truth, visible, ())).all()


def test_pckh_by_hand() -> None:
    joints = ("r_ankle", "pelvis", "thorax", "head_top")
    nan = math.nan
    # Head sizes 10 and 20: half of them is 5 and 10, a tenth 1 and 2.
    apart = np.array([[4.9, 0, 0, 5.0], [nan, 100, 100, 1.9]])
    figures = pckh(apart, np.array([10.0, 20.0]), joints)
    assert figures["pckh@0.5"] == pytest.approx(2 / 3)  # 5.0 is not below 5; pelvis and thorax are not counted
    assert figures["pckh@0.1"] == pytest.approx(1 / 3)
    assert figures["pckh@0.5_r_ankle"] == 1
    assert figures["pckh@0.5_pelvis"] == 0.5
    assert figures["pckh@0.5_head_top"] == 0.5
    # Relative distances .49, .5 and .095: the first counts at one threshold of 51, the second at none, the third at 41.
    assert figures["pckh_auc"] == pytest.approx((1 + 0 + 41) / (3 * 51))


def test_pckh_of_joints_of_which_some_do_not_count() -> None:
    nan = math.nan
    apart = np.array([[4.9, 5.1, 0.0], [9.0, 11.0, 0.0]])
    figures = pckh(apart, np.array([[10.0, 10.0, nan], [20.0, nan, 20.0]]), ("r_ankle", "head_top", "Pelvis"))
    assert figures["pckh@0.5"] == pytest.approx(2 / 3)  # 4.9, 5.1 and 9.0; the pelvis counts nowhere
    assert figures["pckh@0.5_head_top"] == 0
    assert figures["pckh@0.5_Pelvis"] == 1


def test_pckh_of_nobody() -> None:
    figures = pckh(np.full((2, 2), math.nan), np.array([1.0, 1.0]), ("a", "b"))
    assert math.isnan(figures["pckh@0.5"])
    assert math.isnan(figures["pckh_auc"])
