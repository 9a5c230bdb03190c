"""What a wrapper is given: the people that a program predicted, as arrays, in one view or two."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.geometry import in_images
from logpose.core.samples import Sample
from logpose.core.structures import Inputs
from logpose.data.areas import COVERED
from logpose.data.labelled_images import LabelledImages
from logpose.data.predictions import PredictedPeople, read_predictions
from logpose.models.wrapper import KeypointWrapper
from logpose.tasks.audit import pairs_of
from logpose.tasks.pose.poses import regions_of
from logpose.tasks.scoring import calibrated_oks, person_oks

__all__ = ["Given", "WrappedBatch", "WrappedPeople", "read_given", "wrapped"]

log = logging.getLogger("logpose")

BATCH = 4096
"""People at a time."""
UNLIKE = 0.3
"""Of the person: how far apart most joints of two views are that are not of one person."""
PARTLY = "%s: %d of %d people have none of %s; theirs is taken as the mean of the others'"


@dataclass(slots=True)
class WrappedBatch(Inputs):
    """People that a program predicted, with their labels and the maps back to their images."""

    people: Float[Tensor, "B K C"]
    """See `KeypointWrapper.channels`; pixels."""
    target: Float[Tensor, "B K 2"]
    """In the coordinates of the prediction; undefined where `weight` is 0."""
    weight: Float[Tensor, "B K"]
    to_image: Float[Tensor, "B 2 3"]
    index: Int64[Tensor, "B"]
    """Row of the labelled person."""


@dataclass(frozen=True)
class Given:
    """What a program predicted in some images, perhaps twice."""

    path: Path
    """Of the predictions, for messages."""
    predictions: PredictedPeople
    mirrored: Float[np.ndarray, "N K 3"] | None = None
    """x, y, score of the same people in the mirrored images, mirrored back; NaN of people that are not there."""

    def inputs(self, mirrored: bool, deviations: bool) -> Float32[np.ndarray, "N K C"]:
        """What a wrapper takes.

        Args:
            mirrored: whether it takes the second view.
            deviations: whether it takes standard deviations.

        Raises:
            InputError: if what it takes is not there.
        """
        columns = [np.stack(self.predictions.rows)]
        if self.mirrored is not None and not mirrored:
            raise InputError(f"{self.path}: the wrapper was fitted without a second view; leave out --mirrored")
        if mirrored:
            if self.mirrored is None:
                raise InputError(f"{self.path}: the wrapper was fitted with a second view; name it with --mirrored")
            columns.append(self.mirrored)
        if deviations:
            covariance = self.predictions.covariance
            if covariance is None:
                raise InputError(f"{self.path}: the wrapper was fitted with the program's std, and some rows have none")
            columns.append(np.sqrt(np.diagonal(covariance, axis1=2, axis2=3)))
        return np.concatenate(columns, axis=-1).astype(np.float32)


def read_given(path: str | Path, mirrored: str | Path | None, images: LabelledImages) -> Given:
    """The predictions of a file, and of another one the same people in the mirrored images.

    Args:
        path: as of `read_predictions`.
        mirrored: the same, mirrored back; None where there is none.
        images: that they may be of.

    Raises:
        InputError: if a file cannot be read, or nobody is in both.
    """
    found = read_predictions(path, images)
    found.log_passed_over()
    if mirrored is None:
        return Given(Path(path), found)
    again = read_predictions(mirrored, images)
    again.log_passed_over()
    try:
        pairs = pairs_of(again, _as_samples(found))
    except InputError as error:
        raise InputError(f"{mirrored}: nobody in it is of the images of {path}") from error
    second = np.full((len(found), len(found.skeleton), 3), np.nan)
    for theirs, ours in pairs:
        second[ours] = again.rows[theirs]
    if missing := int(np.isnan(second).all(axis=(1, 2)).sum()):
        log.warning(PARTLY, path, missing, len(found), mirrored)
    apart = np.linalg.norm(second[..., :2] - found.keypoints, axis=-1) / found.sizes[:, None]
    if not 0 < np.nanmedian(apart) < UNLIKE:
        words = "%s: of most joints both views are %.2g of the person apart; are they mirrored back, and of two images?"
        log.warning(words, mirrored, np.nanmedian(apart))
    return Given(Path(path), found, second)


def _as_samples(people: PredictedPeople) -> list[Sample]:
    """Predicted people in place of labelled ones."""
    boxes, visible = people.extents, np.full(len(people.skeleton), 2)
    return [
        Sample(Path(), box, row[:, :2], visible, COVERED * float(box[2:].prod()), image, number)
        for number, (image, row, box) in enumerate(zip(people.images, people.rows, boxes, strict=True))
    ]


@dataclass(frozen=True)
class WrappedPeople:
    """People with the standard deviations of their joints; pixels."""

    keypoints: Float[np.ndarray, "N K 2"]
    std: Float[np.ndarray, "N K 2"]
    confidence: Float[np.ndarray, "N K"]
    expected_oks: Float[np.ndarray, "N"]
    """See `evaluation.person_oks`; calibrated."""
    oks50: Float[np.ndarray, "N"] | None
    """Probability of an OKS above .5; None of a wrapper that is not calibrated."""
    radii: Mapping[float, Float[np.ndarray, "N K 2"]]
    """Half axes of the calibrated regions, by nominal level."""


@torch.inference_mode()
def wrapped(
    model: KeypointWrapper, given: Given, device: torch.device | str = "cpu", batch_size: int = BATCH
) -> WrappedPeople:
    """The errors of predicted people.

    Args:
        model: the wrapper, on `device` and in evaluation mode.
        given: what the program predicted.
        device: where to compute.
        batch_size: people at a time.

    Raises:
        InputError: if what the wrapper takes is not there.
    """
    inputs = torch.from_numpy(given.inputs(model.mirrored, model.deviations))
    parts = []
    for people in torch.split(inputs, batch_size):
        batch = people.to(device)
        parts.append(in_images(model.calibrated(model(batch)), model.to_image(batch), model.size))
    keypoints, std, confidence, *_ = (np.concatenate(column) for column in zip(*parts, strict=True))
    boxes, sigmas = given.predictions.extents, model.skeleton.sigmas
    known = calibrated_oks(model, std, boxes, sigmas)
    mean, above = known or (person_oks(std, boxes, sigmas, model.radii()), None)
    return WrappedPeople(keypoints, std, confidence, mean, above, regions_of(model, boxes, std))
