"""Predicted probabilities that a joint is visible: how good they are, and calibration by held-out labels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from logpose.metrics.reliability import auroc

__all__ = ["calibration_error", "logits", "platt", "rescaled", "visibility_figures"]

BINS = 15
"""Of probabilities, of equal width (Guo et al., ICML 2017)."""
MOST_LOGIT = 50.0
"""Logits are limited to ± this."""
PRIOR = 1e-3
"""Weight, relative to a label, of a pull of the slope towards 1 and of the shift towards 0."""


def calibration_error(probability: Float[np.ndarray, "N"], seen: Bool[np.ndarray, "N"]) -> float:
    """Expected calibration error: the mean over labels of how far each bin's probability is off its share; NaN of none.

    Args:
        probability: predicted.
        seen: whether the label is so.
    """
    if not len(probability):
        return float("nan")
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    off = np.bincount(bins, probability - seen, minlength=BINS)
    return float(np.abs(off).sum() / len(probability))


def platt(logit: Float[np.ndarray, "N"], seen: Bool[np.ndarray, "N"]) -> tuple[float, float]:
    """Slope and shift of logits with the highest likelihood of labels (Platt 1999); 1 and 0 where all labels are one.

    Args:
        logit: predicted.
        seen: whether the label is so.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # takes long to import

    if not len(seen) or seen.all() or not seen.any():
        return 1.0, 0.0
    x, sign = np.clip(logit, -MOST_LOGIT, MOST_LOGIT), np.where(seen, 1.0, -1.0)

    def nll(parameters: Float[np.ndarray, "2"]) -> tuple[float, Float[np.ndarray, "2"]]:
        slope, shift = parameters
        margin = sign * (slope * x + shift)
        wrong = -sign / (1 + np.exp(np.clip(margin, -700, 700)))
        away = np.array([slope - 1, shift])
        value = np.logaddexp(0, -margin).mean() + PRIOR / 2 * (away**2).sum()
        return float(value), np.array([(wrong * x).mean(), wrong.mean()]) + PRIOR * away

    found = minimize(nll, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])


def logits(probability: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    """Logits of probabilities; those of 0 and 1 are finite."""
    within = np.clip(probability, 1e-7, 1 - 1e-7)
    return np.asarray(np.log(within / (1 - within)))


def rescaled(probability: Float[np.ndarray, "*N"], slope: float, shift: float) -> Float[np.ndarray, "*N"]:
    """Probabilities with a slope and a shift of their logits, as of `platt`."""
    return np.asarray(1 / (1 + np.exp(-(slope * logits(probability) + shift))))


def visibility_figures(probability: Float[np.ndarray, "N"], seen: Bool[np.ndarray, "N"]) -> dict[str, float]:
    """How good probabilities are, by name: AUROC, expected calibration error, and Brier's score (lower is better)."""
    figures = {"visible_auroc": auroc(probability, seen)} if len(probability) else {}
    figures["visible_ece"] = calibration_error(probability, seen)
    figures["visible_brier"] = float(((probability - seen) ** 2).mean()) if len(probability) else float("nan")
    return {name: value for name, value in figures.items() if value == value}
