"""Calibration: whether predicted uncertainties agree with the errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from logpose.metrics.covariance import whitened_errors

__all__ = ["Deviations", "coverage", "pearson", "rank_correlation", "scaled_radius"]


@dataclass(frozen=True)
class Deviations:
    """Errors of predictions, beside the predicted standard deviations."""

    radius: Float[np.ndarray, "M"]
    """Of each whole label, as `scaled_radius` returns it."""
    spread: Float[np.ndarray, "N"]
    """Predicted standard deviation: the root of the variances' sum over a label's dimensions."""
    apart: Float[np.ndarray, "N"]
    """Actual error: the distance of that label from its prediction."""
    unit: str
    """Unit of both: "px", "mm"."""
    limit: Callable[[float], Float[np.ndarray, "M"] | float]
    """Of a nominal level, the radius of the region around each whole label's prediction."""

    def coverage(self, levels: Sequence[float]) -> list[float]:
        """Share of whole labels in the region of each nominal level; NaN of no labels."""
        return coverage(self.radius, [self.limit(level) for level in levels])


def scaled_radius(
    predicted: Float[np.ndarray, "*N D"],
    std: Float[np.ndarray, "*N D"],
    truth: Float[np.ndarray, "*N D"],
    correlation: Float[np.ndarray, "*N"] | None = None,
) -> Float[np.ndarray, "*N"]:
    """Distance of each label from its prediction in units of the predicted standard deviations (Mahalanobis)."""
    return np.asarray(np.sqrt((whitened_errors(truth - predicted, std, correlation) ** 2).sum(axis=-1)))


def coverage(radius: Float[np.ndarray, "N"], limits: Sequence[Float[np.ndarray, "N"] | float]) -> list[float]:
    """Share of labels that lie within each limit of `scaled_radius`; NaN of no labels."""
    if not len(radius):
        return [float("nan")] * len(limits)
    return [float((radius <= limit).mean()) for limit in limits]


def pearson(a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"]) -> float:
    """Pearson's correlation coefficient; NaN where one of the two is constant (to rounding) or has fewer than two."""
    if len(a) < 2 or any(np.ptp(v) <= 1e-12 * np.abs(v).max() for v in (a, b)):
        return float("nan")
    away = [(v - v.mean()) / np.ptp(v) for v in (a, b)]  # of whatever size they are, squares do not vanish
    return float((away[0] @ away[1]) / (np.linalg.norm(away[0]) * np.linalg.norm(away[1])))


def rank_correlation(a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # takes long to import

    return pearson(rankdata(a), rankdata(b))
