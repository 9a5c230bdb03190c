"""Joints in space: from an image and depths up to a shift the joints again, given the depth of the root."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.cameras import Camera
from logpose.core.skeletons import COCO, H36M
from logpose.core.space import InSpace, Space, lifted, middle_depth, relative
from logpose.data import InMemory
from logpose.data.synthetic import SyntheticPeople

ROOTS = [(), (0,), (3, 5), (1, 2, 6)]
LENS = np.array([-0.2, 0.24, -0.002, 0.001, -0.002])  # of the size of Human3.6M's


def case(seed: int, lens: bool = False) -> tuple[np.ndarray, Camera]:
    """Seven joints 3 to 5 m in front of a camera, millimetres."""
    rng = np.random.default_rng(seed)
    bent = LENS if lens else np.zeros(5)
    camera = Camera(rng.uniform(300, 1500, 2), rng.uniform(100, 600, 2), distortion=bent)
    return rng.uniform([-600, -900, 3000], [600, 900, 5000], (7, 3)), camera


def seen(joints: np.ndarray, camera: Camera, shift: float) -> np.ndarray:
    """The output of a faultless network: pixels, and depths up to a shift."""
    return np.column_stack([camera.project(joints), joints[:, 2] + shift])


@given(st.integers(0, 2**31), st.sampled_from(ROOTS), st.booleans(), st.floats(-1e4, 1e4))
def test_projected_and_lifted_again(seed: int, root: tuple[int, ...], lens: bool, shift: float) -> None:
    joints, camera = case(seed, lens)
    found = lifted(seen(joints, camera, shift), camera, middle_depth(joints, root), root)
    np.testing.assert_allclose(found, joints, atol=0.1 if lens else 1e-6)  # mm; a lens is undone step by step


@given(st.integers(0, 2**31), st.sampled_from(ROOTS), st.floats(-1e4, 1e4))
def test_a_shift_of_all_depths_changes_nothing(seed: int, root: tuple[int, ...], shift: float) -> None:
    joints, camera = case(seed)
    wrong = seen(joints, camera, 0) + np.random.default_rng(seed).normal(0, 20, joints.shape)
    moved = wrong + np.array([0, 0, shift])
    np.testing.assert_allclose(lifted(moved, camera, 4000, root), lifted(wrong, camera, 4000, root), atol=1e-6)


@given(st.integers(0, 2**31), st.sampled_from(ROOTS))
def test_the_root_lies_at_the_given_depth(seed: int, root: tuple[int, ...]) -> None:
    joints, camera = case(seed)
    assert middle_depth(lifted(seen(joints, camera, 0), camera, 4321.0, root), root) == pytest.approx(4321)


def test_an_error_of_depth_moves_a_joint_along_its_ray() -> None:
    camera = Camera(np.array([100.0, 100.0]), np.array([50.0, 50.0]))
    keypoints = np.array([[50.0, 50.0, 0.0], [150.0, 50.0, 10.0]])  # the second at 45° to the right, 10 mm behind
    np.testing.assert_allclose(lifted(keypoints, camera, 2000, (0,)), [[0, 0, 2000], [2010, 0, 2010]])
    np.testing.assert_allclose(lifted(keypoints, camera, 2000, (1,)), [[0, 0, 1990], [2000, 0, 2000]])


@given(st.integers(0, 2**31), st.sampled_from(ROOTS))
def test_relative_positions(seed: int, root: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, 1000, (2, 4, 7, 3))
    found = relative(joints, root)
    np.testing.assert_allclose(found[..., list(root) or slice(None), :].mean(axis=-2), 0, atol=1e-9)
    np.testing.assert_allclose(np.diff(found, axis=-2), np.diff(joints, axis=-2), atol=1e-9)
    np.testing.assert_allclose(relative(joints + rng.normal(0, 1000, (2, 4, 1, 3)), root), found, atol=1e-9)
    np.testing.assert_allclose(relative(found, root), found, atol=1e-9)


def test_the_middle_of_the_root() -> None:
    joints = np.zeros((18, 3))
    joints[:, 2] = np.arange(18)
    assert middle_depth(joints, H36M.root) == 0
    assert middle_depth(joints, COCO.root) == 11.5  # both hips
    assert middle_depth(joints, ()) == 8.5


def test_an_unknown_joint_is_not_known_elsewhere() -> None:
    joints = np.arange(9.0).reshape(3, 3)
    joints[1] = np.nan
    np.testing.assert_array_equal(np.isnan(relative(joints, (0,))).any(axis=1), [False, True, False])
    assert np.isnan(relative(joints, (1,))).all()
    assert np.isnan(middle_depth(joints, (1, 2)))


def test_who_is_in_space() -> None:
    people = SyntheticPeople(2)
    assert isinstance(people, InSpace)
    assert isinstance(InMemory(people), InSpace)
    assert not isinstance(Space(*case(0)), InSpace)
    assert Space(*case(0)).group == "all"
