"""Calibration of predicted standard deviations, and of regions, on held-out labels; the same in every task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

from logpose.core.calibration import PLURAL, Calibration, Group
from logpose.core.errors import InputError
from logpose.core.samples import VISIBLE
from logpose.core.structures import ErrorDistribution
from logpose.losses import LikelihoodLoss
from logpose.metrics.conformal import conformal_quantiles, grouped_mean, least_groups
from logpose.metrics.reliability import increasing
from logpose.metrics.visibility import calibration_error, logits, platt, rescaled

__all__ = ["Errors", "Measured", "calibrate", "group_numbers", "measure", "needed_to_measure"]

SIZES = 3
"""Ranges of sizes, with as many people each."""
FURTHEST = 20.0
"""Factors of standard deviations are looked for from a 20th to this."""
MOST_ERRORS = 20_000
"""Of each joint, in the search for its factor."""
MOST_CERTAIN = 0.99
"""Share of people whose joints are certain enough for somebody to be there."""
PARTS = ("standardised", "std", "groups", "sizes", "visible", "oks", "visibility")
"""Fields of `Errors` with a row for each instance."""
GOOD = 0.5
"""OKS above which a person counts as found, in AP50."""
MOST_KNOTS = 50
"""Expected OKS at which the OKS had is kept."""
FEWEST = least_groups(0.95)
"""Groups in which a joint is labelled, for a factor of its own."""
FOLDS = 5
"""Parts of the groups of which each is measured by the calibration on the others."""


@dataclass(frozen=True)
class Errors:
    """Errors of predictions on held-out labels: N instances, J joints (or boundaries) of D dimensions."""

    standardised: Float[np.ndarray, "N J D"]
    """(Label - expected position) / standard deviation; NaN of joints without a whole label."""
    std: Float[np.ndarray, "N J"]
    """Predicted standard deviation: the mean over the axes, of people in images over x and y; NaN of joints that an
    instance does not have."""
    unit: str
    """Its unit: "px", "mm"."""
    groups: Int[np.ndarray, "N"]
    """Number of the group that each is of."""
    sizes: Float[np.ndarray, "N"] | None = None
    """Longer side of each person's box, in pixels; None where there are no boxes."""
    visible: Int[np.ndarray, "N J"] | None = None
    """1: hidden, 2: visible, where labels have it."""
    oks: Float[np.ndarray, "N"] | None = None
    """Of people; NaN without labels …"""
    expected_oks: Callable[[Float[np.ndarray, "J"]], Float[np.ndarray, "N"]] | None = None
    """… and what is expected of it where standard deviations are multiplied by these factors."""
    visibility: Float[np.ndarray, "N J"] | None = None
    """Predicted probability that a joint is labelled as visible; None where that is not predicted."""

    @cached_property
    def known(self) -> Bool[np.ndarray, "N J"]:
        """Which joints have a whole label."""
        return np.asarray(np.isfinite(self.standardised).all(axis=-1))

    @cached_property
    def labelled(self) -> Bool[np.ndarray, "N"]:
        """Which instances have one."""
        return np.asarray(self.known.any(axis=1))

    @cached_property
    def radius(self) -> Float[np.ndarray, "N J"]:
        """Distance of labels from predictions, in standard deviations."""
        return np.asarray(np.sqrt((self.standardised**2).sum(axis=-1)))

    def of(self, rows: Bool[np.ndarray, "N"]) -> Errors:
        """Those of some instances."""
        own = {name: values[rows] for name, values in vars(self).items() if name in PARTS and values is not None}
        if (expected := self.expected_oks) is not None:
            own["expected_oks"] = lambda factor: expected(factor)[rows]
        return replace(self, **own)


def group_numbers(group: Group, images: Sequence[int], clips: Sequence[str]) -> Int[np.ndarray, "N"]:
    """The number of the group that each person is of, by the ids of images or the names of clips."""
    names: dict[Group, Sequence[Any]] = {"image": images, "person": range(len(images)), "clip": clips}
    return np.asarray(np.unique(np.array(names[group]), return_inverse=True)[1])


def needed_to_measure(level: float) -> int:
    """The fewest groups of which those without a fifth are enough to calibrate a level."""
    return math.ceil(least_groups(level) * FOLDS / (FOLDS - 1))


