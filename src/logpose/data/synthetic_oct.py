"""Synthetic B-scans: known boundaries, and labels with noise of a known distribution.

Seven layers lie on Bruch's membrane, each of a brightness of its own, thinner where the fovea is. Light comes from
above: vessels throw shadows. Some retinas are swollen by a dark cyst. Over all lies speckle: the brightness is
multiplied by a gamma-distributed number.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from logpose.core.errors import InputError
from logpose.data.scans import RETINA, SyntheticScan

__all__ = ["ScanNoise", "SyntheticScans"]

# Of each layer from the top: rows of 160 that it is thick, and how bright it is beside the brightest.
THICKNESS = np.array([6.0, 14.0, 8.0, 8.0, 17.0, 5.0, 6.0])
BRIGHTNESS = np.array([0.75, 0.50, 0.26, 0.44, 0.14, 0.80, 1.0])
VITREOUS, CHOROID = 0.07, 0.55  # above, and below, where it fades
INNER = 5  # layers that the fovea pushes aside, all but the photoreceptors
LOOKS = 4.0  # of the speckle: the shape of its gamma distribution
MICROMETRES = 5.0  # to a row; the retina is 64 rows thick, 320 µm
WAVES = 6  # of a random course, of 1, 2, … half periods over the scan


@dataclass(frozen=True)
class ScanNoise:
    """Labels = truth + std × e, e Laplace-distributed with standard deviation 1, drawn for each column and boundary.

    Independent from column to column, unlike a line drawn by hand; so the distribution is exactly known.
    """

    rows: float = 0.8
    """Standard deviation of the sharpest boundary, in rows; that of others is larger by `FAINT`."""
    shadow: float = 3.0
    """How many times as large it is in the middle of a vessel's shadow."""
    missing: float = 0.06
    """Share of columns without labels, in gaps; roughly."""


FAINT = np.array([1.0, 1.5, 1.6, 1.8, 1.6, 1.0, 1.3, 1.2])
"""Of each boundary, how much larger its labels' standard deviation is than that of the sharpest."""


class SyntheticScans:
    """Synthetic B-scans of (H, W) pixels, each computed on access, always the same.

    `lesions` is the share of scans with a cyst; without `noise` the labels are the truth.

    Raises:
        InputError: if an argument is out of range.
    """

    def __init__(
        self,
        count: int,
        seed: int = 0,
        size: tuple[int, int] = (160, 128),
        noise: ScanNoise | None = None,
        lesions: float = 0.2,
    ) -> None:
        if count < 1 or seed < 0 or min(size) < 64:
            got = f"got {count}, {seed}, {size}"
            raise InputError(f"synthetic scans: expected count >= 1, seed >= 0, sides >= 64; {got}")
        self.count, self.seed, self.size, self.noise, self.lesions = count, seed, size, noise, lesions
        self.skeleton = RETINA

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SyntheticScan:
        if not 0 <= index < self.count:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, index))
        height, width = self.size
        x = np.linspace(0, 1, width)
        unit = height / 160
        thickness = unit * THICKNESS[:, None] * np.exp([0.25 * _course(rng, x) for _ in THICKNESS])
        fovea = rng.uniform(0.3, 0.7) if rng.random() < 0.7 else rng.uniform(-1, 2)
        pit = rng.uniform(0.5, 0.92) * np.exp(-0.5 * ((x - fovea) / rng.uniform(0.06, 0.12)) ** 2)
        thickness[:INNER] *= 1 - pit
        cyst = None
        if rng.random() < self.lesions:  # it swells the inner nuclear layer
            inside = 1 - ((x - rng.uniform(0.2, 0.8)) / rng.uniform(0.08, 0.18)) ** 2
            cyst = unit * rng.uniform(10, 24) * np.sqrt(np.maximum(inside, 0))
            thickness[2] += cyst
        thickness = np.maximum(thickness, 0.6)
        bend = rng.uniform(-0.15, 0.15) * (x - 0.5) + rng.uniform(-0.2, 0.3) * (x - 0.5) ** 2 + 0.015 * _course(rng, x)
        membrane = height * (rng.uniform(0.6, 0.72) + bend)
        truth = np.concatenate([membrane - thickness[::-1].cumsum(axis=0)[::-1], membrane[None]])
        shadow = np.zeros_like(x)  # how deep in a vessel's shadow each column is, from 0 to 1
        for _ in range(rng.integers(0, 4)):
            vessel = np.exp(-0.5 * ((x - rng.uniform(0, 1)) / rng.uniform(0.008, 0.02)) ** 2)
            shadow = np.maximum(shadow, rng.uniform(0.5, 1) * vessel)
        image = self._image(rng, truth, shadow, cyst, unit)
        rows, std = truth, np.zeros_like(truth)
        if self.noise is not None:
            std = self.noise.rows * unit * FAINT[:, None] * (1 + (self.noise.shadow - 1) * shadow)
            rows = truth + std * rng.laplace(scale=np.sqrt(0.5), size=truth.shape)
            for _ in range(rng.poisson(10 * self.noise.missing)):  # gaps, each a tenth of the columns on average
                start = rng.integers(0, width)
                rows[:, start : start + rng.integers(1, width // 5)] = np.nan
        name = f"drawn {self.seed}-{index}"
        return SyntheticScan(image, rows, name, name, MICROMETRES / unit, truth, std)

    def _image(
        self,
        rng: np.random.Generator,
        truth: Float[np.ndarray, "D W"],
        shadow: Float[np.ndarray, "W"],
        cyst: Float[np.ndarray, "W"] | None,
        unit: float,
    ) -> UInt8[np.ndarray, "H W"]:
        """The image of such layers."""
        height, width = self.size
        y = np.arange(height)[:, None]
        bright = np.full((height, width), VITREOUS)
        levels = [*(BRIGHTNESS * np.exp(0.12 * rng.standard_normal(len(BRIGHTNESS)))), CHOROID]
        for row, level in zip(truth, levels, strict=True):
            bright += (level - bright) / (1 + np.exp(-(y - row) / (0.5 * unit)))  # boundaries are a little soft
        below = np.maximum(y - truth[-1], 0)
        bright *= np.exp(-below / (rng.uniform(15, 40) * unit))
        if cyst is not None:  # fluid, in the middle half of the layer that it swells
            middle, half = (truth[2] + truth[3]) / 2, 0.45 * cyst
            bright = np.where(abs(y - middle) < half, VITREOUS, bright)
        bright *= np.where(y > truth[1], 1 - 0.8 * shadow, 1.0)
        bright = np.maximum(bright, 0.02) * rng.uniform(0.7, 1.1)
        speckle = rng.gamma(LOOKS, 1 / LOOKS, size=bright.shape)
        seen = cv2.GaussianBlur(np.sqrt(bright * speckle), (0, 0), 0.6)  # what is shown is compressed
        return np.asarray(np.clip(200 * seen, 0, 254).astype(np.uint8))


def _course(rng: np.random.Generator, x: Float[np.ndarray, "W"]) -> Float[np.ndarray, "W"]:
    """A smooth random course of mean square 1 or so."""
    waves = np.arange(1, WAVES + 1)
    weights = rng.standard_normal(WAVES) / waves
    phases = rng.uniform(0, 2 * np.pi, (WAVES, 1))
    return np.asarray(weights @ np.cos(np.pi * waves[:, None] * x + phases))
