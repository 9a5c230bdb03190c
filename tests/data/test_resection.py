"""Cameras that correspondences tell: found, found in noise, and known to be found badly."""

from __future__ import annotations

import numpy as np
import pytest
from camera_cases import LENS, by_hand, camera, people
from hypothesis import given, settings
from hypothesis import strategies as st

from logpose.core.cameras import Camera, reprojection_errors
from logpose.core.errors import InputError
from logpose.data.resection import axis_error, recovered

SIZE = (480, 640)


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
    "too few": (WORLD[:29], PIXELS[:29], "29 points, .* 30"),
    "not finite": (WORLD * np.nan, PIXELS, "^0 points"),
    "a plane": (WORLD * [1, 1, 0], PIXELS, "points in a plane"),
    "a line": (WORLD[:, :1] * [1, 2, 3], PIXELS, "on a line"),
    "one place": (WORLD * 0, PIXELS, "points in a plane"),
    "one pixel": (WORLD, PIXELS * 0, "points in a plane"),
    "mirrored": (WORLD * [1, -1, 1], PIXELS, "mirrored"),
    "others": (WORLD, PIXELS[np.random.default_rng(0).permutation(len(PIXELS))], "no camera fits"),
    "noise": (
        WORLD,
        PIXELS + np.random.default_rng(0).normal(0, 6, PIXELS.shape),
        r"median reprojection error [5-9]\.\d px",
    ),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_determines_no_camera(case: str) -> None:
    world, pixels, message = DEGENERATE[case]
    with pytest.raises(InputError, match=message):
        recovered(world, pixels, SIZE)


@given(st.integers(0, 2**31), st.sampled_from(["noise", "behind", "flat", "tails", "grid"]), st.floats(-3, 6))
@settings(max_examples=40)
def test_nothing_but_a_sentence_comes_of_nonsense(seed: int, kind: str, size: float) -> None:
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(2, 20))
    world = 10**size * rng.normal(size=(frames, 15, 3)) + 10 ** rng.uniform(-3, 6) * rng.normal(size=3)
    pixels = {
        "noise": lambda: 10 ** rng.uniform(-2, 6) * rng.normal(size=(frames, 15, 2)),
        "behind": lambda: 500 * world[..., :2] / (world[..., 2:] + 3 * rng.normal()) + 320,
        "flat": lambda: 100 * rng.normal() * world[..., :2] + 300,
        "tails": lambda: 100 * np.abs(rng.standard_cauchy((frames, 15, 2))),
        "grid": lambda: np.round(rng.uniform(0, 3, (frames, 15, 2))),
    }[kind]()
    pixels = np.clip(pixels, -1e6, 1e6)
    try:
        found = recovered(world.reshape(-1, 3), pixels.reshape(-1, 2), SIZE)
    except InputError:
        return
    assert np.median(reprojection_errors(found, world, pixels)) <= 2
    assert axis_error(found, world, pixels) >= 0


# How sure the axes are


def posed(frames: int, far: float, seed: int = 0) -> np.ndarray:
    """(T, 15, 3): one body that bends a little in each frame, and goes `far` metres about."""
    rng = np.random.default_rng(seed)
    body = rng.uniform([-0.4, -0.4, 0.1], [0.4, 0.4, 1.7], (15, 3))
    way = far * np.stack([np.sin(np.linspace(0, 9, frames)), np.cos(np.linspace(0, 7, frames))], axis=1)
    bent = (
        0.05 * np.cumsum(rng.normal(0, 0.3, (frames, 15, 3)), axis=0) / np.sqrt(np.arange(1, frames + 1))[:, None, None]
    )
    return body + bent + np.concatenate([way, np.zeros((frames, 1))], axis=1)[:, None]


