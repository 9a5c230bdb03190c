"""Labelled people as batches of crops: a data set in PyTorch's sense and its loader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from torch.utils.data import DataLoader, Dataset

from logpose.core.samples import People, Sample
from logpose.core.space import InSpace, Space
from logpose.core.structures import Batch
from logpose.data.batches import LoaderOptions, epoch_loader
from logpose.data.transforms import CropTransform

__all__ = ["Crops", "InMemory", "crop_loader"]


class InMemory:
    """People (those of `indices`, in this order; None takes all) kept in memory, for small data used for many epochs.

    Those who are `InSpace` stay so: `evaluated` are the joints that errors are computed on.
    """

    evaluated: tuple[int, ...]

    def __init__(self, people: People, indices: Sequence[int] | None = None) -> None:
        self.skeleton = people.skeleton
        self._people, self._indices = people, list(range(len(people)) if indices is None else indices)
        self.samples = [people[i] for i in self._indices]
        self._spaces: dict[int, Space] = {}
        if isinstance(people, InSpace):
            self.evaluated = people.evaluated

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def space(self, index: int) -> Space:
        """The 3-D joints of one of them.

        Raises:
            TypeError: if the people are not `InSpace`.
        """
        if not isinstance(self._people, InSpace):
            raise TypeError("these people have no 3-D joints (space)")
        if index not in self._spaces:
            self._spaces[index] = self._people.space(self._indices[index])
        return self._spaces[index]


class Crops(Dataset[Batch]):
    """The crop of each person, as batches of one; `seed` is that of the augmentation."""

    def __init__(self, people: People, transform: CropTransform, seed: int = 0) -> None:
        self.people, self.transform, self.seed = people, transform, seed

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        return self.transform(self.people[index], index, rng)


def crop_loader(
    crops: Crops, batch_size: int, *, training: bool, **options: Unpack[LoaderOptions]
) -> DataLoader[Batch]:
    """Batches of crops; arguments as of `batches.epoch_loader`."""
    return epoch_loader(crops, batch_size, training=training, **options)
