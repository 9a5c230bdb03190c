"""What any program's keypoints are worth: their errors, and how well its scores foretell them. Without a network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import LabelledImages
from logpose.data.predictions import PredictedPeople
from logpose.metrics.calibration import pearson, rank_correlation
from logpose.metrics.conformal import grouped_mean, least_groups
from logpose.metrics.covariance import whitened_errors
from logpose.metrics.oks import oks, over_labelled, similarities
from logpose.metrics.reliability import RegionsOfScores, auroc, excess_of_sparsification

__all__ = ["LEVELS", "Audit", "Matched", "labelled_images", "labels_of", "matched_people", "pairs_of"]

LEVELS = (0.5, 0.9, 0.95)
"""Nominal levels of regions of scores."""
LEAST_OKS = 0.1
"""Of a pair, where an image has several people."""
CORRECT = 0.5
"""Least similarity of a correct joint: the term that it adds to OKS."""


@dataclass(frozen=True)
class Matched:
    """Predicted people beside the labelled ones that they are matched with: M people, K joints, pixels."""

    skeleton: Skeleton
    predicted: Float[np.ndarray, "M K 2"]
    scores: Float[np.ndarray, "M K"]
    """Of each joint."""
    person_scores: Float[np.ndarray, "M"]
    covariance: Float[np.ndarray, "M K 2 2"] | None
    sizes: Float[np.ndarray, "M"]
    """The longer side of each predicted person's box."""
    truth: Float[np.ndarray, "M K 2"]
    visible: Int[np.ndarray, "M K"]
    area: Float[np.ndarray, "M"]
    """Of the labelled person, square pixels."""
    images: Int[np.ndarray, "M"]
    """Id of each one's image."""
    labelled: int
    """How many people are labelled in all."""
    extra: int
    """How many predictions in labelled images are matched with nobody."""
    images_without: int = 0
    """How many images with labelled people have no prediction."""
    regions: Mapping[str, Float[np.ndarray, "M K 2"]] = field(default_factory=dict)
    """Half axes of the program's own regions, by nominal level; NaN where a row has none."""

    @property
    def correlation(self) -> Float[np.ndarray, "M K"] | None:
        """Of the errors along x and y, as the program gives it; None without covariances."""
        if self.covariance is None:
            return None
        return np.asarray(self.covariance[..., 0, 1] / np.sqrt(self.covariance[..., 0, 0] * self.covariance[..., 1, 1]))

    @cached_property
    def known(self) -> Bool[np.ndarray, "M K"]:
        """Which joints are labelled."""
        return np.asarray(self.visible > 0)

    @cached_property
    def error(self) -> Float[np.ndarray, "M K 2"]:
        """Prediction minus label; NaN where there is no label."""
        return np.where(self.known[..., None], self.predicted - self.truth, np.nan)

    @cached_property
    def distance(self) -> Float[np.ndarray, "M K"]:
        """Its length."""
        return np.asarray(np.hypot(self.error[..., 0], self.error[..., 1]))

    @cached_property
    def similarity(self) -> Float[np.ndarray, "M K"]:
        """What each joint adds to OKS; 1 where there is no label."""
        return similarities(self.predicted, self.truth, self.visible, self.area, self.skeleton.sigmas)


def labelled_images(people: Any) -> LabelledImages:
    """The images of labelled people, as `read_predictions` takes them.

    Args:
        people: a `LabelledPeople`; those of a format without ids of images are known by the names of files.

    Raises:
        InputError: if they have several categories with joints of their own.
    """
    if people.skeleton.categories:
        raise InputError(f"{people.file}: several categories have joints of their own; choose one with --category")
    paths = {sample.image_id: sample.image for sample in people.samples}
    paths |= getattr(people, "unlabelled", {})
    names = {number: str(path) for number, path in paths.items()}
    known = getattr(people, "sizes", {}), tuple(getattr(people, "category_ids", ()))
    return LabelledImages(people.file, people.skeleton, names, *known)


