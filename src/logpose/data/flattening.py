"""Where the retina is in a B-scan, from the image alone, and the crop in which it lies flat.

A *B-scan* is an image of the retina in section: rows are depths, columns places along a line. *Flattening* moves every
column up or down so that the lowest of its eight boundaries, Bruch's membrane, lies on one row. A whole number of rows
each, so nothing is interpolated and the way back is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from logpose.core.errors import InputError

__all__ = ["Flattening", "check_height", "cleaned", "find_retina", "flatten"]

WHITE = 255
SPECK = 12  # pixels; a smaller white spot at the edge is speckle of a bright layer
NEAR_WHITE = 220  # grey values; a white line of one column that was a JPEG is nowhere darker
NARROW, LONG = 5, 41  # columns that it is narrower than, and rows at least: boxes of a screen are lower (both odd)
LINE, LAYER = 3, 30  # rows: higher than a drawn line, and at a side of the image no higher than a layer of the retina
EVEN = 15  # grey values by which what a screen draws differs from place to place at most (it may have been a JPEG)
MOST_EVEN = 0.1  # share of an image that a screen's drawings cover at most
ROW_UM = 3.87  # micrometres to a row, of the numbers of rows from here to the membrane (the Duke scans')
HEIGHTS = (0.1, 100.0)  # micrometres to a pixel, at least and at most: what OCT devices have lies between
FAINT = 8  # grey values; noise alone becomes brighter by so much at most, along the path where it does most
STRIPE = 4  # columns that are averaged before the search: speckle is finer than that, boundaries are not
SLOPE = 6  # rows that a path may go up or down from one stripe to the next
APART = 20  # rows between the two paths at least: the retina is 200 µm thick at its thinnest
THICKEST = 200  # and at most, swollen
BLUR, REACH = 2.5, 8  # rows; of the derivative across boundaries, and how many rows to either side are compared
TO_MEMBRANE = 12  # rows from where the photoreceptors begin to shine down to Bruch's membrane (45 µm)
SMOOTH = 25  # columns; of the membrane's course: it bends with the eye, not with a lesion on it
SHARE = 11 / 14  # of a crop's rows above the membrane where that is found: 176 of 224, and it can lie lower
ABOVE = 8  # rows that a crop shows above the retina at least, so far as that is found
STEP = 16  # rows by which a crop is enlarged


def check_height(um_per_px: float | None, name: str = "um_per_px") -> None:
    """Check the height of a pixel in micrometres.

    Raises:
        InputError: if it is outside `HEIGHTS`, those of OCT devices.
    """
    low, high = HEIGHTS
    if um_per_px is not None and not low <= um_per_px <= high:
        raise InputError(f"{name} must be the height of a pixel in micrometres, {low:g} to {high:g}, got {um_per_px:g}")


@dataclass(frozen=True)
class Flattening:
    """How a crop in which the retina lies flat comes from a B-scan, and the way back.

    Rows are pixel centres at whole numbers, of the scan and of the crop alike. Crop coordinates are row / rows - 0.5.
    """

    top: Int[np.ndarray, "W"]
    """The first row of the scan that the crop shows, in each column; may lie outside."""
    shown: int
    """Rows of the scan that it shows."""
    rows: int
    """Rows of the crop."""
    rise: float = float("nan")
    """By how many grey values the image becomes brighter, on average, where the retina was taken to begin."""

    @property
    def faint(self) -> bool:
        """Whether what was taken for a retina may as well be noise."""
        return self.rise < FAINT

    @property
    def scale(self) -> float:
        """Rows of the scan to a row of the crop."""
        return self.shown / self.rows

    def crop(self, image: UInt8[np.ndarray, "H W"], columns: slice = slice(None)) -> UInt8[np.ndarray, "R C"]:
        """The crop of some columns; black where it lies outside the scan."""
        part, top = image[:, columns], self.top[columns]
        at = np.arange(self.shown)[:, None] + top
        inside = (at >= 0) & (at < len(part))
        cut = np.where(inside, np.take_along_axis(part, at.clip(0, len(part) - 1), axis=0), 0).astype(np.uint8)
        if self.shown == self.rows:
            return cut
        way = cv2.INTER_AREA if self.shown > self.rows else cv2.INTER_LINEAR
        return cv2.resize(cut, (cut.shape[1], self.rows), interpolation=way)

    def to_crop(self, rows: Float[np.ndarray, "D W"]) -> Float[np.ndarray, "D W"]:
        """Crop coordinates of rows of the scan; `ScanBatch.to_scan` is the way back."""
        return np.asarray(((rows - self.top + 0.5) / self.scale - 0.5) / self.rows - 0.5)

    def varied(self, shift: int, factor: float) -> Flattening:
        """The same with the retina `shift` rows of the scan lower, and `factor` times as large, about the membrane."""
        shown = max(1, round(self.shown / factor))
        return replace(self, top=self.top - shift + round(SHARE * self.shown) - round(SHARE * shown), shown=shown)


def flatten(
    image: UInt8[np.ndarray, "H W"], rows: int, shown: int | None = None, um_per_px: float | None = None
) -> Flattening:
    """The crop of a B-scan without white borders, of so many rows, from the image alone.

    It shows `shown` rows of the scan (as many as `rows` when None), of a thicker retina more, which is made smaller by
    that much. `um_per_px` is the height of a pixel in micrometres, where it is known.
    """
    edge, membrane, rise = find_retina(image, um_per_px)
    shown = shown or rows
    above = np.quantile(membrane - edge, 0.99) + ABOVE
    while SHARE * shown < above:
        shown += STEP
    return Flattening(np.rint(membrane).astype(np.int64) - round(SHARE * shown), shown, rows, rise)


def cleaned(image: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """The image without upright lines that a device drew over it, and without white frames.

    A calliper's line, near white, long and at most four columns wide, is filled from the columns beside it. White parts
    that reach the edge become black: the Duke files fill up so what a registered scan does not show. A layer of the
    retina that is so bright that it is white, where it leaves the image at a side, stays; so does a line across that
    is not all white, as the two cannot be distinguished.
    """
    image = _without_lines(image)
    count, of, stats, _ = cv2.connectedComponentsWithStats((image == WHITE).astype(np.uint8), connectivity=4)
    height, width = image.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    at_edge = (left == 0) | (top == 0) | (right == width) | (bottom == height)
    at_edge &= stats[:, cv2.CC_STAT_AREA] > SPECK
    sides = np.maximum(*(np.bincount(of[:, column], minlength=count) for column in (0, -1)))  # rows there
    across = (top > 0) & (bottom < height)  # leaves the image at a side only
    at_edge &= ~(across & (stats[:, cv2.CC_STAT_HEIGHT] > LINE) & (sides <= LAYER))
    at_edge[0] = False  # what is not white
    return np.where(at_edge[of] if count > 1 else False, 0, image).astype(np.uint8)


def _without_lines(image: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """Upright lines filled, row by row, by what lies between the nearest columns to the left and right."""
    bright = (image >= NEAR_WHITE).astype(np.uint8)
    # Beyond the image's sides all counts as bright: what touches them is a frame.
    framed = np.pad(bright, ((0, 0), (NARROW, NARROW)), constant_values=1)
    broad = cv2.morphologyEx(framed, cv2.MORPH_OPEN, np.ones((1, NARROW), np.uint8))[:, NARROW:-NARROW]
    narrow, upright = np.where(broad > 0, 0, bright).astype(np.uint8), np.ones((LONG, 1), np.uint8)
    line = cv2.morphologyEx(narrow, cv2.MORPH_OPEN, upright, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    filled, columns = image.copy(), np.arange(image.shape[1])
    for row in np.flatnonzero(line.any(axis=1)):
        drawn = line[row] > 0
        filled[row, drawn] = np.rint(np.interp(columns[drawn], columns[~drawn], image[row, ~drawn]))
    return filled


def find_retina(
    image: UInt8[np.ndarray, "H W"], um_per_px: float | None = None
) -> tuple[Float[np.ndarray, "W"], Float[np.ndarray, "W"], float]:
    """The retina's upper edge and Bruch's membrane in each column, in rows, roughly; and how much brighter it is there.

    From the top the image becomes bright twice: where the retina begins, and, after the dark outer nuclear layer, at
    the photoreceptors (Chiu et al. 2010). Both are paths of the steepest rise in brightness from edge to edge of the
    image. The membrane lies at a known distance below the second; its course is smoothed. Arguments as of `flatten`.
    """
    height, width = image.shape
    finer = ROW_UM / (um_per_px or ROW_UM)
    stripes = max(2, width // STRIPE)
    narrow = cv2.resize(_without_drawn(image), (stripes, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(narrow, (0, 0), sigmaX=2.0, sigmaY=BLUR * finer)
    reach = max(1, round(REACH * finer))
    # Mean of some rows below, minus mean of as many above.
    total = np.cumsum(np.pad(small, ((reach, reach), (0, 0)), mode="edge"), axis=0)
    total = np.pad(total, ((1, 0), (0, 0)))
    middle = total[reach:-reach]
    rise = (total[2 * reach :] - 2 * middle + total[: -2 * reach])[:height] / reach
    first = steepest_path(rise)
    rows = np.arange(height)[:, None]
    apart = abs(rows - first)
    second = steepest_path(np.where((apart < APART * finer) | (apart > THICKEST * finer), -255.0, rise))
    # Where one edge is faint for a while, the steepest path may have changed over to the other.
    upper, lower = np.minimum(first, second), np.maximum(first, second)
    at = (np.arange(stripes) + 0.5) * width / stripes - 0.5
    columns = np.arange(width)
    edge = np.interp(columns, at, upper)
    course = np.interp(columns, at, lower) + TO_MEMBRANE * finer
    # Smooth; beyond the ends the course goes on as it ended.
    smooth = cv2.GaussianBlur(course[None], (0, 0), sigmaX=SMOOTH, borderType=cv2.BORDER_REPLICATE)[0]
    return edge, smooth, float(rise[first, np.arange(stripes)].mean())


def _without_drawn(image: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """The image without what has no speckle and is not black: bars and boxes that the device's screen drew in."""
    square = np.ones((5, 5), np.uint8)
    even = (cv2.dilate(image, square) - cv2.erode(image, square) <= EVEN) & (image > EVEN)
    if even.mean() > MOST_EVEN:  # an image without speckle anywhere: it was smoothed, or averaged over many
        even[:] = False
    solid = cv2.morphologyEx((image >= WHITE - EVEN).astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    drawn = cv2.morphologyEx((even | (solid > 0)).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 25), np.uint8))
    drawn = cv2.dilate(drawn, np.ones((9, 9), np.uint8))
    return np.where(drawn > 0, 0, image).astype(np.uint8)


def steepest_path(gain: Float[np.ndarray, "H W"]) -> Int[np.ndarray, "W"]:
    """The row in each column of the path from left to right whose summed gain is the greatest.

    From column to column the path moves by `SLOPE` rows at most.
    """
    height, width = gain.shape
    best, came = gain[:, 0].astype(np.float64), np.zeros((width, height), dtype=np.int64)
    steps = np.arange(-SLOPE, SLOPE + 1)
    for column in range(1, width):
        around = np.pad(best, SLOPE, constant_values=-np.inf)
        reached = np.stack([around[SLOPE + step : SLOPE + step + height] - 0.05 * abs(step) for step in steps])
        choice = reached.argmax(axis=0)
        came[column] = np.clip(np.arange(height) + steps[choice], 0, height - 1)
        best = reached.max(axis=0) + gain[:, column]
    path = np.empty(width, dtype=np.int64)
    path[-1] = best.argmax()
    for column in range(width - 1, 0, -1):
        path[column - 1] = came[column, path[column]]
    return path
