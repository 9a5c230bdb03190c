"""How well scores foretell errors: AUROC, sparsification, and the regions that scores are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from logpose.metrics.conformal import conformal_quantiles, least_groups

__all__ = ["RegionsOfScores", "auroc", "excess_of_sparsification", "increasing", "sparsification"]

STEPS = 50
"""Points of a curve of sparsification."""
LEAST_ERROR = 1e-4
"""Of the size of a person: errors below count as this, as their logarithms are averaged."""


def auroc(scores: Float[np.ndarray, "N"], correct: Bool[np.ndarray, "N"]) -> float:
    """Area under the ROC curve: the probability that of a correct and a wrong one the correct has the higher score.

    Ties count half (Mann and Whitney's U). NaN where all are correct, or none.
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # takes long to import

    right = int(correct.sum())
    wrong = len(correct) - right
    if not right or not wrong:
        return float("nan")
    return float((rankdata(scores)[correct].sum() - right * (right + 1) / 2) / (right * wrong))


def sparsification(
    error: Float[np.ndarray, "N"], certainty: Float[np.ndarray, "N"], steps: int = STEPS
) -> Float[np.ndarray, "S"]:
    """Mean error of what is left when 0, 1 / S, … of the least certain are left out (Ilg et al., ECCV 2018).

    Equal certainties leave in the order of chance: each has the mean error of its equals.
    """
    order = np.argsort(-certainty, kind="stable")
    ordered, sure = error[order].astype(np.float64), certainty[order]
    starts = np.flatnonzero(np.r_[True, sure[1:] != sure[:-1]])
    sizes = np.diff(np.r_[starts, len(sure)])
    ordered = np.repeat(np.add.reduceat(ordered, starts) / sizes, sizes)
    kept = np.maximum(len(error) - np.arange(steps) * len(error) // steps, 1)
    return np.asarray(np.cumsum(ordered)[kept - 1] / kept)


def excess_of_sparsification(error: Float[np.ndarray, "N"], certainty: Float[np.ndarray, "N"]) -> float:
    """Area between the curve and that of an oracle, relative to that of chance and the oracle: 0 is best, 1 chance.

    NaN where all errors are equal.
    """
    curve, oracle = sparsification(error, certainty), sparsification(error, -error)
    chance = float((error.mean() - oracle).mean())
    return float((curve - oracle).mean() / chance) if chance > 0 else float("nan")


@dataclass(frozen=True)
class RegionsOfScores:
    """The radius around a joint that a program's score is worth, relative to the size of the person.

    Learned on labelled people: of each joint the error falls with the score (isotonic regression of its logarithm), and
    a factor makes regions hold a share of labels (split conformal prediction).
    """

    knots: tuple[Float[np.ndarray, "_"], ...]
    """Of each joint, ascending scores …"""
    scales: tuple[Float[np.ndarray, "_"], ...]
    """… and the typical error at each."""
    levels: tuple[float, ...]
    factors: Float[np.ndarray, "K L"]
    """Of each joint and level, what the typical error is multiplied by."""

    @staticmethod
    def learned(
        error: Float[np.ndarray, "N K"],
        scores: Float[np.ndarray, "N K"],
        groups: Int[np.ndarray, "N"],
        levels: Sequence[float],
        seed: int = 0,
    ) -> RegionsOfScores:
        """Those of some labelled people.

        Half of the groups give the curve, and the other half the factors, so that these are of errors that the curve
        does not know. A joint that is labelled in too few groups for a level has the curve and the factors of all.

        Args:
            error: relative to the size of the person; NaN where there is no label.
            scores: of the program, a larger one for a smaller error.
            groups: number of the image that each person is in.
            levels: nominal levels.
            seed: of the division in halves.
        """
        _, group = np.unique(groups, return_inverse=True)
        half = np.random.default_rng(seed).permutation(int(group.max()) + 1)[group] % 2 == 0
        labelled = ~np.isnan(error)
        log_error = np.log(np.maximum(np.where(labelled, error, 1.0), LEAST_ERROR))
        everywhere = _isotonic(scores[labelled & half[:, None]], log_error[labelled & half[:, None]])
        count, needed = error.shape[1], 2 * least_groups(max(levels))
        curves = []
        for joint in range(count):
            mine = labelled[:, joint] & half
            enough = len(np.unique(group[mine])) >= needed
            curves.append(_isotonic(scores[mine, joint], log_error[mine, joint]) if enough else everywhere)
        found = RegionsOfScores(
            tuple(knots for knots, _ in curves), tuple(np.exp(values) for _, values in curves), tuple(levels),
            np.ones((count, len(levels))),
        )  # fmt: skip
        ratio = np.exp(log_error) / found.typical(scores)
        rest = labelled & ~half[:, None]
        row, _ = np.nonzero(rest)
        common = conformal_quantiles(ratio[rest], group[row], levels)
        for joint in range(count):
            mine = rest[:, joint]
            own = conformal_quantiles(ratio[mine, joint], group[mine], levels)
            found.factors[joint] = np.where(np.isfinite(own), own, common)
        return found

    def typical(self, scores: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
        """The typical error of joints with these scores, relative to the size of the person."""
        columns = [
            np.exp(np.interp(scores[:, joint], knots, np.log(scales)))
            for joint, (knots, scales) in enumerate(zip(self.knots, self.scales, strict=True))
        ]
        return np.stack(columns, axis=1)

    def radius(self, scores: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K L"]:
        """Radius of the region of each level, relative to the size of the person."""
        return np.asarray(self.typical(scores)[..., None] * self.factors)


def _isotonic(
    scores: Float[np.ndarray, "N"], values: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]:
    """Scores, ascending, and the values that fall with them and fit best."""
    knots, fitted = increasing(scores, -values)
    return knots, -fitted


def increasing(
    scores: Float[np.ndarray, "N"], values: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]:
    """Isotonic regression: scores, ascending, and the values that grow with them and fit best.

    Of each level of the fitted steps there are the first and the last score; between them values are linear.
    """
    from scipy.optimize import isotonic_regression  # type: ignore[import-untyped]  # takes long to import

    knots, place = np.unique(scores, return_inverse=True)
    weight = np.bincount(place)
    means = np.bincount(place, values) / weight
    fitted = isotonic_regression(means, weights=weight).x
    ends = np.r_[True, fitted[1:] != fitted[:-1]] | np.r_[fitted[1:] != fitted[:-1], True]
    return knots[ends], fitted[ends]
