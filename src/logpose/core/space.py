"""Joints in space: the truth about a person, and the way there from an image and depths relative to a root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from logpose.core.cameras import Camera

__all__ = ["InSpace", "Space", "lifted", "middle_depth", "relative"]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Where a person's joints are in space, and their camera."""

    joints: Float[np.ndarray, "K 3"]
    """Millimetres in the camera's frame; NaN where unknown."""
    camera: Camera
    group: str = "all"
    """What errors are averaged by: the action."""


@runtime_checkable
class InSpace(Protocol):
    """A data set of people whose joints in space are known."""

    evaluated: tuple[int, ...]
    """The joints that errors are measured on."""

    def space(self, index: int, /) -> Space:
        """Where the joints of one of them are."""
        ...


def relative(joints: Float[np.ndarray, "*B K 3"], root: Sequence[int]) -> Float[np.ndarray, "*B K 3"]:
    """Positions relative to the middle of the root joints, or to the mean of all where there are none."""
    chosen = list(root) or list(range(joints.shape[-2]))
    return np.asarray(joints - joints[..., chosen, :].mean(axis=-2, keepdims=True))


def middle_depth(joints: Float[np.ndarray, "K 3"], root: Sequence[int]) -> float:
    """How far the middle of the root joints (of all where there are none) is from the camera along its axis."""
    return float(joints[list(root) or slice(None), 2].mean())


def lifted(
    keypoints: Float[np.ndarray, "K 3"], camera: Camera, root_depth: float, root: Sequence[int]
) -> Float[np.ndarray, "K 3"]:
    """Back-projection of a prediction: positions in the camera's frame, millimetres.

    Args:
        keypoints: pixels of the image, and depths in millimetres up to a common shift.
        camera: that took the image.
        root_depth: mean depth of the root joints (of all where there are none), as in the released 3-D code.
        root: the root joints.
    """
    depth = keypoints[:, 2] - middle_depth(keypoints, root) + root_depth
    return camera.back_project(keypoints[:, :2], depth)