def shown(world: np.ndarray, noise: str, rng: np.random.Generator) -> np.ndarray:
    """Where they are seen with errors of 1 pixel of a kind."""
    pixels = by_hand(camera(), world.reshape(-1, 3)).reshape(*world.shape[:2], 2)
    if noise == "independent":
        return pixels + rng.normal(0, 1, pixels.shape)
    if noise == "of joints":
        return pixels + rng.normal(0, 1, (1, *pixels.shape[1:])) + rng.normal(0, 0.1, pixels.shape)
    slow = np.zeros_like(pixels)
    for frame in range(len(slow)):  # each error lasts for some five frames
        before = slow[frame - 1] if frame else rng.normal(0, 1, slow.shape[1:])
        slow[frame] = 0.8 * before + 0.6 * rng.normal(0, 1, slow.shape[1:])
    return pixels + slow


def off(found: Camera, world: np.ndarray) -> float:
    """How far positions relative to the root are off, root mean square."""
    from_root = world - world[:, :1]
    apart = from_root @ (found.rotation - camera().rotation).T
    return float(np.sqrt((apart**2).sum(axis=-1).mean()))


@pytest.mark.parametrize("noise", ["independent", "slow", "of joints"])
def test_the_axis_error_is_about_the_true_one(noise: str) -> None:
    report, true = [], []
    for seed in range(8):
        world = posed(120, 0.8, seed)
        pixels = shown(world, noise, np.random.default_rng(seed))
        found = recovered(world.reshape(-1, 3), pixels.reshape(-1, 2), SIZE)
        report.append(axis_error(found, world, pixels))
        true.append(off(found, world))
    ratio = np.sqrt(np.mean(np.square(report)) / np.mean(np.square(true)))
    assert 0.6 < ratio < 1.8
    assert (np.array(true) < 3 * np.array(report)).all()


def test_axes_of_exact_pixels_are_sure() -> None:
    for far in (0.0, 0.8):  # also of somebody who stays where they are
        world = posed(60, far)
        pixels = by_hand(camera(), world.reshape(-1, 3)).reshape(60, 15, 2)
        found = recovered(world.reshape(-1, 3), pixels.reshape(-1, 2), SIZE)
        assert axis_error(found, world, pixels) < 1e-5


def test_axes_of_somebody_who_hardly_moves_are_uncertain() -> None:
    rng = np.random.default_rng(3)
    for noise, far, least, most in (
        ("independent", 0.02, 3e-3, 1),
        ("of joints", 0.02, 5e-3, 9),
        ("independent", 1, 0, 3e-3),
    ):
        world = posed(240, far)
        pixels = shown(world, noise, rng)
        found = recovered(world.reshape(-1, 3), pixels.reshape(-1, 2), SIZE)
        assert np.median(reprojection_errors(found, world, pixels)) < 2, "no worse in the image"
        assert least < axis_error(found, world, pixels) < most


def test_how_unsure_is_in_the_unit_of_the_world_and_of_the_root() -> None:
    world = posed(60, 0.8)
    pixels = shown(world, "independent", np.random.default_rng(0))
    found = recovered(world.reshape(-1, 3), pixels.reshape(-1, 2), SIZE)
    larger = Camera(found.focal, found.centre, found.rotation, 1000 * found.translation, found.distortion)
    of_metres = axis_error(found, world, pixels)
    assert axis_error(larger, 1000 * world, pixels) == pytest.approx(1000 * of_metres, rel=1e-6)
    # From a joint at the end of the body the others are further than from its middle.
    ends = np.ptp(world[0], axis=0).argmax()
    assert axis_error(found, world, pixels, root=int(world[0, :, ends].argmax())) > 1.2 * axis_error(
        found, np.concatenate([world.mean(axis=1, keepdims=True), world[:, 1:]], axis=1), pixels
    )


def test_rows_that_are_wrong_do_not_make_axes_unsure() -> None:
    world, rng = posed(120, 0.8), np.random.default_rng(0)
    pixels = shown(world, "independent", rng)
    found = recovered(world.reshape(-1, 3), pixels.reshape(-1, 2), SIZE)
    spoiled = pixels.copy()
    spoiled[rng.random(pixels.shape[:2]) < 0.1] += 80
    assert axis_error(found, world, spoiled) == pytest.approx(axis_error(found, world, pixels), rel=0.2)


def test_of_a_few_points_nothing_is_sure() -> None:
    world = posed(1, 0.0)[:, :7]
    assert axis_error(camera(), world, by_hand(camera(), world[0])[None]) == np.inf
