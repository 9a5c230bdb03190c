"""Poses of a video as batches of windows, for lifting models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Unpack, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from logpose.core.skeletons import Skeleton
from logpose.core.structures import Inputs
from logpose.data.batches import LoaderOptions, epoch_loader

__all__ = ["Poses", "WindowBatch", "Windows", "window_loader", "windows_around"]


@runtime_checkable
class Poses(Protocol):
    """Keypoints and positions of N frames of many sequences, K joints each: the interface of a data set for lifting."""

    skeleton: Skeleton
    inputs: Float32[np.ndarray, "N K 2"]
    """Screen-normalised keypoints."""
    targets: Float32[np.ndarray, "N K 3"]
    """Positions in the camera's frame relative to the root joint, metres."""
    sequence: Int[np.ndarray, "N"]
    """Which sequence a frame is of; frames of one are neighbours, in order."""
    groups: list[str]
    """The group that each frame's figures are listed under: its action."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def window(self, indices: Int[np.ndarray, "B"], frames: int) -> Float32[np.ndarray, "B T K 2"]:
        """Keypoints of the frames around each index in its own sequence, whose ends are repeated."""
        ...


@dataclass(slots=True)
class WindowBatch(Inputs):
    """Windows ready for a model, with labels."""

    keypoints: Float[Tensor, "B T K 2"]
    """Screen-normalised."""
    target: Float[Tensor, "B K 3"]
    """Of the middle frame: metres from the root, in the camera's frame."""
    weight: Float[Tensor, "B K"]
    """1, but 0 of the root: there is nothing to learn of it."""
    index: Int64[Tensor, "B"]
    """Row of the data set."""


def windows_around(
    inputs: Float32[np.ndarray, "N K 2"],
    rows: Int[np.ndarray, "B"],
    first: Int[np.ndarray, "B"],
    last: Int[np.ndarray, "B"],
    frames: int,
) -> Float32[np.ndarray, "B T K 2"]:
    """Keypoints of the frames around each row in its own sequence, whose first and last are repeated.

    Args:
        inputs: screen-normalised keypoints of sequences, one after the other.
        rows: of the frames in the middle.
        first: row of the first frame of each one's sequence.
        last: row of its last frame.
        frames: T, odd.

    Raises:
        ValueError: if there would be no frame in the middle.
    """
    if frames < 1 or frames % 2 == 0:
        raise ValueError(f"a window has an odd number of frames, not {frames}")
    around = rows[:, None] + np.arange(frames) - frames // 2
    return inputs[np.clip(around, first[:, None], last[:, None])]


class Windows(Dataset[WindowBatch]):
    """Batches of windows of `frames` frames; of every so many-th frame only, with the neighbours that it has.

    `flip` is how often a pose is mirrored, `seed` the seed of that.
    """

    def __init__(self, poses: Poses, frames: int = 1, flip: float = 0.0, seed: int = 0, every: int = 1) -> None:
        self.poses, self.frames, self.flip, self.seed, self.every = poses, frames, flip, seed, every
        self.weight = np.ones(len(poses.skeleton), dtype=np.float32)
        self.weight[list(poses.skeleton.root)] = 0
        self._mirrored: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=bool))

    def __len__(self) -> int:
        return -(-len(self.poses) // self.every)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> WindowBatch:
        """The batch of (epoch, number)s of one epoch."""
        rows = self.every * np.array([number for _, number in keys])
        keypoints, target = self.poses.window(rows, self.frames), self.poses.targets[rows].copy()
        mirrored = self._chosen(keys[0][0])[rows]
        order = list(self.poses.skeleton.flip_index)
        for points in (keypoints, target):
            points[mirrored] = points[mirrored][..., order, :]
            points[mirrored, ..., 0] *= -1
        weight = np.broadcast_to(self.weight, target.shape[:2]).copy()
        return WindowBatch(*map(torch.from_numpy, (keypoints, target, weight, rows)))

    def _chosen(self, epoch: int) -> np.ndarray:
        """Which rows an epoch mirrors; a row's lot does not depend on the batch it is in."""
        if self._mirrored[0] != epoch:
            self._mirrored = epoch, np.random.default_rng((self.seed, epoch)).random(len(self.poses)) < self.flip
        return self._mirrored[1]


def window_loader(
    windows: Windows, batch_size: int, *, training: bool, **options: Unpack[LoaderOptions]
) -> DataLoader[WindowBatch]:
    """Batches of windows; arguments as of `batches.epoch_loader`."""
    return epoch_loader(windows, batch_size, _as_it_is, training=training, skip_damaged=False, **options)


def _as_it_is(batch: Any) -> Any:
    return batch