def calibrate(
    errors: Errors,
    model: Any,
    loss: LikelihoodLoss | None,
    levels: Sequence[float],
    group: Group = "image",
    by_size: bool = False,
) -> Calibration:
    """The factor of each joint's standard deviation, and the radii of its regions.

    The factor is that of the highest likelihood of the labels by the density that was learned (or, where none is kept,
    that makes half of the labels lie in the region of 50 %); radii are `conformal_quantiles`. Joints that are labelled
    in fewer groups than a level needs have those of all joints together. Of many joints with few labels the factors
    would differ by chance: they are drawn towards the common one as far as their variance explains it (empirical Bayes;
    that of a factor's logarithm is taken as 1 / groups).

    Args:
        errors: of labels that the model was not trained on.
        model: has the error distribution.
        loss: the density; None where none is kept.
        levels: nominal levels, in (0, 1).
        group: what the errors' groups are, to be stored.
        by_size: whether radii are of `SIZES` ranges of sizes.

    Raises:
        InputError: if there are too few groups, or the model has no standard deviations.
    """
    levels = sorted({*levels})
    if not errors.known.any() or not np.isfinite(errors.std[errors.known]).all():
        raise InputError("nothing to calibrate: no joint has both a label and a standard deviation")
    _, groups = np.unique(errors.groups, return_inverse=True)
    ranges, between = _ranges(errors, by_size)
    for number in range(len(between) + 1):
        _refuse_few(groups[(ranges == number) & errors.labelled], levels, group, by_size)
    factor = _factors(errors, model, loss)
    radius, known = errors.radius / factor, errors.known
    radii = np.empty((len(between) + 1, len(factor), len(levels)))
    for number in range(len(radii)):
        own = known & (ranges == number)[:, None]
        row, _ = np.nonzero(own)
        common = conformal_quantiles(radius[own], groups[row], levels)
        for joint in range(len(factor)):
            mine = own[:, joint]
            quantiles = conformal_quantiles(radius[mine, joint], groups[mine], levels)
            radii[number, joint] = np.where(np.isfinite(quantiles), quantiles, common)
    uncertain = None
    if errors.sizes is not None:
        relative = np.nanmedian(errors.std[errors.labelled] * factor, axis=1) / errors.sizes[errors.labelled]
        uncertain = float(np.quantile(relative, MOST_CERTAIN))
    count = len(np.unique(groups[errors.labelled]))
    oks, visibility = _oks_of_expected(errors, factor), _visibility(errors)
    return Calibration(factor.tolist(), levels, radii.tolist(), between, group, count, uncertain, oks, visibility)


def _visibility(errors: Errors) -> tuple[float, ...]:
    """Slope and shift of the logits of probabilities that joints are visible; none where these are not predicted."""
    if errors.visibility is None or errors.visible is None:
        return ()
    has = np.isfinite(errors.std)
    return platt(logits(errors.visibility[has]), errors.visible[has] == VISIBLE)


def _oks_of_expected(errors: Errors, factor: Float[np.ndarray, "J"]) -> list[list[float]]:
    """Of people of whom an OKS is expected, the mean OKS and the share above .5: isotonic regressions."""
    if errors.oks is None or errors.expected_oks is None:
        return []
    had, expected = errors.oks, errors.expected_oks(factor)
    known = np.isfinite(had) & np.isfinite(expected)
    if not known.any():
        return []
    good = (had[known] > GOOD).astype(np.float64)
    ends = [expected[known].min(), expected[known].max()]  # one more of each, so that no share is 0 or 1 by chance
    fits = [
        increasing(expected[known], had[known]),
        increasing(np.append(expected[known], ends), np.append(good, [1.0, 0.0])),
    ]
    at = np.unique(np.concatenate([knots for knots, _ in fits]))
    if len(at) > MOST_KNOTS:
        at = np.quantile(expected[known], np.linspace(0, 1, MOST_KNOTS))
    rows = [at, *(np.interp(at, knots, values) for knots, values in fits)]
    return [np.clip(row, 0, 1).round(5).tolist() for row in rows]


def _ranges(errors: Errors, by_size: bool) -> tuple[Int[np.ndarray, "N"], list[float]]:
    """The range of sizes that each instance is in, and the lengths between these."""
    if not by_size:
        return np.zeros(len(errors.groups), dtype=np.int64), []
    if errors.sizes is None:
        raise InputError("--by size: there are no boxes here")
    between = [float(length) for length in np.quantile(errors.sizes, np.arange(1, SIZES) / SIZES)]
    return np.searchsorted(between, errors.sizes), between


