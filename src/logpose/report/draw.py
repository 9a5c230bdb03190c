"""Poses drawn on images: bones, joints, and around each joint the ellipse that should hold it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float

from logpose.core.samples import Image
from logpose.core.skeletons import Skeleton
from logpose.metrics.covariance import principal

__all__ = [
    "CENTRE",
    "LEFT",
    "OUTLINE",
    "RIGHT",
    "around_labels",
    "contact_sheet",
    "draw_boundaries",
    "draw_pose",
    "enlarged",
    "joint_colours",
    "mark_points",
    "mixed",
]

# The person's own left and right; apart from each other also without red-green vision (Okabe and Ito).
LEFT, RIGHT, CENTRE = (86, 180, 233), (230, 159, 0), (240, 240, 240)
OUTLINE = (20, 20, 20)
"""Colour around lines and points."""
AROUND = 30  # rows of a B-scan above the highest label and below the lowest
FRACTION = 4  # binary digits of sub-pixel precision that OpenCV's drawing takes


def enlarged(image: Image, least_side: int = 384) -> tuple[Image, float]:
    """An image scaled up, where it is smaller, so that its longer side has `least_side` pixels; and the factor."""
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
    correlation: Float[np.ndarray, "K"] | None = None,
) -> None:
    """Draw one person into an image, in place.

    Args:
        image: RGB, changed.
        skeleton: joints and bones.
        keypoints: pixels of the image.
        spread: how far, in pixels along x and y, the ellipse around each joint reaches; None draws none.
        shown: which joints to draw; None draws all.
        correlation: of errors along x and y, which turns the ellipses; None: their axes are x and y.
    """
    thickness = max(1, round(max(image.shape[:2]) / 250))
    everywhere = np.isfinite(keypoints).all(axis=1)
    shown = everywhere if shown is None else everywhere & shown
    colours = joint_colours(skeleton)
    if spread is not None:
        spread, angles = principal(spread, correlation)
        for target, width in ((veil := image.copy(), -1), (image, 1)):
            for joint in np.flatnonzero(shown & np.isfinite(spread).all(axis=1)):
                axes = _point(np.minimum(spread[joint], 4 * max(image.shape[:2])))
                centre, colour = _point(keypoints[joint]), colours[joint]
                angle = float(np.degrees(angles[joint]))
                cv2.ellipse(target, centre, axes, angle, 0, 360, colour, width, cv2.LINE_AA, FRACTION)
            if target is veil:
                cv2.addWeighted(veil, 0.15, image, 0.85, 0, dst=image)
    for width, plain in ((thickness + 2, True), (thickness, False)):
        for a, b in skeleton.bones:
            if shown[a] and shown[b]:
                colour = OUTLINE if plain else mixed(colours[a], colours[b])
                cv2.line(image, _point(keypoints[a]), _point(keypoints[b]), colour, width, cv2.LINE_AA, FRACTION)
    for joint in np.flatnonzero(shown):
        for radius, colour in ((thickness + 2, OUTLINE), (thickness + 1, colours[joint])):
            cv2.circle(image, _point(keypoints[joint]), radius << FRACTION, colour, -1, cv2.LINE_AA, FRACTION)


def mark_points(image: Image, points: Float[np.ndarray, "N 2"]) -> None:
    """Draw a ring around each point into an image, in place: where a label is."""
    thickness = max(1, round(max(image.shape[:2]) / 250))
    for x, y in points[np.isfinite(points).all(axis=1)]:
        for width, colour in ((thickness + 2, OUTLINE), (thickness, CENTRE)):
            centre, radius = _point(np.array([x, y])), (3 * thickness + 2) << FRACTION
            cv2.circle(image, centre, radius, colour, width, cv2.LINE_AA, FRACTION)


BOUNDARIES = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
    (0, 240, 220),
)  # fmt: skip
"""Colours of lines that lie on one another, in turn (Okabe and Ito, with turquoise in the place of black)."""
VEIL = 0.35  # how much of a band's colour lies over the image
LEGEND = 22  # rows of the strip in which a line of names stands


def draw_boundaries(
    image: Image,
    rows: Float[np.ndarray, "D W"],
    band: Float[np.ndarray, "D W"] | None = None,
    labels: Float[np.ndarray, "D W"] | None = None,
    names: Sequence[str] | None = None,
) -> Image:
    """A B-scan, twice as large, with a line for each boundary, a veil over its band, and dots where labels are.

    Args:
        image: RGB.
        rows: of each boundary in each column, pixels of the image; not drawn where NaN.
        band: half the height of the band around each; None draws none.
        labels: rows that were marked, NaN where none was; None draws none.
        names: of the boundaries, to stand under the image in their colours; None leaves the strip out.
    """
    drawn: Image = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    at = np.arange(drawn.shape[0])[:, None]
    # Pixel centres are whole numbers: enlarging an image moves them by half a pixel of either size.
    columns = (np.arange(drawn.shape[1]) + 0.5) / 2 - 0.5
    between = partial(np.interp, columns, np.arange(len(image[0])))  # NaN near a NaN
    places = [2 * between(row) + 0.5 for row in rows]
    colours = [BOUNDARIES[i % len(BOUNDARIES)] for i in range(len(rows))]
    if band is not None:
        for half, place, colour in zip(band, places, colours, strict=True):
            # One after the other, so that where bands overlap both show.
            inside = abs(at - place) <= 2 * between(half)
            drawn[inside] = np.rint((1 - VEIL) * drawn[inside] + VEIL * np.array(colour)).astype(np.uint8)
    for i, (place, colour) in enumerate(zip(places, colours, strict=True)):
        drawn[abs(at - place) <= 0.75] = colour
        if labels is not None:
            for column in np.flatnonzero(np.isfinite(labels[i]))[::4]:
                spot = (int(2 * column), round(float(2 * labels[i, column] + 0.5)))
                cv2.circle(drawn, spot, 1, CENTRE, -1)
    return drawn if names is None else np.concatenate([drawn, _legend(names, colours, drawn.shape[1])])


def around_labels(labels: Float[np.ndarray, "D W"]) -> slice:
    """The rows of a B-scan in which something is labelled, and some above and below."""
    first, last = int(np.nanmin(labels)) - AROUND, int(np.nanmax(labels)) + AROUND
    return slice(max(0, first), max(1, last))


def _legend(names: Sequence[str], colours: Sequence[tuple[int, int, int]], width: int) -> Image:
    """A strip with names in their colours, in as many lines as they take."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    x, y = 6, LEGEND // 2
    strip = np.full((LEGEND * len(names), width, 3), OUTLINE, np.uint8)
    for name, colour in zip(names, colours, strict=True):
        taken = cv2.getTextSize(name, font, size, 1)[0][0] + 28
        if x + taken > width and x > 6:
            x, y = 6, y + LEGEND
        cv2.line(strip, (x, y), (x + 12, y), colour, 2)
        cv2.putText(strip, name, (x + 16, y + 5), font, size, colour, 1, cv2.LINE_AA)
        x += taken
    return strip[: y + LEGEND // 2]


def contact_sheet(images: list[Image], columns: int, tile: tuple[int, int], border: int = 2) -> Image:
    """Images side by side, each fitted into a tile of (H, W) pixels with its shape kept, and a border around it."""
    rows = -(-len(images) // columns)
    sheet = np.full((rows * tile[0], columns * tile[1], 3), 255, np.uint8)
    for i, image in enumerate(images):
        factor = min((tile[0] - 2 * border) / image.shape[0], (tile[1] - 2 * border) / image.shape[1])
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        fitted = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        y, x = i // columns * tile[0], i % columns * tile[1]
        y, x = y + (tile[0] - size[1]) // 2, x + (tile[1] - size[0]) // 2
        sheet[y : y + size[1], x : x + size[0]] = fitted
    return sheet


def joint_colours(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    """The colour of each joint, RGB: of the person's left, of the right, or of the middle."""
    names = [name.lower() for name in skeleton.joints]
    partners = [names[partner] for partner in skeleton.flip_index]
    # The names of a pair differ in their side word only: "l…" sorts before "r…".
    return [CENTRE if a == b else LEFT if a < b else RIGHT for a, b in zip(names, partners, strict=True)]


def mixed(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    """Of a bone: its joints' colour, or the middle's where they differ."""
    return a if a == b else b if a == CENTRE else a if b == CENTRE else CENTRE


def _point(xy: Float[np.ndarray, "2"]) -> tuple[int, int]:
    x, y = np.clip(np.round(np.asarray(xy) * 2**FRACTION), -(2**24), 2**24).astype(int)
    return int(x), int(y)
