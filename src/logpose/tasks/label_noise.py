"""The noise of labels, from images that were labelled twice: in pixels, and as the sigmas of OKS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from logpose.core.errors import InputError
from logpose.data.predictions import PredictedPeople
from logpose.tasks.audit import Matched, labelled_images, matched_people

__all__ = ["label_noise", "labelled_twice", "measured_sigmas"]


def labelled_twice(first: Any, second: Any) -> Matched:
    """Labels beside those of the same people by somebody else.

    Images are the same by the names of their files, whatever their ids.

    Args:
        first: a `LabelledPeople`.
        second: of the same images, by another person; those of a joint have a score of 0 where there is none.

    Raises:
        InputError: if they have other joints, or no image is in both.
    """
    if second.skeleton.joints != first.skeleton.joints:
        raise InputError(f"{second.file}: has other joints than {first.file}")
    images, again = labelled_images(first), PredictedPeople(first.skeleton)
    for sample in second.samples:
        if (image := images.find(str(sample.image))) is None:
            image = images.find(Path(str(sample.image)).name)  # in another folder
        row = np.column_stack([sample.keypoints[:, :2], (sample.visible > 0).astype(np.float64)])
        row[sample.visible == 0, :2] = 0
        if image is not None:
            again.add("", image, row, 1.0, None, sample.box)
    if not len(again):
        raise InputError(f"{second.file}: none of its labels is of an image of {first.file}, by the names of files")
    return matched_people(again, first.samples)


def label_noise(both: Matched) -> Float[np.ndarray, "K"]:
    """Standard deviation along an axis of one person's labels, pixels; NaN of joints that nobody labelled twice.

    If both err independently and alike, the variance of their difference is twice that of each.
    """
    return np.sqrt(_mean_square(both, np.ones(len(both.area)))[0] / 4)


def measured_sigmas(both: Matched) -> tuple[Float[np.ndarray, "K"], Int[np.ndarray, "K"]]:
    """The sigma of OKS of each joint, and how many labels it is from; NaN of joints that nobody labelled twice.

    COCO defines sigma² as the mean of d² / s², with d the distance of a label from the truth and s² the object's area.
    The mean of the squared distance of two labels from each other is twice that.
    """
    mean, count = _mean_square(both, both.area)
    return np.sqrt(mean / 2), count


def _mean_square(both: Matched, unit: Float[np.ndarray, "M"]) -> tuple[Float[np.ndarray, "K"], Int[np.ndarray, "K"]]:
    """The mean of the squared distance of two labels, in units of each person, and how many there are."""
    apart = np.where(both.scores > 0, both.distance, np.nan)
    count = (~np.isnan(apart)).sum(axis=0)
    total = np.nansum(apart**2 / unit[:, None], axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count