def _refuse_few(groups: Int[np.ndarray, "N"], levels: Sequence[float], group: Group, by_size: bool) -> None:
    """Refuse to calibrate levels on fewer groups than they need."""
    count = len(np.unique(groups))
    if count < (needed := least_groups(levels[-1])):
        where = " in each range of sizes" if by_size else ""
        raise InputError(f"level {levels[-1]:g} needs {needed} {PLURAL[group]} or more{where}, got {count}")


def _factors(errors: Errors, model: Any, loss: LikelihoodLoss | None) -> Float[np.ndarray, "J"]:
    """The factor of each joint's standard deviation; one for all boundaries, whose density is that of all together."""
    known, found = errors.known, model.error_distribution
    if model.keeps_bands:
        whole = errors.standardised[known.all(axis=1), :, 0]
        return np.full(known.shape[1], _factor(whole, found, loss) if len(whole) else 1.0)
    common = _factor(errors.standardised[known], found, loss)
    own, variance = np.zeros(known.shape[1]), np.full(known.shape[1], np.inf)  # of logarithms, relative to the common
    for joint in range(known.shape[1]):
        mine = known[:, joint]
        if (count := len(np.unique(errors.groups[mine]))) >= FEWEST:
            own[joint] = math.log(_factor(errors.standardised[mine, joint], found, loss) / common)
            variance[joint] = 1 / count
    several = np.isfinite(variance)
    between = max(0.0, float((own[several] ** 2 - variance[several]).mean())) if several.any() else 0.0
    return np.asarray(common * np.exp(own * between / (between + variance)))


def _factor(error: Float[np.ndarray, "M D"], found: ErrorDistribution, loss: LikelihoodLoss | None) -> float:
    """The factor of the standard deviation that some errors were divided by."""
    if loss is None:
        return float(np.median(np.sqrt((error**2).sum(axis=1))) / found.radius_at(0.5))
    rows = np.random.default_rng(0).permutation(len(error))[:MOST_ERRORS]
    e, mean = _raw(error[rows], found), found.mean.detach().cpu()
    one = torch.ones_like(e)

    @torch.no_grad()
    def nll(log_factor: float) -> float:
        factor = math.exp(log_factor)
        return float(-loss.log_prob(one * (1 - factor) * mean, one * factor, e).double().mean())  # of the same mean

    bound = math.log(FURTHEST)
    return math.exp(minimize_scalar(nll, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-3}).x)


@dataclass(frozen=True)
class Measured:
    """Coverage and size of regions before a calibration and after it, both on labels that it did not use.

    Coverage is a mean in which every group counts once, as in the guarantee.
    """

    errors: Errors
    levels: tuple[float, ...]
    radii: dict[str, Float[np.ndarray, "N J L"]]
    """Of "before" and "after", each region's radius in standard deviations before the calibration."""
    nll_change: float
    """Change of the mean negative log-likelihood by the calibrated standard deviations, nats a label; NaN without a
    density."""
    visibility: Mapping[str, Float[np.ndarray, "N J"]] = field(default_factory=dict)
    """Probabilities that joints are visible, "before" and "after"; empty where they are not predicted."""

    def coverage(self, when: str, rows: Bool[np.ndarray, "N J"] | None = None) -> Float[np.ndarray, "L"]:
        """Share of labels in the regions of each level, "before" or "after"; NaN where there are none."""
        chosen = self.errors.known if rows is None else self.errors.known & rows
        if not chosen.any():
            return np.full(len(self.levels), np.nan)
        inside = (self.errors.radius[chosen][:, None] <= self.radii[when][chosen]).astype(np.float64)
        return grouped_mean(inside, self.errors.groups[np.nonzero(chosen)[0]])

    def size(self, when: str) -> Float[np.ndarray, "L"]:
        """Median radius of the regions of each level, in the unit of the errors."""
        known = self.errors.known
        return np.asarray(np.median(self.errors.std[known][:, None] * self.radii[when][known], axis=0))

    def parts(self, joints: Sequence[str]) -> dict[str, Bool[np.ndarray, "N J"]]:
        """Parts of the labels: of each joint, of each third of people by size, and hidden and visible ones."""
        errors, shape = self.errors, self.errors.std.shape
        found = {name: np.arange(shape[1]) == joint for joint, name in enumerate(joints)}
        if errors.sizes is not None:
            ranges, between = _ranges(errors, by_size=True)
            names = (f"below {between[0]:.0f} px", f"to {between[-1]:.0f} px", f"above {between[-1]:.0f} px")
            found |= {f"boxes {name}": (ranges == number)[:, None] for number, name in enumerate(names)}
        if errors.visible is not None and len(np.unique(errors.visible[errors.known])) > 1:
            found |= {"hidden": errors.visible == 1, "visible": errors.visible == 2}
        return {name: np.broadcast_to(rows, shape) for name, rows in found.items()}

    def figures(self) -> dict[str, float]:
        """Coverage and median radius of each level before and after, and the change of the NLL, by name."""
        found = {}
        for when in self.radii:
            of_level = zip(self.levels, self.coverage(when), self.size(when), strict=True)
            for level, share, size in of_level:
                found[f"coverage@{level:g} {when}"] = float(share)
                found[f"radius_{self.errors.unit}@{level:g} {when}"] = float(size)
        if np.isfinite(self.nll_change):
            found["nll change"] = self.nll_change
        if self.errors.visible is not None:
            has = np.isfinite(self.errors.std) & self.errors.labelled[:, None]
            for when, probability in self.visibility.items():
                found[f"visible_ece {when}"] = calibration_error(probability[has], self.errors.visible[has] == VISIBLE)
        return found


