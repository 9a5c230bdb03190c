"""The painted shape, depth and order of parts agree with geometry."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.data.rendering import Camera, Canvas, Material, Parts, paint, textures, turns

SIZE = (80, 100)
CAMERA = Camera(100.0, (49.5, 39.5), np.eye(3))
LIGHT = np.array([0.0, 0.0, -1.0])
RED, BLUE = Material((200.0, 0.0, 0.0), (200.0, 0.0, 0.0)), Material((0.0, 0.0, 200.0), (0.0, 0.0, 200.0))


def example_input() -> Canvas:
    return Canvas(np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, np.inf, np.float32), np.zeros(SIZE, np.uint8))


def part(start, end, axes, look=(RED, RED, 2.0), taper=1.0, owner=1) -> Parts:
    matrix = np.asarray(axes, dtype=float) * np.eye(3) if np.ndim(axes) < 2 else np.asarray(axes)
    one = np.array([owner], dtype=np.uint8)
    return Parts(np.array([start]), np.array([end]), matrix[None], np.array([taper]), [look], one)


def test_a_ball_is_a_disc_with_the_depth_of_a_ball() -> None:
    canvas = example_input()
    paint(canvas, CAMERA, part((0.0, 0.0, 4.0), (0.0, 0.0, 4.0), 0.8), LIGHT, 0.5)
    assert (canvas.owner == 1).sum() == pytest.approx(np.pi * 20**2, rel=0.02)
    assert canvas.depth[40, 50] == pytest.approx(3.2, abs=0.01)
    x = np.arange(32, 68)
    height = 0.8 * np.sqrt(1 - ((x - 49.5) / 20) ** 2)
    np.testing.assert_allclose(canvas.depth[40, x], 4 - height, atol=0.03)
    assert np.isinf(canvas.depth[0, 0])


def test_a_turned_ellipsoid_has_its_shadow() -> None:
    turned = turns(np.array([(20.0, 35.0, 50.0)]))[0] * np.array([0.9, 0.3, 0.5])
    canvas = example_input()
    paint(canvas, CAMERA, part((0.0, 0.0, 4.0), (0.0, 0.0, 4.0), turned), LIGHT, 0.5)
    flat = (turned @ turned.T)[:2, :2] * 25**2
    y, x = np.nonzero(canvas.owner)
    assert len(x) == pytest.approx(np.pi * np.linalg.det(flat) ** 0.5, rel=0.05)
    np.testing.assert_allclose(np.cov(x, y) * 4, flat, rtol=0.15, atol=6)


def test_a_limb_covers_its_axis_and_no_more_than_its_width() -> None:
    canvas = example_input()
    start, end = np.array([-1.0, -0.8, 4.0]), np.array([1.2, 0.6, 4.0])
    paint(canvas, CAMERA, part(start, end, 0.16, taper=0.5), LIGHT, 0.5)
    a, b = CAMERA.project(np.array([start, end]))
    for share in np.linspace(0, 1, 20):
        x, y = np.rint(a + share * (b - a)).astype(int)
        assert canvas.owner[y, x] == 1
    y, x = np.nonzero(canvas.owner)
    across = np.abs((x - a[0]) * (b - a)[1] - (y - a[1]) * (b - a)[0]) / np.linalg.norm(b - a)
    assert across.max() < 4.6  # 0.16 m at 4 m are 4 pixels
    assert across.max() > 3.0


@pytest.mark.parametrize("first", [0, 1])
def test_the_closer_is_seen_in_whatever_order(first: int) -> None:
    near = part((0.0, 0.0, 2.0), (0.0, 0.0, 2.0), 0.1, (RED, RED, 2.0), owner=1)
    far = part((0.0, 0.0, 4.0), (0.0, 0.0, 4.0), 0.8, (BLUE, BLUE, 2.0), owner=2)
    canvas = example_input()
    for parts in (near, far)[:: 1 if first else -1]:
        paint(canvas, CAMERA, parts, LIGHT, 0.5)
    together = example_input()
    paint(together, CAMERA, Parts.joined([far, near]), LIGHT, 0.5)
    for result in (canvas, together):
        assert result.owner[40, 50] == 1
        assert result.owner[40, 62] == 2
        assert result.image[40, 50, 0] > 100 > result.image[40, 50, 2]
        assert result.image[40, 62, 2] > 60


def test_material_changes_at_the_border() -> None:
    canvas = example_input()
    limb = part((-1.0, 0.0, 4.0), (1.0, 0.0, 4.0), 0.2, (RED, BLUE, 0.5))
    paint(canvas, CAMERA, limb, LIGHT, 0.5)
    assert canvas.image[40, 40, 0] > 0 == canvas.image[40, 40, 2]
    assert canvas.image[40, 60, 2] > 0 == canvas.image[40, 60, 0]


def test_light_comes_from_where_it_is() -> None:
    canvas = example_input()
    ball = part((0.0, 0.0, 4.0), (0.0, 0.0, 4.0), 0.8)
    paint(canvas, CAMERA, ball, np.array([-1.0, 0.0, 0.0]), 0.2)
    assert canvas.image[40, 35, 0] > canvas.image[40, 65, 0] + 30


def test_what_is_outside_the_image_is_left_out() -> None:
    canvas = example_input()
    paint(canvas, CAMERA, part((9.0, 0.0, 4.0), (9.0, 1.0, 4.0), 0.2), LIGHT, 0.5)
    assert not canvas.owner.any()
    assert not canvas.image.any()


def test_textures_tile_and_differ() -> None:
    bank = textures()
    assert bank.shape[1:] == (64, 64)
    assert (bank[0] == 0).all()
    assert (bank[1:].std(axis=(1, 2)) > 10).all()
    assert len({row.tobytes() for row in bank}) == len(bank)


def test_turns_are_rotations() -> None:
    degrees = np.random.default_rng(0).uniform(-180, 180, (20, 3))
    matrices = turns(degrees)
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    np.testing.assert_allclose(turns(np.array([(90.0, 0.0, 0.0)]))[0] @ (0, 1, 0), (0, 0, 1), atol=1e-12)
