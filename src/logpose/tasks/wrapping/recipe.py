"""From files of predictions and labels to a wrapper."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from logpose.core.calibration import PLURAL, Group
from logpose.core.errors import InputError
from logpose.data.files import open_people
from logpose.data.fingerprints import fingerprints
from logpose.data.problems import log_problems
from logpose.metrics.calibration import pearson, rank_correlation
from logpose.metrics.oks import oks
from logpose.models.wrapper import KeypointWrapper
from logpose.tasks.audit import labelled_images, labels_of, pairs_of
from logpose.tasks.calibrate import calibrate, group_numbers, needed_to_measure
from logpose.tasks.evaluation import clip_of
from logpose.tasks.scoring import person_oks
from logpose.tasks.wrapping.fit import FEWEST, Fitted, fit
from logpose.tasks.wrapping.predict import read_given

__all__ = ["wrap"]

log = logging.getLogger("logpose")


def wrap(
    predictions: str | Path,
    labels: str | Path,
    mirrored: str | Path | None = None,
    *,
    refine: bool = False,
    levels: Sequence[float] = (0.5, 0.9, 0.95),
    group: Group = "image",
    images: str | Path | None = None,
    category: str | None = None,
    seed: int = 0,
) -> tuple[Fitted, dict[str, float]]:
    """Fit a wrapper to what a program predicted in labelled images.

    Args:
        predictions: what it predicted, as of `read_predictions`.
        labels: of the same images, in any format that `train` takes.
        mirrored: what it predicts in the mirrored images, mirrored back.
        refine: whether positions are corrected.
        levels: nominal levels of the regions.
        group: what is exchangeable.
        images: folder of the images, if not beside the labels.
        category: of labels in which several have joints of their own.
        seed: of the fit.

    Returns:
        the wrapper, and figures of people left out: rank correlations with the error, of the program's scores and of
        the wrapper's standard deviations; correlations with OKS, of the program's score of a person and of the OKS
        expected.

    Raises:
        InputError: if a file cannot be read, is of other joints or images, or has too few people.
    """
    people = open_people(labels, images, category=category, need_images=False)
    log_problems(people)
    given = read_given(predictions, mirrored, labelled_images(people))
    found = given.predictions
    pairs = pairs_of(found, list(people.samples))
    rows, samples = [row for row, _ in pairs], [people[i] for _, i in pairs]
    truth, visible, area = labels_of(samples)
    if not (visible > 0).any():
        raise InputError(f"{labels}: nobody who is predicted has a labelled joint")
    scores = found.confidence
    probabilities = bool(scores.min() >= 0 and scores.max() <= 1)
    if np.ptp(scores) == 0:
        log.warning("all joints have the score %g: nothing but positions differs", scores.flat[0])
    categories = getattr(people, "category_ids", ())
    model = KeypointWrapper(
        people.skeleton, mirrored is not None, found.covariance is not None, refine, probabilities, categories
    )
    inputs = given.inputs(model.mirrored, model.deviations)
    groups = group_numbers(group, [sample.image_id for sample in samples], [clip_of(sample) for sample in samples])
    count = len(np.unique(groups[(visible > 0).any(axis=1)]))
    needed = max(FEWEST, needed_to_measure(max(levels)))
    if count < needed:
        raise InputError(f"{predictions}: {needed} labelled {PLURAL[group]} or more are needed, got {count}")
    fitted = fit(model, inputs[rows], truth, visible, groups, seed)
    model.fit_usual(torch.from_numpy(inputs))
    fitted.model.learned_images = fingerprints(sample.image for sample in samples if isinstance(sample.image, Path))
    boxes, sigmas, radii = found.extents[rows], people.skeleton.sigmas, model.radii()
    had = oks(fitted.keypoints, truth, visible, area, sigmas)

    def expected(factor: Float[np.ndarray, "J"]) -> Float[np.ndarray, "N"]:
        return person_oks(fitted.std * factor[:, None], boxes, sigmas, radii)

    fitted = replace(fitted, errors=replace(fitted.errors, oks=had, expected_oks=expected))
    model.calibration = calibrate(fitted.errors, model, fitted.loss, levels, group)
    return fitted, _comparison(fitted, found.keypoints[rows], found.confidence[rows], truth, visible) | _of_people(
        np.array(found.scores)[rows], oks(found.keypoints[rows], truth, visible, area, sigmas), had,
        expected(np.array(model.calibration.factor)),
    )  # fmt: skip


def _comparison(
    fitted: Fitted,
    predicted: Float[np.ndarray, "N K 2"],
    scores: Float[np.ndarray, "N K"],
    truth: Float[np.ndarray, "N K 2"],
    visible: Int[np.ndarray, "N K"],
) -> dict[str, float]:
    """Rank correlations with the error of the program's scores and of the wrapper's deviations, of people left out."""
    known = visible > 0
    extent = np.broadcast_to(np.maximum(np.ptp(predicted, axis=1).max(axis=1), 1)[:, None], known.shape)
    before, after = (np.linalg.norm((x - truth)[known], axis=-1) / extent[known] for x in (predicted, fitted.keypoints))
    figures = {"score_rank": rank_correlation(-scores[known], before), "sigma_rank": fitted.sigma_rank}
    if fitted.model.refine:
        figures |= {"error_of_size before": float(before.mean()), "error_of_size": float(after.mean())}
    return {name: value for name, value in figures.items() if value == value}


def _of_people(
    scores: Float[np.ndarray, "N"],
    before: Float[np.ndarray, "N"],
    had: Float[np.ndarray, "N"],
    expected: Float[np.ndarray, "N"],
) -> dict[str, float]:
    """Correlations with OKS of the program's scores of people, and of the OKS that is expected."""
    known = np.isfinite(had)
    figures = {
        "score_oks_r": pearson(scores[known], before[known]),
        "oks_expected_r": pearson(expected[known], had[known]),
        "oks": float(had[known].mean()),
    }
    return {name: value for name, value in figures.items() if value == value}
