"""Whole images as batches, for detectors.

An image is enlarged or reduced by one affine map and laid into the upper left of its input, which is black beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Inputs, Tensors
from logpose.data.augmentation import Matrix, SceneTransform, ShortSide, SquareCrop, flip_share
from logpose.data.batches import LoaderOptions, collate, epoch_loader
from logpose.data.image_sets import ImageSet, LabelledImage
from logpose.data.images import image_size, read_reduced
from logpose.data.problems import FARTHEST
from logpose.data.transforms import cut

__all__ = [
    "MULTIPLE",
    "SceneBatch",
    "ScenePeople",
    "SceneTransform",
    "Scenes",
    "ShortSide",
    "SquareCrop",
    "join",
    "scene",
    "scene_loader",
]

MULTIPLE = 32
"""Inputs have sides of so many pixels, so that the cells of a pyramid's levels fit each other."""
LEAST_SIDE = 1.0  # pixels of the input: a person of whom less is visible is left out


@dataclass(slots=True)
class ScenePeople(Tensors):
    """The people of one input."""

    boxes: Float[Tensor, "N 4"]
    """x0, y0, x1, y1 in pixels of the input, within it: edges, the first pixel lies between 0 and 1."""
    keypoints: Float[Tensor, "N K 2"]
    """Pixels of the input, centres at whole numbers, also of labelled joints outside it; 0 where `weight` is 0."""
    weight: Float[Tensor, "N K"]
    """How much each label counts: 0 not at all, 1 fully. All 0 for a person without labelled joints."""
    area: Float[Tensor, "N"]
    """Of each person, square pixels of the input; of the whole person where the input shows a part."""
    ignored: Float[Tensor, "M 4"]
    """Boxes in which a detection is neither right nor wrong."""


@dataclass(slots=True)
class SceneBatch(Inputs):
    """Whole images ready for a detector, with labels and the maps back to the images."""

    images: UInt8[Tensor, "B 3 H W"]
    """RGB, of the batch's largest image, sides multiples of 32; black beyond each image's own size."""
    sizes: Int64[Tensor, "B 2"]
    """Height and width of each image in them."""
    to_image: Float[Tensor, "B 2 3"]
    """Affine map from pixels of the input to image coordinates."""
    index: Int64[Tensor, "B"]
    """Row of the data set each image is."""
    people: list[ScenePeople]
    """The people of each."""


class Scenes(Dataset[SceneBatch]):
    """Each image, as a batch of one; without `empty` only those with labelled people.

    Raises:
        InputError: if no image is left.
    """

    def __init__(
        self, images: ImageSet, transform: SceneTransform, seed: int = 0, training: bool = False, empty: bool = True
    ) -> None:
        self.images, self.transform, self.seed, self.training = images, transform, seed, training
        every = range(len(images))
        self.rows = [i for i in every if empty or any((person.visible > 0).any() for person in images[i].people)]
        if not self.rows:
            raise InputError("no image has labelled people")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> SceneBatch:
        epoch, index = key[0], self.rows[key[1]]
        rng = np.random.default_rng((self.seed, epoch, index)) if self.training else None
        return scene(self.images[index], self.images.skeleton, self.transform, index, rng)


def scene(
    labelled: LabelledImage, skeleton: Skeleton, transform: SceneTransform, index: int = 0,
    rng: np.random.Generator | None = None,
) -> SceneBatch:  # fmt: skip
    """The input that an image becomes, as a batch of one; for evaluation if `rng` is None.

    Raises:
        InputError: if the image cannot be read.
    """
    source = labelled.image
    width, height = image_size(source) if isinstance(source, Path) else (source.shape[1], source.shape[0])
    to_input, size = transform.place((width, height), labelled.people, rng)
    mirror = rng is not None and rng.random() < flip_share(transform.flip, skeleton)
    if mirror:
        to_input = geometry.compose(geometry.mirror_matrix(size[1]), to_input)
    factor = float(np.sqrt(abs(np.linalg.det(to_input[:, :2]))))
    image, reduced = read_reduced(source, 1 / factor)
    pixels = cut(image, geometry.compose(to_input, geometry.enlargement(reduced)), size)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return SceneBatch(
        _padded(images, *(-(-side // MULTIPLE) * MULTIPLE for side in size)),
        torch.tensor([size]),
        torch.from_numpy(geometry.invert_affine(to_input).astype(np.float32))[None],
        torch.tensor([index]),
        [_people(labelled, skeleton, to_input, size, mirror)],
    )


def _people(
    labelled: LabelledImage, skeleton: Skeleton, to_input: Matrix, size: tuple[int, int], mirror: bool
) -> ScenePeople:
    """The people who are partly in the input."""
    boxes = _boxes(labelled.people, to_input, size)
    seen = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(axis=1)
    people = [person for person, there in zip(labelled.people, seen, strict=True) if there]
    order = list(skeleton.flip_index) if mirror else list(range(len(skeleton)))
    keypoints = np.stack([person.keypoints[order, :2] for person in people]) if people else np.zeros((0, len(order), 2))
    visible = np.array([person.visible[order] > 0 for person in people]).reshape(-1, len(order))
    placed = np.where(visible[..., None], geometry.apply_affine(to_input, keypoints), 0)
    area = np.array([person.area for person in people]) * abs(np.linalg.det(to_input[:, :2]))
    ignored = _boxes(labelled.ignored, to_input, size)
    ignored = ignored[((ignored[:, 2:] - ignored[:, :2]) >= LEAST_SIDE).all(axis=1)]
    columns = (boxes[seen], placed, visible, area, ignored)
    return ScenePeople(*(torch.from_numpy(column.astype(np.float32)) for column in columns))


def _boxes(people: Sequence[Sample], to_input: Matrix, size: tuple[int, int]) -> Float[np.ndarray, "N 4"]:
    """Boxes x0, y0, x1, y1 in pixels of the input, cut off at its edges; of none, one of no extent."""
    boxes = np.array([person.box for person in people], dtype=np.float64).reshape(-1, 4)
    boxes = np.clip(np.nan_to_num(boxes), -FARTHEST, FARTHEST)  # those of crowds are as the file has them
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    # Maps are of pixels' centres, and a box's corner is the corner of a pixel.
    placed = np.sort(geometry.apply_affine(to_input, corners - 0.5) + 0.5, axis=1)
    return np.clip(placed, 0, size[::-1]).reshape(-1, 4)


def _padded(images: Tensor, height: int, width: int) -> Tensor:
    """Images with black below and to their right, up to a size."""
    return functional.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))


def join(batches: Sequence[SceneBatch]) -> SceneBatch:
    """Small batches joined into one of the size of the largest."""
    height, width = (max(batch.images.shape[axis] for batch in batches) for axis in (2, 3))
    return collate([replace(batch, images=_padded(batch.images, height, width)) for batch in batches])


def scene_loader(
    scenes: Scenes, batch_size: int, *, training: bool, **options: Unpack[LoaderOptions]
) -> DataLoader[SceneBatch]:
    """Batches of whole images; arguments as of `batches.epoch_loader`."""
    return epoch_loader(scenes, batch_size, join, training=training, **options)
