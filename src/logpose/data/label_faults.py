"""Labels that are numbers and yet no pixels: relative coordinates, and joints that are not labelled written as 0, 0."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["are_relative", "at_corner"]

TINY = 2  # pixels from the image's corner within which a whole person may lie in its first pixel


def are_relative(points: Float[np.ndarray, "N 2"], box: Float[np.ndarray, "4"]) -> bool:
    """Whether a person's labelled joints, all within a pixel of the image's corner, are fractions of its size.

    Args:
        points: x, y of the labelled joints.
        box: x, y, width, height in pixels.
    """
    if not len(points) or points.min() < 0 or points.max() > 1 or (box[:2] + box[2:]).max() <= TINY:
        return False
    return len(points) > 1 or not _inside(points, box).all()


def at_corner(joints: Float[np.ndarray, "K 3"], box: Float[np.ndarray, "4"]) -> Bool[np.ndarray, "K"]:
    """Which joints are labelled at exactly 0, 0 although their person's box does not reach there.

    Args:
        joints: x, y, v.
        box: as of `are_relative`.
    """
    labelled = (joints[:, 2] > 0) & (joints[:, :2] == 0).all(axis=1)
    return np.asarray(labelled & ~_inside(joints[:, :2], box))


def _inside(points: Float[np.ndarray, "N 2"], box: Float[np.ndarray, "4"]) -> Bool[np.ndarray, "N"]:
    """Whether points lie in a box, or within a pixel of it."""
    return np.asarray(((points >= box[:2] - 1) & (points <= box[:2] + box[2:] + 1)).all(axis=1))
