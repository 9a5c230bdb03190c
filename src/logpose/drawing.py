"""Poses drawn on pictures: bones, joints, and around each joint the ellipse that should hold it."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from logpose.skeletons import Skeleton
from logpose.structures import Image

__all__ = [
    "CENTRE",
    "LEFT",
    "OUTLINE",
    "RIGHT",
    "contact_sheet",
    "draw_boundaries",
    "draw_pose",
    "enlarged",
    "joint_colours",
    "mark_points",
    "mixed",
]

# The person's own left and right; apart from each other for eyes that do not tell red from green (Okabe and Ito).
LEFT, RIGHT, CENTRE = (86, 180, 233), (230, 159, 0), (240, 240, 240)
OUTLINE = (20, 20, 20)
FRACTION = 4  # binary digits of sub-pixel precision that OpenCV's drawing takes


def enlarged(image: Image, least_side: int = 384) -> tuple[Image, float]:
    """A picture scaled up, where it is smaller, so that its longer side has `least_side` pixels; and the factor."""
    factor = max(1.0, least_side / max(image.shape[:2]))
    if factor == 1:
        return image.copy(), 1.0
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), factor


def draw_pose(
    image: Image,
    skeleton: Skeleton,
    keypoints: Float[np.ndarray, "K 2"],
    spread: Float[np.ndarray, "K 2"] | None = None,
    shown: np.ndarray | None = None,
) -> None:
    """Draw one person into a picture, in place.

    Args:
        image: RGB, changed.
        skeleton: joints and bones.
        keypoints: pixels of the picture.
        spread: half axes, in pixels along x and y, of the ellipse around each joint; None draws none.
        shown: which joints to draw; None draws all.
    """
    thickness = max(1, round(max(image.shape[:2]) / 250))
    everywhere = np.isfinite(keypoints).all(axis=1)
    shown = everywhere if shown is None else everywhere & shown
    colours = joint_colours(skeleton)
    if spread is not None:
        veil = image.copy()
        ellipses = [j for j in np.flatnonzero(shown) if np.isfinite(spread[j]).all()]
        for joint in ellipses:
            axes = _point(np.minimum(spread[joint], 4 * max(image.shape[:2])))
            cv2.ellipse(veil, _point(keypoints[joint]), axes, 0, 0, 360, colours[joint], -1, cv2.LINE_AA, FRACTION)
        cv2.addWeighted(veil, 0.15, image, 0.85, 0, dst=image)
        for joint in ellipses:
            axes = _point(np.minimum(spread[joint], 4 * max(image.shape[:2])))
            cv2.ellipse(image, _point(keypoints[joint]), axes, 0, 0, 360, colours[joint], 1, cv2.LINE_AA, FRACTION)
    for width, plain in ((thickness + 2, True), (thickness, False)):
        for a, b in skeleton.bones:
            if shown[a] and shown[b]:
                colour = OUTLINE if plain else mixed(colours[a], colours[b])
                cv2.line(image, _point(keypoints[a]), _point(keypoints[b]), colour, width, cv2.LINE_AA, FRACTION)
    for joint in np.flatnonzero(shown):
        for radius, colour in ((thickness + 2, OUTLINE), (thickness + 1, colours[joint])):
            cv2.circle(image, _point(keypoints[joint]), radius << FRACTION, colour, -1, cv2.LINE_AA, FRACTION)


def mark_points(image: Image, points: Float[np.ndarray, "N 2"]) -> None:
    """Draw a ring around each point into a picture, in place: where a label is."""
    thickness = max(1, round(max(image.shape[:2]) / 250))
    for x, y in points[np.isfinite(points).all(axis=1)]:
        for width, colour in ((thickness + 2, OUTLINE), (thickness, CENTRE)):
            centre, radius = _point(np.array([x, y])), (3 * thickness + 2) << FRACTION
            cv2.circle(image, centre, radius, colour, width, cv2.LINE_AA, FRACTION)


BOUNDARIES = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0))
"""Colours of lines that lie on one another, in turn (Okabe and Ito)."""


def draw_boundaries(
    image: Image,
    rows: Float[np.ndarray, "D W"],
    band: Float[np.ndarray, "D W"] | None = None,
    labels: Float[np.ndarray, "D W"] | None = None,
) -> Image:
    """A B-scan, twice as large, with a line for each boundary, a veil over its band, and dots where labels are.

    Args:
        image: RGB.
        rows: of each boundary in each column, pixels of the image; not drawn where NaN.
        band: half the height of the band around each; None draws none.
        labels: rows that were marked, NaN where none was; None draws none.
    """
    large: Image = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    at, veil = np.arange(large.shape[0])[:, None], large.copy()
    # Pixel centres are whole numbers: enlarging an image moves them by half a pixel of either size.
    columns = (np.arange(large.shape[1]) + 0.5) / 2 - 0.5
    for i, row in enumerate(rows):
        colour, place = BOUNDARIES[i % len(BOUNDARIES)], 2 * _between(columns, row) + 0.5
        if band is not None:
            veil[abs(at - place) <= 2 * _between(columns, band[i])] = colour
    drawn: Image = cv2.addWeighted(veil, 0.35, large, 0.65, 0)
    for i, row in enumerate(rows):
        colour, place = BOUNDARIES[i % len(BOUNDARIES)], 2 * _between(columns, row) + 0.5
        drawn[abs(at - place) <= 0.75] = colour
        if labels is not None:
            for column in np.flatnonzero(np.isfinite(labels[i]))[::4]:
                spot = (int(2 * column), round(float(2 * labels[i, column] + 0.5)))
                cv2.circle(drawn, spot, 1, CENTRE, -1)
    return drawn


def _between(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of columns at places between them; NaN near a NaN."""
    between: np.ndarray = np.interp(at, np.arange(len(values)), values)
    return between


def contact_sheet(pictures: list[Image], columns: int, tile: tuple[int, int]) -> Image:
    """Pictures side by side, each fitted into a tile of (H, W) pixels with its shape kept."""
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * tile[0], columns * tile[1], 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        factor = min((tile[0] - 4) / picture.shape[0], (tile[1] - 4) / picture.shape[1])
        size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
        fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        y, x = i // columns * tile[0], i % columns * tile[1]
        y, x = y + (tile[0] - size[1]) // 2, x + (tile[1] - size[0]) // 2
        sheet[y : y + size[1], x : x + size[0]] = fitted
    return sheet


def joint_colours(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    """The colour of each joint, RGB: of the person's left, of the right, or of the middle."""
    return [_colour(skeleton, joint) for joint in range(len(skeleton))]


def _colour(skeleton: Skeleton, joint: int) -> tuple[int, int, int]:
    """Of a joint: left, right, or in the middle."""
    partner = skeleton.flip_index[joint]
    if partner == joint:
        return CENTRE
    name, other = skeleton.joints[joint].lower(), skeleton.joints[partner].lower()
    # The two names differ in their side word only: "l…" sorts before "r…".
    return LEFT if name < other else RIGHT


def mixed(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    """Of a bone: its joints' colour, or the middle's where they differ."""
    return a if a == b else b if a == CENTRE else a if b == CENTRE else CENTRE


def _point(xy: Float[np.ndarray, "2"]) -> tuple[int, int]:
    x, y = np.clip(np.round(np.asarray(xy) * 2**FRACTION), -(2**24), 2**24).astype(int)
    return int(x), int(y)