def pairs_of(predictions: PredictedPeople, people: Sequence[Sample]) -> list[tuple[int, int]]:
    """Rows of predicted people and of the labelled ones that they are matched with, image by image.

    The one prediction in an image of one person is matched with them, however far off. Where there are several, pairs
    are those with the highest sum of OKS, without pairs of an OKS below 0.1.

    Raises:
        InputError: if nobody is matched.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # takes long to import

    found, labels = predictions.keypoints, defaultdict[int, list[int]](list)
    for row, sample in enumerate(people):
        labels[sample.image_id].append(row)
    of_image = defaultdict[int, list[int]](list)
    for row, image in enumerate(predictions.images):
        of_image[image].append(row)
    truth, visible, area = labels_of(people)
    pairs: list[tuple[int, int]] = []
    for image, own in of_image.items():
        theirs = labels.get(image, [])
        if len(own) == len(theirs) == 1:
            pairs.append((own[0], theirs[0]))
        elif theirs:
            rows, columns = np.repeat(own, len(theirs)), np.tile(theirs, len(own))
            alike = oks(found[rows], truth[columns], visible[columns], area[columns], predictions.skeleton.sigmas)
            table = alike.reshape(len(own), len(theirs))
            chosen = zip(*linear_sum_assignment(table, maximize=True), strict=True)
            pairs += [(own[i], theirs[j]) for i, j in chosen if table[i, j] >= LEAST_OKS]
    if not pairs:
        raise InputError("no prediction is of a labelled person")
    return pairs


def labels_of(people: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, COCO's flags and areas of labelled people."""
    truth = np.stack([sample.keypoints[:, :2] for sample in people])
    visible = np.stack([sample.visible for sample in people])
    return truth, visible, np.array([sample.area for sample in people])


