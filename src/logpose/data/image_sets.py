"""Whole images, each with all its labelled people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from logpose.core.skeletons import Skeleton
from logpose.core.structures import Image, Sample
from logpose.data.batches import LabelledSet
from logpose.data.coco import CocoKeypoints, with_last_pixel
from logpose.data.crops import People
from logpose.data.images import check_image
from logpose.data.inputs import lies_outside
from logpose.data.problems import FARTHEST, Problem
from logpose.data.synthetic import SyntheticPeople

__all__ = ["ImageSet", "LabelledImage", "whole_images"]


@dataclass(frozen=True)
class LabelledImage:
    """An image and its people."""

    image: Path | Image
    image_id: int
    people: tuple[Sample, ...]
    """People with a box of their own, also those without labelled joints."""
    ignored: tuple[Sample, ...] = ()
    """Crowds, and people whose labels cannot be used: a detection there is neither right nor wrong."""


@runtime_checkable
class ImageSet(LabelledSet[LabelledImage], Protocol):
    """A data set of whole images."""


@dataclass
class _Listed:
    """Images in a list, and the problems of their file."""

    skeleton: Skeleton
    images: Sequence[LabelledImage]
    problems: Sequence[Problem]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.images[index]


class _Synthetic:
    """Synthetic images, each computed at its first use and kept."""

    def __init__(self, people: SyntheticPeople) -> None:
        self.people, self.skeleton = people, people.skeleton
        self._kept: dict[int, LabelledImage] = {}

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> LabelledImage:
        if index not in self._kept:
            scene, first = self.people.scene(index), index * self.people.people[1] + 1  # ids as in `write_coco`
            people = (
                Sample(scene.image, who.box, who.keypoints, who.visible, who.area, index + 1, first + place)
                for place, who in enumerate(scene.people)
            )
            self._kept[index] = LabelledImage(scene.image, index + 1, tuple(people))
        return self._kept[index]


def whole_images(people: People) -> ImageSet:
    """The images that labelled people are in, each with all its people.

    Args:
        people: a data set of people. Of a COCO file there are also images without people, crowds,
            people of whom no joint is labelled, and boxes of rows that are wrong; of `SyntheticPeople`, all people of
            each scene.
    """
    if isinstance(people, SyntheticPeople):
        return _Synthetic(people)
    problems = list(getattr(people, "problems", ()))
    images: dict[int, tuple[Path | Image, list[Sample], list[Sample]]] = {}
    if isinstance(people, CocoKeypoints):
        for number, path in (people.images | people.unlabelled).items():
            # The reader checks only the files of labelled people.
            if number in people.unlabelled and (fault := check_image(path)):
                problems.append(Problem(f"{people.file}: image id {number}", fault, str(path)))
            else:
                images[number] = path, [], []
    for i in range(len(people)):
        sample = people[i]
        if isinstance(people, CocoKeypoints):  # boxes of crops end with their last pixel's centre
            sample = replace(sample, box=with_last_pixel(sample.box))
        images.setdefault(sample.image_id, (sample.image, [], []))[1].append(sample)
    if isinstance(people, CocoKeypoints):
        for row in (*people.passed_over, *people.unusable):
            image, with_boxes, ignored = images[row["image_id"]]
            box, size, joints = (
                np.array(row["bbox"], dtype=np.float64),
                people.sizes[row["image_id"]],
                len(people.skeleton),
            )
            nothing = np.zeros((joints, 2)), np.zeros(joints, dtype=np.int64)
            sample = Sample(image, box, *nothing, float(row["area"]), row["image_id"], 0)
            is_box = np.isfinite(box).all() and np.abs(box).max() <= FARTHEST and box[2:].min() > 0
            known = all(isinstance(side, int | float) and side > 0 for side in size)
            if row["iscrowd"]:
                ignored.append(sample)
            elif is_box and not (known and lies_outside(box.tolist(), size)):
                with_boxes.append(sample)
            else:
                where = f"{people.file}: image id {sample.image_id}"
                problems.append(Problem(where, "bbox of a person without labels is not valid", f"{row['bbox']}"))
    listed = [LabelledImage(image, number, tuple(own), tuple(rest)) for number, (image, own, rest) in images.items()]
    return _Listed(people.skeleton, listed, problems)
