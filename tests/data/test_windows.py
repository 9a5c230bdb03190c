"""Poses as batches of windows."""

from __future__ import annotations

import numpy as np
import torch

from logpose.core.skeletons import Skeleton
from logpose.data.windows import WindowBatch, Windows, window_loader

THREE = Skeleton("person", ("pelvis", "l_hip", "r_hip"))


class Made:
    """Poses whose first number gives the row."""

    skeleton = THREE
    groups: list[str]

    def __init__(self, count: int = 40) -> None:
        rng = np.random.default_rng(0)
        self.inputs = rng.normal(size=(count, 3, 2)).astype(np.float32)
        self.inputs[:, 0, 1] = np.arange(count)
        self.targets = rng.normal(size=(count, 3, 3)).astype(np.float32)
        self.sequence = np.zeros(count, dtype=np.int64)
        self.groups = ["walking"] * count

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, indices: np.ndarray, frames: int) -> np.ndarray:
        around = np.clip(indices[:, None] + np.arange(frames) - frames // 2, 0, len(self) - 1)
        return self.inputs[around]


def all_of(loader) -> WindowBatch:
    parts = list(loader)
    return WindowBatch(*(torch.cat([getattr(p, name) for p in parts]) for name in WindowBatch.__slots__))


def test_evaluation_views_every_frame_once_and_in_order() -> None:
    poses = Made()
    found = all_of(window_loader(Windows(poses, frames=3), 16, training=False))
    assert found.index.tolist() == list(range(40))
    assert found.keypoints.shape == (40, 3, 3, 2)
    assert found.keypoints[:, :, 0, 1].tolist() == [[max(i - 1, 0), i, min(i + 1, 39)] for i in range(40)]
    assert torch.equal(found.target, torch.from_numpy(poses.targets))
    assert found.weight.tolist() == [[0, 1, 1]] * 40  # nothing is learned of the root


def test_training_batches_are_full_and_differ_between_epochs() -> None:
    loader = window_loader(Windows(Made(), seed=1), 16, training=True, seed=1)
    first = [batch.index.tolist() for batch in loader]
    assert [len(rows) for rows in first] == [16, 16]
    loader.sampler.set_epoch(1)
    assert [batch.index.tolist() for batch in loader] != first
    loader.sampler.set_epoch(0)
    assert [batch.index.tolist() for batch in loader] == first


def test_mirrored_windows() -> None:
    poses = Made()
    always, never = (Windows(poses, 3, flip).__getitems__([(0, 5), (0, 6)]) for flip in (1.0, 0.0))
    swapped = never.keypoints[:, :, [0, 2, 1]] * torch.tensor([-1.0, 1.0])
    assert torch.equal(always.keypoints, swapped)
    assert torch.equal(always.target, never.target[:, [0, 2, 1]] * torch.tensor([-1.0, 1.0, 1.0]))
    assert torch.equal(torch.from_numpy(poses.targets[[5, 6]]), never.target)  # nothing was changed in place


def test_which_rows_are_mirrored_depends_on_seed_epoch_and_row_only() -> None:
    poses = Made(400)

    def mirrored(epoch: int, rows: list[int], seed: int = 0) -> list[bool]:
        batch = Windows(poses, 1, 0.5, seed).__getitems__([(epoch, row) for row in rows])
        return (batch.keypoints[:, 0, 0, 0] != torch.from_numpy(poses.inputs[rows, 0, 0])).tolist()

    everyone = mirrored(0, list(range(400)))
    assert 150 < sum(everyone) < 250
    assert mirrored(0, [7, 3, 200]) == [everyone[7], everyone[3], everyone[200]]
    assert mirrored(1, list(range(400))) != everyone != mirrored(0, list(range(400)), seed=1)


def test_it_moves_to_another_device_whole() -> None:
    batch = Windows(Made()).__getitems__([(0, 1)])
    moved = batch.to("meta")
    assert {getattr(moved, name).device.type for name in WindowBatch.__slots__} == {"meta"}
    assert batch.inputs is batch.keypoints


def test_every_nth_frame_is_learned_from() -> None:
    found = all_of(window_loader(Windows(Made(), frames=3, every=4), 100, training=False))
    assert found.index.tolist() == list(range(0, 40, 4))
    assert found.keypoints[1, :, 0, 1].tolist() == [3, 4, 5]  # with the neighbours that they have
