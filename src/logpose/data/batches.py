"""Batches of tensors, and the loader that joins the rows of a data set to them.

Randomness travels with the index: the sampler yields (epoch, row), and every row is varied by a generator of its own,
seeded by (seed, epoch, row). So a row does not depend on the worker, and a run can be repeated.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any, TypedDict, TypeVar, Unpack

import cv2
import numpy as np
import torch
from torch import distributed
from torch.utils.data import Dataset, Sampler

from logpose.core.errors import InputError
from logpose.core.structures import Tensors
from logpose.data.loading import ErrorsAsRows, InputErrorLoader, JoinedOrError, Replaced

__all__ = ["EpochSampler", "LoaderOptions", "Tensors", "check_batch_size", "collate", "epoch_loader"]

T = TypeVar("T")

IN_A_ROW = 10  # so many images that cannot be decoded one after another are not single damaged ones


def collate(batches: Sequence[T]) -> T:
    """Small batches, dataclasses of tensors and of lists, joined into one along their first axis."""
    names = [field.name for field in fields(batches[0])]  # type: ignore[arg-type]  # a dataclass
    columns = [[getattr(batch, name) for batch in batches] for name in names]
    return type(batches[0])(*map(_joined, columns))


def _joined(parts: Sequence[Any]) -> Any:
    """A field of several batches; None where they have none."""
    if parts[0] is None:
        return None
    return [*chain(*parts)] if isinstance(parts[0], list) else torch.cat(tuple(parts))


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, row) of every row: shuffled again each epoch, or in order; each process its share.

    With several processes and `even`, the last few rows are left out so that all have as many, as their gradients are
    exchanged in step; for evaluation every row comes exactly once.

    Attributes:
        start: how many rows of its share the next pass leaves out, as an interrupted run has had them.
    """

    def __init__(self, count: int, shuffle: bool, seed: int = 0, even: bool = True) -> None:
        self.count, self.shuffle, self.seed, self.even = count, shuffle, seed, even
        self.epoch = self.start = 0

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
        start, self.start = self.start, 0
        order = np.arange(self.count)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        for row in order[rank::world][start : len(self)]:
            yield self.epoch, int(row)


class _Readable(Dataset[Any]):
    """Rows of a data set; a row whose image turns out to be damaged is replaced by the next (`Replaced`).

    Where `IN_A_ROW` in a row cannot be decoded, something else is wrong, and the first is refused.
    """

    def __init__(self, rows: Dataset[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)  # type: ignore[arg-type]  # PyTorch's class does not declare it

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, row = key
        count = len(self)
        wrong: list[InputError] = []
        for more in range(min(count, IN_A_ROW)):
            try:
                found = self.rows[epoch, (row + more) % count]
            except InputError as error:
                wrong.append(error)
            else:
                return Replaced(found, tuple(map(str, wrong))) if wrong else found
        raise wrong[0]


class LoaderOptions(TypedDict, total=False):
    """Options that every loader takes."""

    workers: int
    """Processes that make rows; 0, the default, makes them in this one."""
    seed: int
    """Of the order, 0 by default."""
    pin: bool
    """Whether batches go to page-locked memory, for a GPU; not by default."""
    processes: int
    """How many share the rows of a training epoch; 1 by default."""


def check_batch_size(batch_size: int) -> int:
    """The number of rows in a batch.

    Raises:
        InputError: if it is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size


def epoch_loader(
    rows: Dataset[T],
    batch_size: int,
    join: Callable[[Sequence[T]], T] = collate,
    *,
    training: bool,
    skip_damaged: bool = True,
    **options: Unpack[LoaderOptions],
) -> InputErrorLoader[T]:
    """Batches of rows: shuffled and of equal size for training, every row once and in order otherwise.

    Args:
        rows: a data set with a length whose rows are (epoch, row) and come as batches of one.
        batch_size: of a batch (the last of a training epoch is left out if it is smaller, unless it is the only one).
        join: makes a batch of several.
        training: see above.
        skip_damaged: whether training leaves out rows that raise `InputError`, with a warning.
        options: see `LoaderOptions`.

    Raises:
        InputError: if `batch_size` is below 1.
    """
    count = len(rows)  # type: ignore[arg-type]  # PyTorch's class does not declare it
    workers = options.get("workers", 0)
    sampler = EpochSampler(count, shuffle=training, seed=options.get("seed", 0), even=training)
    readable = _Readable(rows) if training and skip_damaged else rows
    return InputErrorLoader(
        ErrorsAsRows(readable) if workers else readable,
        batch_size=check_batch_size(batch_size),
        sampler=sampler,
        num_workers=workers,
        collate_fn=JoinedOrError(join),
        pin_memory=options.get("pin", False),
        drop_last=training and min(len(sampler), count // options.get("processes", 1)) >= batch_size,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(options.get("seed", 0)),
    )


def _start_worker(_: int) -> None:
    """One thread each, for there are as many workers as cores to spare; the main process answers signals to all."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
