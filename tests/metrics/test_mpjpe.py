"""Errors in space by hand; the similarity against SciPy's rotations, pose by pose, and against a search."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from logpose.metrics.mpjpe import procrustes, spatial_errors

seeds = st.integers(0, 2**31)
MIRROR = np.array([-1.0, 1.0, 1.0])
NAN = math.nan


def poses(seed: int, count: int = 4, joints: int = 9) -> np.ndarray:
    """Poses as big as people, some metres away."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 400, (count, joints, 3)) + rng.normal(0, 3000, (count, 1, 3))


def similarity(pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pose scaled, turned and moved by something random."""
    turn = Rotation.random(random_state=int(rng.integers(2**31)))
    return rng.uniform(0.1, 10) * turn.apply(pose) + rng.normal(0, 3000, 3)


def one_by_one(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """One pose's best similarity, with SciPy's solution for the rotation."""
    source, target = predicted - predicted.mean(axis=0), truth - truth.mean(axis=0)
    turned = Rotation.align_vectors(target, source)[0].apply(source)
    return (turned * target).sum() / (source**2).sum() * turned + truth.mean(axis=0)


def squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a - b) ** 2).sum(axis=(1, 2))


def errors(
    predicted: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None, **more: Any
) -> dict[str, float]:
    """Figures of poses whose groups and joints have any names."""
    count, joints = truth.shape[:2]
    visible = np.ones((count, joints), dtype=int) if visible is None else visible
    given = {"groups": ["Walking"] * count, "joints": [f"j{k}" for k in range(joints)]} | more
    return spatial_errors(predicted, truth, visible, **given)


def velocity_error(predicted: np.ndarray, truth: np.ndarray, sequence: np.ndarray) -> float:
    """The error of the steps between frames; NaN where there is none."""
    labelled = (~np.isnan(truth).any(axis=2)).astype(int)
    return errors(predicted, truth, labelled, sequence=sequence).get("velocity", NAN)


# The best similarity


def test_procrustes_by_hand() -> None:
    # A cross, twice as large, a quarter turn about z, elsewhere.
    truth = np.array([[[1.0, 0, 0], [-1, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 3], [0, 0, -3]]])
    predicted = 2 * truth[..., [1, 0, 2]] * [-1, 1, 1] + [5, 6, 7]
    np.testing.assert_allclose(procrustes(predicted, truth), truth, atol=1e-12)
    # One joint in a line is off: means 1 and 2, deviations (-1, 0, 1) and (-2, -1, 3), so the scale is 5 / 2.
    line = np.array([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
    bent = np.array([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]])
    np.testing.assert_allclose(procrustes(line, bent)[0, :, 0], [-0.5, 2, 4.5], atol=1e-12)


@given(seeds, st.integers(3, 20))
def test_a_similarity_is_undone(seed: int, joints: int) -> None:
    truth, rng = poses(seed, joints=joints), np.random.default_rng(seed)
    predicted = np.stack([similarity(pose, rng) for pose in truth])
    np.testing.assert_allclose(procrustes(predicted, truth), truth, atol=1e-6 * np.ptp(truth))
    assert errors(predicted, truth)["pa_mpjpe"] <= 1e-6 * np.ptp(truth)
    assert errors(predicted, truth)["mpjpe"] > 1


@given(seeds, st.integers(4, 20), st.booleans())
def test_procrustes_is_scipys_pose_by_pose(seed: int, joints: int, mirrored: bool) -> None:
    truth, rng = poses(seed, joints=joints), np.random.default_rng(seed)
    predicted = np.stack([similarity(pose, rng) for pose in truth]) + rng.normal(0, 100, truth.shape)
    predicted = predicted * MIRROR if mirrored else predicted
    ours = squares(procrustes(predicted, truth), truth)
    theirs = squares(np.stack([one_by_one(p, t) for p, t in zip(predicted, truth, strict=True)]), truth)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@given(seeds)
def test_a_mirrored_pose_stays_mirrored(seed: int) -> None:
    truth, rng = poses(seed, joints=12), np.random.default_rng(seed)
    predicted = np.stack([similarity(pose, rng) for pose in truth * MIRROR])
    assert errors(predicted, truth)["pa_mpjpe"] > 10
    assert errors(predicted * MIRROR, truth)["pa_mpjpe"] < 1e-3


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_search_over_similarities_finds_nothing_better(mirrored: bool) -> None:
    truth, predicted = poses(1, 3, 6), poses(2, 3, 6) * (MIRROR if mirrored else 1)
    best = squares(procrustes(predicted, truth), truth)
    for pose, label, ours in zip(predicted, truth, best, strict=True):
        centre = pose.mean(axis=0)

        def left(x: np.ndarray, pose: np.ndarray = pose - centre, label: np.ndarray = label) -> float:
            moved = math.exp(x[3]) * Rotation.from_rotvec(x[:3]).apply(pose) + label.mean(axis=0) + 1e3 * x[4:]
            return float(((moved - label) ** 2).sum()) / 1e6

        rng = np.random.default_rng(3)
        found = [minimize(left, np.append(rng.uniform(-3, 3, 3), np.zeros(4))).fun * 1e6 for _ in range(12)]
        assert min(found) == pytest.approx(ours, rel=1e-5)


@given(seeds)
def test_the_best_similarity_leaves_no_more_squared_error_than_none(seed: int) -> None:
    truth = poses(seed)
    predicted = truth + np.random.default_rng(seed + 1).normal(0, 200, truth.shape)
    assert np.all(squares(procrustes(predicted, truth), truth) < squares(predicted, truth))


def test_squares_are_what_is_minimised_not_distances() -> None:
    # Five joints of six are right: the similarity moves them all to bring the sixth closer.
    truth = np.array([[[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]])
    predicted = truth + np.array([1.0, 0, 0]) * (np.arange(6) == 0)[:, None]
    figures = errors(predicted, truth)
    assert figures["mpjpe"] == pytest.approx(1 / 6)
    # No turn helps. Squares of what is around the mean: 9 - 1/6; its product with the truth: 7.
    scale = 7 / (9 - 1 / 6)
    around = predicted - [1 / 6, 0, 0]
    assert figures["pa_mpjpe"] == pytest.approx(np.linalg.norm(scale * around - truth, axis=-1).mean())
    assert figures["pa_mpjpe"] > figures["mpjpe"]


# Poses that leave the similarity open


@pytest.mark.parametrize("place", [0.0, 0.1, -4321.7])
def test_joints_in_one_point_go_to_the_mean(place: float) -> None:
    truth = poses(0, 1, 7)
    # One point, but for rounding: that is not blown up to the truth's size.
    point = place * (1 + 1e-15 * np.random.default_rng(0).standard_normal((1, 7, 3)))
    moved = procrustes(point, truth)
    np.testing.assert_allclose(moved, np.broadcast_to(truth.mean(axis=1, keepdims=True), truth.shape), rtol=1e-12)
    backwards = procrustes(truth, np.full((1, 7, 3), place))
    np.testing.assert_allclose(backwards, np.full((1, 7, 3), place), atol=1e-9)


@given(seeds, st.integers(0, 2), st.integers(0, 2), st.integers(1, 8))
def test_flat_poses_stay_finite(seed: int, rank: int, other: int, joints: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = (rng.normal(0, 100, (5, joints, r)) @ rng.normal(0, 1, (5, r, 3)) + 50 for r in (rank, other))
    moved = procrustes(predicted, truth)
    assert np.isfinite(moved).all()
    around = squares(truth, np.broadcast_to(truth.mean(axis=1, keepdims=True), truth.shape))
    assert np.all(squares(moved, truth) <= around * (1 + 1e-9) + 1e-9), "scale 0 is always to be had"


@given(seeds, st.sampled_from([1, 2]))
def test_a_flat_pose_is_found_again(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 400, (4, 8, rank)) @ rng.normal(0, 1, (4, rank, 3))
    # A mirrored flat pose is a turned one.
    predicted = np.stack([similarity(pose, rng) for pose in truth]) * MIRROR
    np.testing.assert_allclose(procrustes(predicted, truth), truth, atol=1e-6 * np.ptp(truth))


def test_few_labels() -> None:
    predicted, truth = poses(3), poses(4)
    visible = np.zeros((4, 9), dtype=int)
    visible[1, 5] = visible[2, [0, 8]] = visible[3] = 2
    moved = procrustes(predicted, truth, visible)
    np.testing.assert_array_equal(np.isfinite(moved), np.broadcast_to(visible[..., None] > 0, moved.shape))
    np.testing.assert_allclose(moved[1, 5], truth[1, 5])
    np.testing.assert_allclose(moved[3], procrustes(predicted[3:], truth[3:])[0])
    # Two joints fix a length and a direction.
    np.testing.assert_allclose(moved[2, [0, 8]], truth[2, [0, 8]])
    assert procrustes(predicted[:0], truth[:0]).shape == (0, 9, 3)


# What has no label does not count, what cannot be counted is named


@given(seeds, st.sampled_from([NAN, math.inf, -1e300, 7.0]), st.sampled_from([int, float]))
def test_what_has_no_label_changes_nothing(seed: int, garbage: float, kind: type) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted, visible = poses(seed), poses(seed + 1), np.zeros((4, 9), dtype=kind)
    visible[:, :5] = 1
    spoiled = np.where(visible[..., None] > 0, truth, garbage), np.where(visible[..., None] > 0, predicted, garbage)
    order = rng.permutation(9)
    visible, spoiled = visible[:, order], tuple(x[:, order] for x in spoiled)
    names = [f"j{k}" for k in order]
    sequence = np.zeros(4, dtype=int)
    figures = errors(spoiled[1], spoiled[0], visible, joints=names, sequence=sequence)
    alone = errors(predicted[:, :5], truth[:, :5], sequence=sequence)
    assert "velocity" in alone
    assert {name: figures[name] for name in alone} == pytest.approx(alone, rel=1e-9)
    assert all(math.isnan(figures[name]) for name in figures.keys() - alone.keys())
    assert len(figures) == len(alone) + 2 * 4


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    whole, broken = poses(0), poses(0)
    broken[2, 3, 1] = bad
    with pytest.raises(ValueError, match=r"pose 2: the position of joint 3 is not finite"):
        procrustes(broken, whole)
    with pytest.raises(ValueError, match=r"pose 2: the label of joint 3 is not finite"):
        errors(whole, broken)


# From frame to frame


def test_velocity_by_hand() -> None:
    truth = np.zeros((3, 2, 3))
    truth[:, 0, 0] = [0, 10, 30]
    predicted = np.zeros((3, 2, 3))
    predicted[:, 0, 0] = [0, 13, 33]
    predicted[2, 1] = [0, 3, 4]
    # Steps of joint 0: 13 and 20 for 10 and 20; of joint 1: 0 and 5 for 0 and 0.
    assert velocity_error(predicted, truth, np.array([7, 7, 7])) == pytest.approx((3 + 0 + 0 + 5) / 4)
    assert velocity_error(predicted, truth, np.array([7, 7, 2])) == pytest.approx(3 / 2)
    truth[0, 1] = NAN
    assert velocity_error(predicted, truth, np.array([7, 7, 7])) == pytest.approx((3 + 0 + 5) / 3)


def test_no_step_is_taken_from_or_to_a_joint_without_a_label() -> None:
    truth = np.zeros((3, 2, 3))
    predicted = truth.copy()
    predicted[1, 0] = truth[1, 0] = NAN
    assert velocity_error(predicted, truth, np.zeros(3, dtype=int)) == 0


@given(seeds)
def test_an_offset_does_not_move_and_sequences_are_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, sequence = poses(seed, 12), np.sort(rng.integers(0, 4, 12))
    # Every sequence has an offset of its own: a step across two of them would show.
    predicted = truth + rng.normal(0, 1000, (4, 9, 3))[sequence]
    assert velocity_error(predicted, truth, sequence) == pytest.approx(0, abs=1e-9)
    if sequence[0] != sequence[-1]:
        assert velocity_error(predicted, truth, np.zeros(12, dtype=int)) > 1


def test_a_sequence_that_comes_back_is_another_step() -> None:
    truth = np.zeros((4, 1, 3))
    predicted = truth + np.array([0.0, 100, 1, 104])[:, None, None] * [1.0, 0, 0]
    assert math.isnan(velocity_error(predicted, truth, np.array([0, 1, 0, 1])))
    assert velocity_error(predicted, truth, np.array([0, 1, 0, 0])) == 103


@pytest.mark.parametrize("count", [0, 1])
def test_no_neighbours_no_velocity(count: int) -> None:
    sequence = np.zeros(count, dtype=int)
    assert math.isnan(velocity_error(poses(0, count), poses(1, count), sequence))
    assert "velocity" not in errors(poses(0, count), poses(1, count), sequence=sequence)


# All figures


def test_figures_by_hand() -> None:
    # Two joints always fit after a similarity, so the third carries what is left.
    truth = np.array([[[0.0, 0, 0], [100, 0, 0], [0, 100, 0]]] * 4)
    predicted = truth.copy()
    predicted[0] += [0, 0, 6]
    predicted[1, 0] += [3, 4, 0]
    predicted[2] *= 2
    visible = np.array([[2, 2, 2], [1, 0, 0], [2, 2, 2], [0, 0, 0]])
    figures = errors(
        predicted, truth, visible,
        groups=["Walking Dog", "walking dog", "Eating", "Sitting"], joints=["pelvis", "r_knee", "nose"],
        sequence=np.array([0, 0, 1, 1]),
    )  # fmt: skip
    walking, eating = (6 * 3 + 5) / 4, 200 / 3
    assert list(figures) == [
        "mpjpe", "pa_mpjpe", "mpjpe_mean", "pa_mpjpe_mean",
        "velocity", "velocity_eating", "velocity_sitting", "velocity_walking_dog",
        "mpjpe_eating", "mpjpe_sitting", "mpjpe_walking_dog",
        "mpjpe_joint_pelvis", "mpjpe_joint_r_knee", "mpjpe_joint_nose",
        "pa_mpjpe_eating", "pa_mpjpe_sitting", "pa_mpjpe_walking_dog",
        "pa_mpjpe_joint_pelvis", "pa_mpjpe_joint_r_knee", "pa_mpjpe_joint_nose",
    ]  # fmt: skip
    for nothing in ("mpjpe_sitting", "pa_mpjpe_sitting", "velocity_eating", "velocity_sitting"):
        assert math.isnan(figures.pop(nothing))
    assert figures == pytest.approx(
        {
            "mpjpe": (6 * 3 + 5 + 200) / 7,
            "pa_mpjpe": 0,
            "mpjpe_mean": (walking + eating) / 2,
            "pa_mpjpe_mean": 0,
            "velocity": math.hypot(3, 4, 6),
            "velocity_walking_dog": math.hypot(3, 4, 6),
            "mpjpe_eating": eating,
            "mpjpe_walking_dog": walking,
            "mpjpe_joint_pelvis": (6 + 5 + 0) / 3,
            "mpjpe_joint_r_knee": (6 + 100) / 2,
            "mpjpe_joint_nose": (6 + 100) / 2,
            "pa_mpjpe_eating": 0,
            "pa_mpjpe_walking_dog": 0,
            "pa_mpjpe_joint_pelvis": 0,
            "pa_mpjpe_joint_r_knee": 0,
            "pa_mpjpe_joint_nose": 0,
        },
        abs=1e-9,
    )


@given(seeds)
def test_means_over_groups_are_means_of_each_alone(seed: int) -> None:
    truth, predicted = poses(seed, 6), poses(seed + 1, 6)
    groups = ["a", "b", "a", "c", "a", "b"]
    whole = errors(predicted, truth, groups=groups)
    parts = [errors(predicted[rows], truth[rows]) for rows in ([0, 2, 4], [1, 5], [3])]
    for name in ("mpjpe", "pa_mpjpe"):
        assert whole[f"{name}_mean"] == pytest.approx(np.mean([part[name] for part in parts]))
        assert whole[name] == pytest.approx(np.average([part[name] for part in parts], weights=[3, 2, 1]))
        assert [whole[f"{name}_{g}"] for g in "abc"] == pytest.approx([part[name] for part in parts])


@given(seeds)
def test_figures_of_joints_and_velocities_of_groups_are_those_of_each_alone(seed: int) -> None:
    truth, predicted = poses(seed, 9), poses(seed + 1, 9)
    groups, sequence = [*"aaabbbbaa"], np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    whole = errors(predicted, truth, groups=groups, sequence=sequence)
    # Steps within a sequence and a group: from rows 0, 1, of a, 4, 5, of b, and 7, of a.
    step = np.linalg.norm(np.diff(predicted, axis=0) - np.diff(truth, axis=0), axis=-1)
    assert whole["velocity_a"] == pytest.approx(step[[0, 1, 7]].mean())
    assert whole["velocity_b"] == pytest.approx(step[[4, 5]].mean())
    apart = np.linalg.norm(procrustes(predicted, truth) - truth, axis=-1)
    named = [whole[f"pa_mpjpe_joint_j{k}"] for k in range(9)]
    assert named == pytest.approx(apart.mean(axis=0))


def test_an_action_s_name_hides_no_figure() -> None:
    truth, predicted = poses(0, 3), poses(1, 3)
    usual = errors(predicted, truth, groups=["a", "b", "c"])
    found = errors(predicted, truth, groups=["mean", "joint j0", "c"])
    for name in ("mpjpe_mean", "pa_mpjpe_mean", "mpjpe_joint_j0"):
        assert found[name] == usual[name]
    assert (found["mpjpe_mean_"], found["mpjpe_joint_j0_"]) == (usual["mpjpe_a"], usual["mpjpe_b"])


def test_one_group_has_no_mean_over_groups() -> None:
    figures = errors(poses(0, 2, 3), poses(1, 2, 3), groups=["Eating", "eating"])
    parts = ["eating", *(f"joint_j{k}" for k in range(3))]
    assert list(figures) == ["mpjpe", "pa_mpjpe", *(f"mpjpe_{p}" for p in parts), *(f"pa_mpjpe_{p}" for p in parts)]
    assert figures["mpjpe_eating"] == figures["mpjpe"]


def test_nobody() -> None:
    figures = errors(poses(0, 0, 2), poses(0, 0, 2))
    of_joints = [f"{name}_joint_j{k}" for name in ("mpjpe", "pa_mpjpe") for k in range(2)]
    assert list(figures) == ["mpjpe", "pa_mpjpe", *of_joints]
    assert all(map(math.isnan, figures.values()))


def test_single_precision_loses_nothing_on_the_way() -> None:
    truth, predicted = (poses(s, 50).astype(np.float32) for s in (0, 1))
    double = errors(predicted.astype(np.float64), truth.astype(np.float64))
    assert errors(predicted, truth) == double


@pytest.mark.parametrize("more", [{"groups": ["a"] * 3}, {"joints": ["j"] * 8}])
def test_names_must_fit(more: dict[str, list[str]]) -> None:
    with pytest.raises(
        ValueError, match=r"(3 groups and 9|4 groups and 8) joints' names for poses of shape \(4, 9, 3\)"
    ):
        errors(poses(0), poses(1), **more)
