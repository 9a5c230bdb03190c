"""Whole images, each with all its labelled people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from logpose.core.errors import InputError
from logpose.core.samples import Image, LabelledSet, People, Sample
from logpose.core.skeletons import Skeleton
from logpose.data.problems import Problem

__all__ = ["HasImages", "ImageList", "ImageSet", "LabelledImage", "whole_images"]


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


@runtime_checkable
class HasImages(Protocol):
    """People whose data set knows more of its images than who is labelled in them."""

    def whole_images(self) -> ImageSet:
        """The images, each with all its people."""
        ...


@dataclass
class ImageList:
    """Images in a list, and the problems of their file, with its notes."""

    skeleton: Skeleton
    images: Sequence[LabelledImage]
    problems: Sequence[Problem] = ()
    notes: Sequence[str] = ()

    @property
    def image_files(self) -> Iterable[Path]:
        """The images with people."""
        return (each.image for each in self.images if each.people and isinstance(each.image, Path))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.images[index]


def whole_images(people: People) -> ImageSet:
    """The images that labelled people are in, each with all its people.

    Args:
        people: a data set of people. Of a COCO file there are also images without people, crowds,
            people of whom no joint is labelled, and boxes of rows that are wrong; of `SyntheticPeople`, all people of
            each scene.

    Raises:
        InputError: if several categories have skeletons of their own.
    """
    if people.skeleton.categories:
        where, names = getattr(people, "file", "the data"), people.skeleton.name
        raise InputError(f"{where}: detectors have one class, not {names}; choose one with --category NAME")
    if isinstance(people, HasImages):
        return people.whole_images()
    images: dict[int, tuple[Path | Image, list[Sample]]] = {}
    for i in range(len(people)):
        sample = people[i]
        images.setdefault(sample.image_id, (sample.image, []))[1].append(sample)
    listed = [LabelledImage(image, number, tuple(own)) for number, (image, own) in images.items()]
    return ImageList(people.skeleton, listed, list(getattr(people, "problems", ())), list(getattr(people, "notes", ())))
