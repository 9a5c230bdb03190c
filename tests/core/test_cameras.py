"""Cameras: the way there and back, and those that are placed around a person."""

from __future__ import annotations

import numpy as np
import pytest
from camera_cases import by_hand, camera, people
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.cameras import Camera, check_upright, placed_around, reprojection_errors
from logpose.core.errors import InputError


def test_projection_is_the_formula() -> None:
    world = people(3)
    found = camera().project(camera().to_camera(world))
    np.testing.assert_allclose(found, by_hand(camera(), world), atol=1e-9)


def test_points_behind_the_camera_are_nowhere() -> None:
    points = np.array([[[0.0, 0, 1], [0.1, 0, -1]], [[0, 0, 0], [0.2, 0.1, 2]]])
    assert np.isnan(camera().project(points)).all(axis=-1).tolist() == [[False, True], [True, False]]
    errors = reprojection_errors(Camera(np.ones(2), np.zeros(2)), points, np.zeros((2, 2, 2)))
    np.testing.assert_allclose(errors, [[0, np.inf], [np.inf, np.hypot(0.1, 0.05)]])


@given(st.floats(-300, 300), st.floats(-200, 200), st.floats(0.5, 50))
def test_back_projection_undoes_projection(x: float, y: float, depth: float) -> None:
    pixel = np.array([[320 + x, 240 + y]])
    point = camera().back_project(pixel, np.array([depth]))
    assert point[0, 2] == depth
    np.testing.assert_allclose(camera().project(point), pixel, atol=0.01)


def test_nothing_is_projected_to_nothing() -> None:
    assert camera().back_project(np.zeros((0, 2)), np.zeros(0)).shape == (0, 3)


def walk(length: float) -> np.ndarray:
    """(40, 17, 3) of a person 1.7 m tall who walks along x, whose lowest joint is on a floor at 0.3."""
    body = np.random.default_rng(0).uniform([-0.4, -0.4, 0.3], [0.4, 0.4, 2.0], (17, 3))
    body[0, 2] = 0.3
    return body + np.linspace(0, length, 40)[:, None, None] * np.array([1.0, 0, 0]) + np.array([5.0, -3, 0])


@pytest.mark.parametrize("length", [0.0, 2.0, 8.0, 100.0])
def test_cameras_around_see_everything(length: float) -> None:
    points = walk(length)
    cameras = placed_around(points, 4, np.random.default_rng(0))
    assert len(cameras) == 4
    for eye in cameras:
        seen = eye.to_camera(points)
        pixels = eye.project(seen)
        assert seen[..., 2].min() >= 2
        assert ((pixels >= 0) & (pixels < 1000)).all()
        assert ((eye.focal > 1140) & (eye.focal < 1153)).all()
        assert (np.abs(eye.centre - 510) < 12).all()
        np.testing.assert_allclose(eye.rotation @ eye.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(eye.rotation) == pytest.approx(1)
        # Upright: what is above in the world is above in the image, and the middle of the path is in its middle.
        assert eye.rotation[0, 2] == pytest.approx(0)
        assert eye.rotation[1, 2] < 0
        flat = points.reshape(-1, 3)
        middle = eye.to_camera((flat.min(axis=0) + flat.max(axis=0)) / 2)
        np.testing.assert_allclose(eye.project(middle), eye.centre, atol=1e-6)


def test_cameras_stand_as_human36ms_do() -> None:
    points = walk(1.0)
    places = [-eye.rotation.T @ eye.translation for eye in placed_around(points, 4, np.random.default_rng(3))]
    flat = points.reshape(-1, 3)
    away = np.array(places) - (flat.min(axis=0) + flat.max(axis=0)) / 2
    distances = np.hypot(away[:, 0], away[:, 1])
    assert ((distances >= 4) & (distances <= 6)).all()
    assert ((np.array(places)[:, 2] > 0.3 + 1.29) & (np.array(places)[:, 2] < 0.3 + 1.71)).all()
    steps = np.diff(np.unwrap(np.arctan2(away[:, 1], away[:, 0])))
    assert (np.abs(np.abs(steps) - np.pi / 2) < 0.2 * np.pi / 2 + 1e-9).all()


def test_places_are_the_generators() -> None:
    one, same, other = (
        [eye.translation for eye in placed_around(walk(1.0), 3, np.random.default_rng(seed))] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("points", [np.zeros((0, 17, 3)), np.full((2, 17, 3), np.nan), np.full((1, 17, 3), 1e300)])
def test_nobody_to_place_cameras_around(points: np.ndarray) -> None:
    with pytest.raises(InputError, match="point"):
        placed_around(points, 4, np.random.default_rng(0))


# Which way is up

TURNS = [(axis, sign) for axis in range(3) for sign in (1, -1)]


def standing(frames: int = 30) -> np.ndarray:
    """(T, 3, 3): a head above two ankles along z, who lean and turn."""
    rng = np.random.default_rng(0)
    body = np.array([[0.0, 0, 1.7], [-0.1, 0, 0.1], [0.1, 0, 0.1]]) + rng.normal(0, 0.2, (frames, 3, 3))
    return body + rng.uniform(-3, 3, (frames, 1, 3))


@pytest.mark.parametrize(("axis", "sign"), TURNS)
@pytest.mark.parametrize("others", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_axis_that_points_up_is_named(axis: int, sign: int, others: tuple[int, int]) -> None:
    body = standing()
    turned = np.empty_like(body)
    turned[..., axis] = sign * body[..., 2]
    for place, (other, factor) in enumerate(zip([i for i in range(3) if i != axis], others, strict=True)):
        turned[..., other] = factor * body[..., place]
    if (axis, sign) == (2, 1):
        check_upright("a.npz", [turned], 0, [1, 2])
        return
    along = ("" if sign > 0 else "-") + "xyz"[axis]
    with pytest.raises(InputError, match=rf"^a\.npz.*along {along} "):
        check_upright("a.npz", [turned], 0, [1, 2])


def test_who_lies_about_may_be_upright() -> None:
    body = standing(400)
    lying = body.copy()
    for frame, angle in enumerate(np.linspace(0, 40 * np.pi, 400)):  # heads in all directions, a little raised
        lying[frame] = body[frame] @ np.stack([[1, 0, 0], [0, 0, -1], [np.cos(angle), np.sin(angle), 0.15]])
    check_upright("a.npz", [lying], 0, [1, 2])
    with pytest.raises(InputError, match="no axis"):
        check_upright("a.npz", [lying * [1, 1, -1]], 0, [1, 2])
    check_upright("a.npz", [], 0, [1, 2])
