"""Split conformal prediction: how large a region has to be to hold a new label with a given probability.

The scores of a held-out calibration set are compared with those of a new label: if both are exchangeable, the new one
is at most the ⌈(n + 1) level⌉-th smallest of n scores with a probability of at least `level`, whatever the model and
the distribution (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). Joints of a person and
frames of a clip are not exchangeable, but images, people or clips may be: then every group has the weight 1, shared by
its scores, and the guarantee is for a label drawn at random from a new group (Dunn, Wasserman and Ramdas,
"Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", JASA 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

__all__ = ["conformal_quantiles", "grouped_mean", "least_groups"]

ROUNDING = 1e-9


def least_groups(level: float) -> int:
    """The fewest groups of which some quantile holds a new label with probability `level`: 9 for .9, 19 for .95."""
    return math.ceil(level / (1 - level) - ROUNDING)


def conformal_quantiles(
    scores: Float[np.ndarray, "N"], groups: Int[np.ndarray, "N"], levels: Sequence[float]
) -> Float[np.ndarray, "L"]:
    """The least score that a label of a new group does not exceed, with the probability of each level.

    Args:
        scores: of labels that the model was not trained on; a larger one is a larger error.
        groups: number of the group (image, person, clip) that each is of.
        levels: in (0, 1).

    Returns:
        the quantiles; infinite where there are fewer groups than `least_groups`.
    """
    order = np.argsort(scores, kind="stable")
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    count = len(size)
    below = np.cumsum((1 / size)[group][order])  # groups of which this share of scores is not larger
    wanted = np.asarray(levels) * (count + 1)
    rows = np.searchsorted(below, wanted - ROUNDING * (count + 1))
    ordered = np.append(np.asarray(scores, dtype=np.float64)[order], np.inf)
    return np.asarray(ordered[np.where(wanted > count * (1 + ROUNDING), len(scores), np.minimum(rows, len(scores)))])


def grouped_mean(values: Float[np.ndarray, "N *L"], groups: Int[np.ndarray, "N"]) -> Float[np.ndarray, "*L"]:
    """The mean in which every group counts once, shared by its values: what the guarantee of the quantiles is about."""
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(np.average(values, axis=0, weights=(1 / size)[group]))
