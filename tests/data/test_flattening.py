"""The retina is found where it is, the crop lies flat, and the way back is exact."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.flattening import Flattening, cleaned, find_retina, flatten, steepest_path
from logpose.data.synthetic_oct import SyntheticScans


def test_white_that_reaches_the_edge_becomes_black_and_no_other() -> None:
    image = np.full((20, 30), 40, dtype=np.uint8)
    image[:3], image[:, 7], image[10:12, 20:25], image[15, 15] = 255, 255, 255, 254
    image[12:14, 28:] = 255  # a spot of speckle at the right edge
    example_input = cleaned(image)
    expected = image.copy()
    expected[:3], expected[:, 7] = 0, 0
    assert np.array_equal(example_input, expected)
    plain = np.full((5, 6), 9, dtype=np.uint8)
    assert np.array_equal(cleaned(plain), plain)
    assert not cleaned(np.full((5, 6), 255, dtype=np.uint8)).any()


@pytest.mark.parametrize("white", [255, 248, 222])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_calliper_is_filled_from_the_columns_beside_it(white: int, width: int) -> None:
    plain = np.tile(np.arange(10, 190, 3, dtype=np.uint8), (90, 1))  # brighter to the right, so that sides differ
    drawn = plain.copy()
    drawn[:50, 20 : 20 + width] = white
    assert np.array_equal(cleaned(drawn), plain)


def test_what_is_no_calliper_is_not_filled() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 120, (90, 60)).astype(np.uint8)
    image[:40, 10] = 250  # not long enough, although it touches the edge
    image[20:80, 20:25] = 250  # too broad
    image[20:80, 30] = 219  # not white enough
    image[40, 2:58] = 250  # across
    image[:80, :2] = 250  # at the side
    assert np.array_equal(cleaned(image), image)


def test_a_layer_so_bright_that_it_is_white_stays() -> None:
    image = np.full((200, 60), 40, dtype=np.uint8)
    image[80:90] = 255  # from one side to the other, as a specular nerve fibre layer
    assert np.array_equal(cleaned(image), image)
    image[100:102] = 255  # a calliper's line
    image[:, 55:] = 255  # what the registered scan does not show, and what touches it
    expected = image.copy()
    expected[[*range(80, 90), 100, 101]], expected[:, 55:] = 0, 0
    assert np.array_equal(cleaned(image), expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_membrane_is_found_in_drawn_scans(seed: int) -> None:
    scan = SyntheticScans(1, seed=seed, lesions=0.0)[0]
    edge, membrane, _ = find_retina(scan.image)
    assert np.abs(membrane - scan.truth[-1]).mean() < 5
    assert np.median(np.abs(edge - scan.truth[0])) < 4


@pytest.mark.parametrize("smooth", [1.5, 3.0])
def test_the_membrane_is_found_in_a_scan_without_speckle(smooth: float) -> None:
    """As denoised, or averaged over many: there nearly all is as even as what a screen draws."""
    for seed in range(4):
        scan = SyntheticScans(1, seed=seed, lesions=0.0)[0]
        image = cv2.GaussianBlur(scan.image, (0, 0), smooth)
        _, membrane, _ = find_retina(image)
        assert np.abs(membrane - scan.truth[-1]).mean() < 6


def test_what_a_screen_draws_is_not_taken_for_a_retina() -> None:
    scan = SyntheticScans(1, seed=0, lesions=0.0)[0]
    drawn = np.pad(scan.image, ((0, 40), (0, 0)))
    drawn[180:190, 20:110] = np.linspace(60, 255, 90).astype(np.uint8) // 30 * 30
    drawn[5:12, 5:40] = 230
    _, plain, _ = find_retina(np.pad(scan.image, ((0, 40), (0, 0))))
    _, found, _ = find_retina(drawn)
    assert np.abs(found - plain).max() < 3


def test_the_steepest_path_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    gain = rng.normal(size=(4, 5))
    best, paths = -np.inf, np.array(np.meshgrid(*[range(4)] * 5)).reshape(5, -1).T
    for path in paths:  # all moves are allowed: 4 rows are fewer than the steepest slope
        worth = sum(gain[row, column] for column, row in enumerate(path)) - 0.05 * np.abs(np.diff(path)).sum()
        if worth > best:
            best, winner = worth, path
    assert steepest_path(gain).tolist() == winner.tolist()


def test_in_the_crop_the_membrane_lies_on_one_row() -> None:
    scan = SyntheticScans(1, seed=2, lesions=0.0)[0]
    flat = flatten(scan.image, 112)
    assert (flat.shown, flat.rows, flat.scale) == (112, 112, 1.0)
    in_crop = (flat.to_crop(scan.truth) + 0.5) * 112
    assert np.abs(in_crop[-1] - 88).mean() < 5  # 11 of 14 parts
    crop = flat.crop(scan.image)
    for column in (0, 50, 127):
        for row in (20, 60, 100):
            at = row + flat.top[column]
            assert crop[row, column] == (scan.image[at, column] if 0 <= at < 160 else 0)


def test_a_thicker_retina_is_shown_whole() -> None:
    scan = SyntheticScans(1, seed=2, lesions=0.0)[0]
    flat = flatten(scan.image, 64)
    assert flat.shown > 64
    assert flat.crop(scan.image).shape == (64, 128)
    assert flat.to_crop(scan.truth).min() > -0.5
    assert flatten(scan.image, 64, shown=128).shown == 128


def test_pixels_and_coordinates_agree_when_the_crop_is_smaller() -> None:
    """A bright row of the scan is where the coordinates say."""
    image = np.zeros((300, 4), dtype=np.uint8)
    image[140:142] = 240
    flat = Flattening(np.full(4, 20), 224, 112)
    crop = flat.crop(image).astype(float)
    centre = (crop[:, 0] * np.arange(112)).sum() / crop[:, 0].sum()
    expected = (float(flat.to_crop(np.full((1, 4), 140.5))[0, 0]) + 0.5) * 112
    assert centre == pytest.approx(expected, abs=1e-6)


@given(shift=st.integers(-20, 20), factor=st.floats(0.7, 1.4))
def test_varied_about_the_membrane(shift: int, factor: float) -> None:
    flat = Flattening(np.array([10, 12]), 224, 112)
    membrane = flat.top + 176
    varied = flat.varied(shift, factor)
    assert varied.shown == round(224 / factor)
    at = (varied.to_crop(membrane[None].astype(float)) + 0.5) * 112
    plain = (flat.to_crop(membrane[None].astype(float)) + 0.5) * 112
    assert np.allclose(at, plain + shift / varied.scale, atol=1.5)


def test_real_scans_lie_flat(data_root: Path) -> None:
    from logpose.data.oct import open_scans

    scans = open_scans(data_root / "oct")
    apart, above = [], []
    for scan in scans.scans[::2]:
        _, membrane, _ = find_retina(cleaned(scan.image))
        known = np.isfinite(scan.rows[-1])
        apart.append(np.abs(scan.rows[-1] - membrane)[known].mean())
        above.append((membrane - scan.rows[0])[known].max())
    assert np.median(apart) < 6
    assert max(apart) < 16
    assert max(above) < 176  # what a crop of 224 rows shows above the membrane
