"""Errors that are correlated along x and y: their ellipses, and errors in standard deviations of these."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["covariance_of", "principal", "whitened_errors"]


def principal(
    std: Float[np.ndarray, "*N 2"], correlation: Float[np.ndarray, "*N"] | None
) -> tuple[Float[np.ndarray, "*N 2"], Float[np.ndarray, "*N"]]:
    """Standard deviations along an ellipse's own two axes, and how far these are turned from x and y.

    Args:
        std: along x and y.
        correlation: of errors along x and y; None: 0.

    Returns:
        deviations along the longer axis and the shorter one (along x and y where there is no correlation), and the
        angle from the x axis to the first of them, in radians, towards the y axis.
    """
    if correlation is None:
        return std, np.zeros(std.shape[:-1])
    x, y = std[..., 0] ** 2, std[..., 1] ** 2
    both = correlation * std[..., 0] * std[..., 1]
    middle, half = (x + y) / 2, np.hypot((x - y) / 2, both)
    axes = np.sqrt(np.maximum(np.stack([middle + half, middle - half], axis=-1), 0))
    return axes, 0.5 * np.arctan2(2 * both, x - y)


def whitened_errors(
    error: Float[np.ndarray, "*#N D"],
    std: Float[np.ndarray, "*#N D"],
    correlation: Float[np.ndarray, "*#N"] | None = None,
) -> Float[np.ndarray, "*_ D"]:
    """Errors in standard deviations, of two dimensions with a correlation by its Cholesky factor.

    The sum of their squares is the squared Mahalanobis distance.
    """
    scaled = error / std
    if correlation is None:
        return np.asarray(scaled)
    along_y = (scaled[..., 1] - correlation * scaled[..., 0]) / np.sqrt(1 - correlation**2)
    return np.stack([scaled[..., 0], along_y], axis=-1)


def covariance_of(std: Float[np.ndarray, "*N 2"], correlation: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N 2 2"]:
    """The covariance of errors along x and y."""
    both = correlation * std[..., 0] * std[..., 1]
    rows = [np.stack(row, axis=-1) for row in ((std[..., 0] ** 2, both), (both, std[..., 1] ** 2))]
    return np.stack(rows, axis=-2)