def matched_people(predictions: PredictedPeople, people: Sequence[Sample]) -> Matched:
    """Predicted people beside the labelled ones of `pairs_of`.

    Raises:
        InputError: if nobody is matched.
    """
    pairs = pairs_of(predictions, people)
    truth, visible, area = labels_of(people)
    mine, labelled = (np.array(column) for column in zip(*pairs, strict=True))
    covariance = predictions.covariance
    without = {sample.image_id for sample in people} - {*predictions.images}
    regions = {level: axes[mine] for level, axes in predictions.regions().items()}
    return Matched(
        predictions.skeleton, predictions.keypoints[mine], predictions.confidence[mine],
        np.array(predictions.scores)[mine], None if covariance is None else covariance[mine], predictions.sizes[mine],
        truth[labelled], visible[labelled], area[labelled], predictions.image_numbers()[mine], len(people),
        len(predictions) - len(pairs), len(without), regions,
    )  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """Figures of a program's predictions on labelled people.

    Args:
        at: predictions beside labels.
        split: share of the images on which the regions of scores are learned; the others measure them.
        noise: standard deviation of labels along an axis, of each joint, where they were made twice.
        seed: of the division of images.
    """

    at: Matched
    split: float = 0.5
    noise: Float[np.ndarray, "K"] | None = None
    seed: int = 0

    @cached_property
    def correct(self) -> Bool[np.ndarray, "J"]:
        """Of each labelled joint, whether it is correct."""
        return np.asarray(self.at.similarity[self.at.known] >= CORRECT)

    @cached_property
    def relative(self) -> Float[np.ndarray, "M K"]:
        """Errors relative to the size of the predicted person."""
        return np.asarray(self.at.distance / self.at.sizes[:, None])

    @cached_property
    def has_scores(self) -> bool:
        """Whether scores of joints differ."""
        return bool(np.ptp(self.at.scores[self.at.known]) > 0)

    @cached_property
    def learns(self) -> Bool[np.ndarray, "M"]:
        """The people of the images on which the regions of scores are learned."""
        numbers, place = np.unique(self.at.images, return_inverse=True)
        chosen = np.random.default_rng(self.seed).permutation(len(numbers)) < round(self.split * len(numbers))
        return np.asarray(chosen[place])

    @cached_property
    def regions(self) -> RegionsOfScores | None:
        """What scores are worth; None where there are too few images, or nothing to learn from."""
        mine = self.learns
        images = len(np.unique(self.at.images[mine]))
        if images < 2 * least_groups(LEVELS[-1]) or not self.at.known[mine].any() or mine.all():
            return None
        return RegionsOfScores.learned(self.relative[mine], self.at.scores[mine], self.at.images[mine], LEVELS)

    @cached_property
    def covered(self) -> Float[np.ndarray, "M K L"] | None:
        """Of each label that the regions were not learned on, whether it is in that of each level; NaN elsewhere."""
        if self.regions is None:
            return None
        inside = self.relative[..., None] <= self.regions.radius(self.at.scores)
        usable = self.at.known & ~self.learns[:, None]
        return np.where(usable[..., None], inside, np.nan)

    @cached_property
    def gaussian(self) -> Float[np.ndarray, "M K"] | None:
        """Errors in units of the program's own covariances (Mahalanobis), where it has them."""
        if self.at.covariance is None:
            return None
        error = np.where(self.at.known[..., None], self.at.error, 0.0)
        solved = np.linalg.solve(self.at.covariance, error[..., None])[..., 0]
        return np.where(self.at.known, np.sqrt((error * solved).sum(axis=-1)), np.nan)

    def figures(self) -> dict[str, float]:
        """Every figure that can be had of these predictions, by name."""
        at, known = self.at, self.at.known
        similarity = over_labelled(at.similarity, at.visible)
        scored = known.any(axis=1)
        found: dict[str, float] = {
            "people": len(at.images),
            "labelled": at.labelled,
            "recall": len(at.images) / at.labelled,
            "extra": at.extra,
            "joints": int(known.sum()),
            "error_px": float(np.nanmean(at.distance)),
            "error_of_size": float(np.nanmean(self.relative)),
            "bias_px": float(np.hypot(*np.nanmean(at.error, axis=(0, 1)))),
            "oks": float(similarity[scored].mean()),
            "correct": float(self.correct.mean()),
        }
        if self.noise is not None and np.isfinite(self.noise).any():
            found["label_std_px"] = float(np.sqrt(np.nanmean(self.noise**2)))
        of_person = np.where(known, at.scores, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        for name, values in (("joint_scores", of_person), ("person_score", at.person_scores)):
            for kind, correlation in (("pearson", pearson), ("spearman", rank_correlation)):
                found[f"{name}_oks_{kind}"] = correlation(values[scored], similarity[scored])
        if self.has_scores:
            scores, error = at.scores[known], self.relative[known]
            found["auroc"] = auroc(scores, self.correct)
            found["score_rank"] = rank_correlation(-scores, error)
            found["sparsification_excess"] = excess_of_sparsification(error, scores)
        if self.gaussian is not None and at.covariance is not None:
            spread = np.sqrt(np.trace(at.covariance, axis1=2, axis2=3))[known]
            found["std_rank"] = rank_correlation(spread, at.distance[known])
            for level in LEVELS:
                inside = self.gaussian[known] <= math.sqrt(-2 * math.log(1 - level))
                found[f"own_coverage@{level:g}"] = float(inside.mean())
        for nominal, axes in at.regions.items():
            shares = whitened_errors(at.error, axes, at.correlation) ** 2
            inside = np.where(np.isnan(shares).any(axis=-1), np.nan, shares.sum(axis=-1) <= 1)
            if (~np.isnan(inside)).any():
                found[f"own_region@{nominal}"] = float(np.nanmean(inside))
        if self.covered is not None and self.regions is not None:
            radius = (self.regions.radius(at.scores) * at.sizes[:, None, None])[known & ~self.learns[:, None]]
            for i, level in enumerate(LEVELS):
                measured = ~np.isnan(self.covered[..., i])
                groups = np.broadcast_to(at.images[:, None], measured.shape)[measured]
                found[f"coverage@{level:g}"] = float(grouped_mean(self.covered[..., i][measured], groups))
                found[f"radius_px@{level:g}"] = float(np.median(radius[:, i]))
        return {name: value for name, value in found.items() if value == value}

    def coverage_by_joint(self) -> Float[np.ndarray, "K L"]:
        """Share of each joint's labels in the regions of scores of each level; NaN where none is measured."""
        if self.covered is None:
            return np.full((len(self.at.skeleton), len(LEVELS)), np.nan)
        count = (~np.isnan(self.covered)).sum(axis=0)
        return np.where(count > 0, np.nansum(self.covered, axis=0) / np.maximum(count, 1), np.nan)

    def by_joint(self) -> list[dict[str, Any]]:
        """Figures of each joint: bias and standard deviation along x and y, quantiles of the error, and the rest."""
        at, rows = self.at, []
        for k, name in enumerate(at.skeleton.joints):
            known = at.known[:, k]
            row: dict[str, Any] = {"joint": name, "labels": int(known.sum())}
            if known.any():
                error, distance = at.error[known, k], at.distance[known, k]
                row["bias_px"] = error.mean(axis=0).round(2).tolist()
                row["std_px"] = error.std(axis=0).round(2).tolist()
                row |= {f"error_px@{q:g}": round(float(np.quantile(distance, q)), 2) for q in (0.5, 0.95)}
                row["auroc"] = _known(auroc(at.scores[known, k], at.similarity[known, k] >= CORRECT))
            if self.noise is not None:
                row["label_std_px"] = _known(float(self.noise[k]))
            if self.covered is not None:
                row["coverage@0.9"] = _known(float(self.coverage_by_joint()[k, LEVELS.index(0.9)]))
            rows.append(row)
        return rows

    def map(self) -> dict[str, Any] | None:
        """The regions of scores as plain values: of each joint, scores and the radius of each level at them."""
        if self.regions is None:
            return None
        joints = {}
        for k, name in enumerate(self.at.skeleton.joints):
            knots, typical = self.regions.knots[k], self.regions.scales[k]
            factors = zip(LEVELS, self.regions.factors[k], strict=True)
            radii = {
                f"{level:g}": np.round(typical * factor, 5).tolist() if np.isfinite(factor) else None
                for level, factor in factors
            }
            joints[name] = {"score": np.round(knots, 6).tolist(), "radius": radii}
        return {"relative_to": "longer side of the person's box, or of the joints' extent", "joints": joints}

    def notes(self) -> list[str]:
        """Sentences about what the figures leave out, or may be mistaken for."""
        at, found = self.at, []
        scores = at.scores[at.known]
        if scores.max() > 1 or scores.min() < 0:
            found.append(
                f"scores of joints range from {scores.min():.3g} to {scores.max():.3g}: they rank joints, and are no "
                "probabilities"
            )
        if not self.has_scores:
            found.append(f"all joints have the score {scores[0]:g}: how well scores foretell errors cannot be measured")
        elif self.correct.all() or not self.correct.any():
            found.append(f"{'all' if self.correct.all() else 'no'} joints are correct: there is no AUROC")
        if at.images_without:
            found.append(f"{at.images_without} images with labelled people have no prediction: recall counts these")
        if self.regions is None:
            images = len(np.unique(at.images[self.learns]))
            needed = 2 * least_groups(LEVELS[-1])
            found.append(
                f"no regions of scores: they are learned on {images} images, and {needed} or more are needed, with "
                "others to measure them (--split)"
            )
        return found


def _known(value: float) -> float | None:
    """A figure of JSON, which has no NaN."""
    return round(value, 4) if math.isfinite(value) else None


def worst(at: Matched, count: int) -> list[tuple[int, float]]:
    """Rows of the people with the largest mean error relative to their size, and that error; one for each image."""
    relative = at.distance / at.sizes[:, None]
    labelled = at.known.any(axis=1)
    mean = np.where(labelled, np.nansum(relative, axis=1) / np.maximum(at.known.sum(axis=1), 1), -1)
    found: Mapping[int, int] = {int(at.images[row]): int(row) for row in np.argsort(mean)}  # the worst of an image last
    rows = sorted(found.values(), key=lambda row: -mean[row])[:count]
    return [(row, float(mean[row])) for row in rows if mean[row] >= 0]
