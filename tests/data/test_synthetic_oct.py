"""Synthetic B-scans: boundaries in order, labels of the distribution that is given, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from logpose.core.errors import InputError
from logpose.data.scans import RETINA, Scans
from logpose.data.synthetic_oct import ScanNoise, SyntheticScans


def test_boundaries_are_in_order_and_in_the_image() -> None:
    scans = SyntheticScans(12, seed=3, lesions=0.5)
    assert isinstance(scans, Scans)
    assert (len(scans), scans.skeleton) == (12, RETINA)
    for i in range(12):
        scan = scans[i]
        assert scan.image.shape == (160, 128)
        assert scan.rows.shape == (8, 128)
        assert np.array_equal(scan.rows, scan.truth)
        assert (np.diff(scan.truth, axis=0) > 0.5).all()
        assert scan.truth[-1].max() < 159


def test_each_is_the_same_again_and_other_than_the_others() -> None:
    scans = SyntheticScans(3, seed=1, noise=ScanNoise())
    again = SyntheticScans(3, seed=1, noise=ScanNoise())
    assert np.array_equal(scans[2].image, again[2].image)
    assert np.array_equal(scans[2].rows, again[2].rows, equal_nan=True)
    assert not np.array_equal(scans[1].image, scans[2].image)
    assert not np.array_equal(SyntheticScans(1, seed=2)[0].image, SyntheticScans(1, seed=1)[0].image)
    with pytest.raises(IndexError):
        scans[3]


def test_labels_are_noisy_by_the_given_distribution() -> None:
    scans = SyntheticScans(40, seed=5, noise=ScanNoise(rows=1.0, missing=0.1))
    error, gaps, spread = [], [], []
    for i in range(40):
        scan = scans[i]
        known = np.isfinite(scan.rows)
        assert (known.all(axis=0) | ~known.any(axis=0)).all()
        gaps.append(1 - known[0].mean())
        error.append(((scan.rows - scan.truth) / scan.label_std)[known])
        spread.append(scan.label_std)
    assert stats.kstest(np.concatenate(error), stats.laplace(scale=np.sqrt(0.5)).cdf).pvalue > 1e-3
    assert 0.03 < np.mean(gaps) < 0.2
    spread = np.concatenate(spread, axis=1)
    assert spread.min() == pytest.approx(1.0)
    assert 2.5 < spread[0].max() <= 3.0  # in a vessel's shadow


def test_layers_look_like_layers() -> None:
    """The vitreous is dark, the nerve fibres are bright, the outer nuclear layer is dark, the pigment is brightest."""
    scans = SyntheticScans(10, seed=7, lesions=0.0)
    levels = []
    for i in range(10):
        scan = scans[i]
        y = np.arange(160)[:, None]
        between = [(y < scan.truth[0] - 3)]
        between += [(y > scan.truth[k] + 1) & (y < scan.truth[k + 1] - 1) for k in (0, 4, 6)]
        levels.append([scan.image[where].mean() for where in between])
    vitreous, fibres, nuclear, pigment = np.mean(levels, axis=0)
    assert vitreous < nuclear < fibres < pigment


@pytest.mark.parametrize("settings", [{"count": 0}, {"count": 1, "seed": -1}, {"count": 1, "size": (160, 32)}])
def test_what_cannot_be_drawn(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="synthetic scans"):
        SyntheticScans(**settings)
