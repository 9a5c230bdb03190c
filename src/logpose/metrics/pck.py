"""Distances between predicted and labelled joints, and the share of joints that are near enough."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["distances", "pck"]


def distances(
    predicted: Float[np.ndarray, "N K D"], truth: Float[np.ndarray, "N K D"], visible: Int[np.ndarray, "N K"]
) -> Float[np.ndarray, "N K"]:
    """Euclidean distance of every joint from its label, in the labels' unit; NaN where there is no label."""
    apart = np.sqrt(((predicted - np.where(visible[..., None] > 0, truth, 0)) ** 2).sum(axis=-1))
    return np.where(visible > 0, apart, np.nan)


def pck(distance: Float[np.ndarray, "N K"], reference: Float[np.ndarray, "N"], threshold: float) -> float:
    """Percentage of correct keypoints, as a share: labelled joints no farther off than threshold × reference.

    Args:
        distance: as `distances` gives; NaN where there is no label.
        reference: length that each person is measured by (longer side of the box, torso, head), > 0.
        threshold: fraction of it.

    Returns:
        the share of all labelled joints, in [0, 1]; NaN if none is labelled.
    """
    labelled = ~np.isnan(distance)
    if not labelled.any():
        return float("nan")
    near = distance <= threshold * reference[:, None]
    return float(near[labelled].mean())
