"""A labelled person as read from a file, the image, and data sets of them: what needs no more than NumPy.

For axes and coordinates see `structures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8

from logpose.core.skeletons import Skeleton

__all__ = ["VISIBLE", "Image", "LabelledSet", "People", "Sample", "Scoring"]

Item = TypeVar("Item", covariant=True)

Image = UInt8[np.ndarray, "_ _ 3"]
"""A decoded image, (H, W, 3): RGB, 8 bits a channel. Images of one call may differ in size."""

VISIBLE = 2
"""COCO's flag of a joint that is labelled and visible."""

Scoring = Literal["sum", "product", "box", "oks"]
"""A person's score: box + mean + greatest confidence of the joints (the paper's released code), box × mean, box, or
box × the OKS predicted from the joints' standard deviations."""


@dataclass(slots=True)
class Sample:
    """One labelled person (or other object) in one image, as read: not cropped, not scaled."""

    image: Path | Image
    """The image, or its file."""
    box: Float[np.ndarray, "4"]
    """x, y, width, height in image coordinates."""
    keypoints: Float[np.ndarray, "K D"]
    """Image coordinates; undefined (perhaps NaN) where `visible` is 0."""
    visible: Int[np.ndarray, "K"]
    """0: not labelled; 1: labelled but hidden; 2: labelled and visible (COCO's flag)."""
    area: float
    """Area of the object in square pixels, the scale of OKS."""
    image_id: int
    """Which image of the data set this is in."""
    id: int
    """The annotation's own number."""
    score: float = 1.0
    """A detector's score of the box; 1 for an annotated box."""
    category_id: int = 1
    """Category of the object, in data that number categories (COCO's)."""


@runtime_checkable
class LabelledSet(Protocol[Item]):
    """A labelled data set: what a new one has to offer."""

    @property
    def skeleton(self) -> Skeleton:
        """The joints that are labelled."""
        ...

    def __len__(self) -> int:
        """Number of items."""
        ...

    def __getitem__(self, index: int, /) -> Item:
        """One item."""
        ...


@runtime_checkable
class People(LabelledSet[Sample], Protocol):
    """A data set of labelled people (or hands, faces, animals)."""
