"""The stage: people are placed where they can be seen, and what stands before them owns its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.data.backgrounds import backdrop, bounds, clutter, inside, main_place, occlude, other_place, photograph
from logpose.data.bodies import Actor
from logpose.data.rendering import Camera, Canvas

SIZE = (128, 96)


def test_bounds() -> None:
    mask = np.zeros(SIZE, bool)
    assert (bounds(mask) == 0).all()
    mask[3:7, 10:30] = True
    assert bounds(mask).tolist() == [10, 3, 20, 4]


def test_inside() -> None:
    points = np.array([(0.0, 0.0), (95.0, 127.0), (95.1, 5.0), (5.0, -0.1)])
    assert inside(points, SIZE).tolist() == [True, True, False, False]


@pytest.mark.parametrize("seed", range(20))
def test_the_plain_main_person_is_wholly_in_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = Camera.random(rng, SIZE)
    actor = Actor.random(rng, camera)
    points = actor.points + main_place(rng, camera, actor, SIZE, plain=True)
    assert (points[:, 2] > 0.3).all()
    pixels = camera.project(points)
    # Perspective makes what is near a little larger than planned.
    assert inside(pixels * 0.8 + 0.1 * np.array(SIZE[::-1]), SIZE).all()
    assert np.ptp(pixels, axis=0).max() > 0.2 * min(SIZE)


def test_others_stand_on_the_same_ground_apart() -> None:
    rng = np.random.default_rng(0)
    camera = Camera.random(rng, SIZE)
    main = np.array([0.0, 1.0, 5.0])
    for _ in range(30):
        place = other_place(rng, camera, [main], SIZE[1], plain=False)
        assert (camera.turn.T @ (place - main))[1] == pytest.approx(0, abs=1e-9)
        assert np.linalg.norm(place - main) > 0.3


def test_occluders_own_what_they_cover() -> None:
    covered = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        canvas = Canvas(np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, 3, np.float32), np.ones(SIZE, np.uint8))
        occlude(rng, canvas, np.array([20.0, 20.0, 50.0, 80.0]))
        np.testing.assert_array_equal(canvas.owner == 0, canvas.depth == 0)
        assert not canvas.image[canvas.depth > 0][:, 0].std() > 30
        covered += bool((canvas.depth == 0).any())
    assert 5 < covered < 25


def test_backdrops_and_photographs_vary() -> None:
    rng = np.random.default_rng(0)
    images = [backdrop(rng, Camera.random(rng, SIZE), SIZE) for _ in range(20)]
    assert all(image.shape == (*SIZE, 3) and image.dtype == np.uint8 for image in images)
    assert np.std([image.mean() for image in images]) > 10
    assert np.median([image.std() for image in images]) > 20
    taken = [photograph(rng, images[0]) for _ in range(20)]
    assert len({image.tobytes() for image in taken}) == 20


def test_a_large_photograph_has_noise_everywhere() -> None:
    grey = np.full((700, 600, 3), 120, np.uint8)
    taken = [photograph(np.random.default_rng(seed), grey) for seed in range(8)]
    noisy = [image for image in taken if image[:100, :100].std(axis=(0, 1)).max() > 1]
    assert noisy
    assert all(image[-100:, -100:].std(axis=(0, 1)).max() > 1 for image in noisy)


def test_clutter_is_nobodys_and_far() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        things = clutter(rng, Camera.random(rng, SIZE), SIZE, 9.0)
        assert (things.owner == 0).all()
        assert (things.start[:, 2] > 7).all()
