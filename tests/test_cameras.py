"""Cameras: the way there and back, those that correspondences tell, those that are placed around a person."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.cameras import Camera, placed_around, recovered, reprojection_errors
from logpose.structures import InputError

SIZE = (480, 640)
LENS = np.array([-0.29, 0.11, -0.0014, 0.0011, 0.01])
"""About that of HumanEva's first camera."""


def turned(x: float, z: float) -> np.ndarray:
    """A turn about the x axis, then the z axis, radians."""
    cx, sx, cz, sz = np.cos(x), np.sin(x), np.cos(z), np.sin(z)
    return np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])


def camera(lens: np.ndarray = LENS) -> Camera:
    """Four metres from the origin of a world whose z axis points up."""
    return Camera(
        np.array([766.0, 765.0]), np.array([300.0, 232.0]), turned(np.pi / 2, 0.1), np.array([0.1, 0.8, 4.0]), lens
    )


def people(frames: int = 60, seed: int = 0) -> np.ndarray:
    """(N, 3): joints of 15 in each frame, a metre apart, of somebody who walks about."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform([-1, -1, 0.7], [1, 1, 1.1], (frames, 1, 3))
    return (middles + rng.uniform(-0.5, 0.5, (frames, 15, 3))).reshape(-1, 3)


def by_hand(camera: Camera, world: np.ndarray) -> np.ndarray:
    """Pixels by Brown's formula, point by point (OpenCV's documentation of `projectPoints`)."""
    k1, k2, p1, p2, k3 = camera.distortion
    pixels = []
    for point in world:
        x, y, z = camera.rotation @ point + camera.translation
        a, b = x / z, y / z
        r2 = a * a + b * b
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        u = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)
        v = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b
        pixels.append([camera.focal[0] * u + camera.centre[0], camera.focal[1] * v + camera.centre[1]])
    return np.array(pixels)


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


@pytest.mark.parametrize("lens", [np.zeros(5), LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize("unit", [1.0, 1000.0], ids=["metres", "millimetres"])
def test_a_camera_is_recovered(lens: np.ndarray, unit: float) -> None:
    world = people()
    found = recovered(unit * world, by_hand(camera(lens), world), SIZE)
    np.testing.assert_allclose(found.focal, camera().focal, rtol=1e-3)
    np.testing.assert_allclose(found.centre, camera().centre, atol=0.5)
    np.testing.assert_allclose(found.rotation, camera().rotation, atol=1e-3)
    np.testing.assert_allclose(found.translation, unit * camera().translation, atol=unit * 5e-3)
    assert reprojection_errors(found, unit * world, by_hand(camera(lens), world)).max() < 0.01


def test_wrong_rows_do_not_matter() -> None:
    world, rng = people(200), np.random.default_rng(1)
    truth = by_hand(camera(), world)
    pixels = truth.copy()
    wrong = rng.random(len(pixels)) < 0.2
    pixels[wrong] = rng.uniform(0, [640, 480], (wrong.sum(), 2))
    world[5], pixels[7] = np.nan, np.inf
    found = recovered(world, pixels, SIZE)
    right = np.isfinite(world).all(axis=1)
    assert reprojection_errors(found, world[right], truth[right]).max() < 0.01


def test_noise_is_averaged_away() -> None:
    world = people(200)
    pixels = by_hand(camera(), world)
    found = recovered(world, pixels + np.random.default_rng(2).normal(0, 1, pixels.shape), SIZE)
    assert np.median(reprojection_errors(found, world, pixels)) < 0.3


def test_recovering_twice_is_the_same() -> None:
    pixels = by_hand(camera(), people()) + np.random.default_rng(2).normal(0, 1, (900, 2))
    once, twice = (recovered(people(), pixels, SIZE) for _ in range(2))
    assert (once.matrix == twice.matrix).all()
    assert (once.translation == twice.translation).all()


WORLD = people()
PIXELS = by_hand(camera(), WORLD)
DEGENERATE = {
    "too few": (WORLD[:29], PIXELS[:29], "at least 30 points, not from 29"),
    "not finite": (WORLD * np.nan, PIXELS, "not from 0"),
    "a plane": (WORLD * [1, 1, 0], PIXELS, "points in a plane"),
    "a line": (WORLD[:, :1] * [1, 2, 3], PIXELS, "points in a plane, on a line"),
    "one place": (WORLD * 0, PIXELS, "in one place"),
    "one pixel": (WORLD, PIXELS * 0, "in one place"),
    "mirrored": (WORLD * [1, -1, 1], PIXELS, "mirrored"),
    "others": (WORLD, PIXELS[np.random.default_rng(0).permutation(len(PIXELS))], r"no camera shows these points"),
    "noise": (
        WORLD,
        PIXELS + np.random.default_rng(0).normal(0, 6, PIXELS.shape),
        r"is [5-9]\.\d px off in the median",
    ),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_tells_no_camera(case: str) -> None:
    world, pixels, message = DEGENERATE[case]
    with pytest.raises(InputError, match=message):
        recovered(world, pixels, SIZE)


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
        # Upright: what is above in the world is above in the picture, and the middle of the path is in its middle.
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
    with pytest.raises(InputError, match="cameras are placed around points"):
        placed_around(points, 4, np.random.default_rng(0))