def measure(
    errors: Errors,
    model: Any,
    loss: LikelihoodLoss | None,
    levels: Sequence[float],
    group: Group = "image",
    by_size: bool = False,
) -> Measured:
    """What a calibration changes: each fifth of the groups is measured by the calibration on the others.

    Arguments are those of `calibrate`.

    Raises:
        InputError: if four fifths of the groups are too few.
    """
    levels = sorted({*levels})
    before = np.stack([np.broadcast_to(model.region_radius(level), errors.std.shape) for level in levels], axis=-1)
    labelled = errors.labelled
    numbers, groups = np.unique(errors.groups, return_inverse=True)
    count, needed = len(np.unique(groups[labelled])), least_groups(levels[-1])
    if count - math.ceil(count / FOLDS) < needed:
        needed = needed_to_measure(levels[-1])
        parts = f", of which a fifth measures them, got {count}"
        raise InputError(f"level {levels[-1]:g} needs {needed} labelled {PLURAL[group]} or more{parts}")
    fold = np.empty(len(numbers), dtype=np.int64)
    fold[np.unique(groups[labelled])] = np.random.default_rng(0).permutation(count) % FOLDS
    part = np.where(labelled, fold[groups], -1)
    factor, after = np.ones(errors.std.shape), before.copy()
    seen = {} if errors.visibility is None else {when: errors.visibility.copy() for when in ("before", "after")}
    for number in range(min(FOLDS, count)):
        mine = part == number
        other = calibrate(errors.of(labelled & ~mine), model, loss, levels, group, by_size)
        sizes = None if errors.sizes is None else errors.sizes[mine]
        factor[mine] = other.factor
        if seen and other.visibility:
            seen["after"][mine] = rescaled(seen["before"][mine], *other.visibility)
        after[mine] = np.stack(
            [np.broadcast_to(other.radius_at(level, sizes), factor[mine].shape) for level in levels], -1
        )
    change = _nll_change(errors, factor, model, loss)
    return Measured(errors, tuple(levels), {"before": before, "after": after * factor[..., None]}, change, seen)


def _nll_change(errors: Errors, factor: Float[np.ndarray, "N J"], model: Any, loss: LikelihoodLoss | None) -> float:
    """Change of the mean NLL if standard deviations are multiplied by these factors."""
    if loss is None:
        return float("nan")
    if model.keeps_bands:
        whole = errors.known.all(axis=1)
        error, scale = errors.standardised[whole, :, 0], factor[whole, :1]
    else:
        error, scale = errors.standardised[errors.known], factor[errors.known][:, None]
    if not len(error):
        return float("nan")
    e = _raw(error, model.error_distribution)
    new = torch.from_numpy(np.broadcast_to(scale, error.shape).copy())[:, None].float()
    with torch.no_grad():
        mean = model.error_distribution.mean.detach().cpu()
        before, after = (
            loss.log_prob(torch.zeros_like(e), torch.ones_like(e), e),
            loss.log_prob((1 - new) * mean, new, e),
        )
        return float((before - after).double().mean())


def _raw(error: Float[np.ndarray, "M D"], found: ErrorDistribution) -> Float[torch.Tensor, "M 1 D"]:
    """(Label - mu) / sigma of errors in standard deviations."""
    std, mean = (values.detach().double().cpu() for values in (found.std, found.mean))
    return (torch.from_numpy(error) * std + mean)[:, None].float()
