"""Labelled people as batches of crops: a data set, a sampler and a loader in PyTorch's sense.

Randomness travels with the index. The sampler hands out (epoch, row) and every crop is varied by a generator of its
own, seeded by (seed, epoch, row). So a crop does not depend on which worker cuts it, two workers never repeat each
other, every epoch differs from the last, and a run can be repeated.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.space import InSpace, Space
from logpose.core.structures import Batch, Sample
from logpose.data.loading import ErrorsAsRows, InputErrorLoader, JoinedOrError
from logpose.data.transforms import CropTransform

__all__ = ["Crops", "EpochSampler", "InMemory", "People", "collate", "crop_loader", "epoch_loader"]

log = logging.getLogger("logpose")

T = TypeVar("T")

IN_A_ROW = 10  # pictures that cannot be decoded, one after another, are no single damaged ones


@runtime_checkable
class People(Protocol):
    """A data set of labelled people (or hands, faces, animals): what a new one has to offer."""

    @property
    def skeleton(self) -> Skeleton:
        """The joints that are labelled."""
        ...

    def __len__(self) -> int:
        """Number of people."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """One of them."""
        ...


class InMemory:
    """People read or drawn once and kept, for data that fit into memory and are gone through many times.

    Args:
        people: the data set.
        indices: which of them, in this order; None takes all.

    Attributes:
        evaluated: of people who are `InSpace`, the joints that errors are measured on; others have none.
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
        """Where the joints of one of them are; asked for once, and kept.

        Raises:
            TypeError: if the people are not `InSpace`.
        """
        if not isinstance(self._people, InSpace):
            raise TypeError("nobody knows where these people's joints are in space")
        if index not in self._spaces:
            self._spaces[index] = self._people.space(self._indices[index])
        return self._spaces[index]


class Crops(Dataset[Batch]):
    """The crop of each person, as batches of one.

    Args:
        people: whom to cut out.
        transform: how.
        seed: of the augmentation.
    """

    def __init__(self, people: People, transform: CropTransform, seed: int = 0) -> None:
        self.people, self.transform, self.seed = people, transform, seed

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        return self.transform(self.people[index], index, rng)


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, row) of every person: shuffled anew each epoch, or in order; each process its share.

    Args:
        count: number of people.
        shuffle: whether to mix them.
        seed: of the mixing.
        even: with several processes, leave out the last few rows so that all have as many (gradients are exchanged in
            step); for evaluation every row is seen exactly once.
    """

    def __init__(self, count: int, shuffle: bool, seed: int = 0, even: bool = True) -> None:
        self.count, self.shuffle, self.seed, self.even = count, shuffle, seed, even
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next pass is (Lightning calls this)."""
        self.epoch = epoch

    def _mine(self) -> tuple[int, int]:
        ready = distributed.is_available() and distributed.is_initialized()
        return (distributed.get_rank(), distributed.get_world_size()) if ready else (0, 1)

    def __len__(self) -> int:
        rank, world = self._mine()
        return self.count // world if self.even else len(range(rank, self.count, world))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rank, world = self._mine()
        order = np.arange(self.count)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        for row in order[rank::world][: len(self)]:
            yield self.epoch, int(row)


def collate(batches: list[Batch]) -> Batch:
    """Small batches joined into one."""
    return Batch(**{f.name: torch.cat([getattr(batch, f.name) for batch in batches]) for f in fields(Batch)})


def crop_loader(
    crops: Crops,
    batch_size: int,
    *,
    training: bool,
    workers: int = 0,
    seed: int = 0,
    pin: bool = False,
    processes: int = 1,
) -> DataLoader[Batch]:
    """Batches of crops: shuffled and of equal size for training, every person once and in order otherwise.

    Args:
        crops: what to go through.
        batch_size: people in a batch (the last batch of a training epoch is left out if it is smaller, unless it is
            the only one).
        training: see above.
        workers: processes that cut crops; 0 cuts them in this one.
        seed: of the order.
        pin: whether batches go to page-locked memory, for a GPU.
        processes: how many share the people of a training epoch.
    """
    return epoch_loader(
        crops, batch_size, collate, training=training, workers=workers, seed=seed, pin=pin, processes=processes
    )


class _Readable(Dataset[T]):
    """Rows of a data set; in the place of one whose picture turns out to be damaged, the next.

    Whether all of a picture can be decoded is not known before it is: to look at all would take as long as an epoch.
    Where several after one another cannot be, something else is wrong, and the first is refused.
    """

    def __init__(self, rows: Dataset[T]) -> None:
        self.rows, self.told = rows, set[str]()

    def __len__(self) -> int:
        return len(self.rows)  # type: ignore[arg-type]  # PyTorch's class does not say that it has one

    def __getitem__(self, key: tuple[int, int]) -> T:
        epoch, row = key
        count = len(self)
        wrong: list[InputError] = []
        for more in range(min(count, IN_A_ROW)):
            try:
                found = self.rows[epoch, (row + more) % count]
            except InputError as error:
                wrong.append(error)
            else:
                for told in map(str, wrong):
                    if told not in self.told:
                        self.told.add(told)
                        log.warning("left out of training: %s", told)
                return found
        raise wrong[0]


def epoch_loader(
    rows: Dataset[T],
    batch_size: int,
    join: Callable[[list[T]], T],
    *,
    training: bool,
    workers: int = 0,
    seed: int = 0,
    pin: bool = False,
    processes: int = 1,
) -> DataLoader[T]:
    """The same of any data set whose rows are (epoch, row) and come as batches of one.

    Args:
        rows: what to go through; has a length.
        batch_size: as of `crop_loader`, as the further arguments are.
        join: makes a batch of several.
        training: see there.
        workers: see there.
        seed: see there.
        pin: see there.
        processes: see there.
    """
    count = len(rows)  # type: ignore[arg-type]  # PyTorch's class does not say that it has one
    sampler = EpochSampler(count, shuffle=training, seed=seed, even=training)
    readable = _Readable(rows) if training else rows
    return InputErrorLoader(
        ErrorsAsRows(readable) if workers else readable,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=JoinedOrError(join) if workers else join,
        pin_memory=pin,
        drop_last=training and min(len(sampler), count // processes) >= batch_size,
        persistent_workers=workers > 0,
        worker_init_fn=_settle_worker,
    )


def _settle_worker(_: int) -> None:
    """One thread each, for there are as many workers as cores to spare; Ctrl-C is the main process's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
