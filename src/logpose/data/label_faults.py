"""Labels that are numbers and yet no pixels: relative coordinates, and joints that are not labelled written as 0, 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["Boxes", "are_relative", "at_corner"]

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


@dataclass
class Boxes:
    """Boxes as they stand in a file, person after person, and whether they are what they should be.

    Attributes:
        people: how many were added.
        over: of these, boxes that reach beyond their image by more than a pixel.
        corners: of these, boxes that read as x1, y1, x2, y2 lie in their image and hold the labelled joints.
    """

    people: int = 0
    over: int = 0
    corners: int = 0

    def add(self, box: Float[np.ndarray, "4"], points: Float[np.ndarray, "N 2"], size: tuple[Any, Any]) -> None:
        """Add a person's box, labelled joints, and the (width, height) of the image where it is known."""
        if not all(isinstance(side, int | float) and side > 0 for side in size):
            return
        self.people += 1
        self.over += bool((box[:2] + box[2:] > np.array(size) + 1).any())
        extent = box[2:] - box[:2]
        as_corners = np.concatenate([box[:2], extent])
        fits = (extent > 0).all() and (box[2:] <= np.array(size) + 1).all()
        self.corners += bool(fits and _inside(points, as_corners).all())

    def note(self) -> str:
        """A sentence, where the boxes look like corners: all do, and as they are some are larger than their image."""
        if not self.over or self.corners < self.people:
            return ""
        return (
            f"{self.over} of {self.people} boxes reach beyond their image, and all fit as corners x1, y1, x2, y2: "
            "bbox is x, y, width, height"
        )
