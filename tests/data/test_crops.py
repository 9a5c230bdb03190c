"""Batches of crops: the same whoever cuts them, different each epoch, everybody once."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from logpose.core.cameras import Camera
from logpose.core.errors import InputError
from logpose.core.geometry import from_crop
from logpose.core.samples import People, Sample
from logpose.core.skeletons import COCO
from logpose.core.space import InSpace, Space
from logpose.core.structures import Batch
from logpose.data.batches import collate
from logpose.data.crops import Crops, InMemory, crop_loader
from logpose.data.transforms import Augmentation, CropTransform

SIZE = (24, 16)


class Noise:
    """People in images of noise, each its own."""

    skeleton = COCO

    def __init__(self, count: int = 10) -> None:
        self.count, self.asked = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        self.asked += 1
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        keypoints = rng.uniform([20, 15], [50, 45], (17, 2))
        return Sample(image, np.array([15.0, 10.0, 40.0, 40.0]), keypoints, np.full(17, 2), 900.0, index, index)


def crops(count: int = 10, seed: int = 0) -> Crops:
    return Crops(Noise(count), CropTransform(COCO, SIZE, Augmentation()), seed)


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Batch))


def epoch_of(loader: torch.utils.data.DataLoader, epoch: int) -> list[Batch]:
    loader.sampler.set_epoch(epoch)
    return list(loader)


class Damaged(Noise):
    """Of some of whom the image cannot be decoded."""

    def __init__(self, path: Path, which: tuple[int, ...]) -> None:
        super().__init__()
        self.path, self.which = path, which

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return replace(sample, image=self.path) if index in self.which else sample


def test_a_image_that_turns_out_to_be_damaged_is_left_out_of_training_and_named(tmp_path, caplog) -> None:
    """Whoever comes next is learned from in its place; what is evaluated must be whole."""
    path = tmp_path / "grey.jpg"
    path.write_bytes(b"\xff\xd8 no image \xff\xd9")
    some = Crops(Damaged(path, (3, 9)), CropTransform(COCO, SIZE, Augmentation()))
    loader = crop_loader(some, 5, training=True)
    for epoch in (0, 1):
        seen = sorted(torch.cat([batch.index for batch in epoch_of(loader, epoch)]).tolist())
        assert seen == [0, 0, 1, 2, 4, 4, 5, 6, 7, 8]
    assert [record.message for record in caplog.records] == [f"left out of training: {path}: not a readable image"]
    with pytest.raises(InputError, match=r"grey\.jpg"):
        list(crop_loader(some, 5, training=False))
    caplog.clear()
    nobody = Crops(Damaged(path, tuple(range(10))), CropTransform(COCO, SIZE, Augmentation()))
    with pytest.raises(InputError, match=r"grey\.jpg"):
        next(iter(crop_loader(nobody, 5, training=True)))
    assert not caplog.records  # where all are gone, one is reported, as what is wrong


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_crops_do_not_depend_on_who_cuts_them() -> None:
    alone = crop_loader(crops(), 4, training=True, workers=0, seed=3)
    shared = crop_loader(crops(), 4, training=True, workers=2, seed=3)
    for epoch in (0, 1, 5):
        ours, theirs = epoch_of(alone, epoch), epoch_of(shared, epoch)
        assert len(ours) == len(theirs) == 2
        assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_crop_depends_on_seed_epoch_and_row() -> None:
    first = crops()[0, 3]
    assert same(crops()[0, 3], first)
    np.random.seed(1)  # noqa: NPY002 - global randomness plays no part
    torch.manual_seed(1)
    assert same(crops()[0, 3], first)
    others = [crops()[1, 3], crops()[0, 4], crops(seed=1)[0, 3]]
    maps = [batch.to_image for batch in (first, *others)]
    assert all(not torch.equal(a, b) for i, a in enumerate(maps) for b in maps[:i])


def test_every_epoch_is_another() -> None:
    loader = crop_loader(crops(), 5, training=True)
    first, second = collate(epoch_of(loader, 0)), collate(epoch_of(loader, 1))
    assert sorted(first.index.tolist()) == sorted(second.index.tolist()) == list(range(10))
    assert first.index.tolist() != second.index.tolist()
    order = second.index.argsort()[first.index.argsort().argsort()]
    assert torch.equal(second.index[order], first.index)
    assert not (second.to_image[order] == first.to_image).all(dim=(1, 2)).any()


def test_the_way_back_leads_to_the_labels() -> None:
    people = Noise()
    batch = collate(epoch_of(crop_loader(crops(), 5, training=True), 2))
    back = from_crop(batch.target, batch.to_image, SIZE)
    for row, index in zip(back, batch.index.tolist(), strict=True):
        keypoints = people[index].keypoints
        straight = np.abs(row.numpy() - keypoints).max()
        mirrored = np.abs(row.numpy() - keypoints[list(COCO.flip_index)]).max()
        assert min(straight, mirrored) < 0.01


# Loader


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    """Pretend to be one process of a distributed run."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(distributed, "get_world_size", lambda: world)


def test_a_small_share_is_a_batch_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    as_rank(monkeypatch, 1, 2)
    loader = crop_loader(crops(10), 8, training=True)
    assert [len(batch.images) for batch in loader] == [5]
    assert len(loader) == 1


def test_batches_for_training_are_of_equal_size_and_for_evaluation_complete() -> None:
    training = crop_loader(crops(), 4, training=True)
    assert [len(batch.images) for batch in training] == [4, 4]
    evaluation = crop_loader(crops(), 4, training=False)
    batches = list(evaluation)
    assert [len(batch.images) for batch in batches] == [4, 4, 2]
    assert collate(batches).index.tolist() == list(range(10))
    assert [len(batch.images) for batch in crop_loader(crops(3), 4, training=True)] == [3]


def test_collate_joins_every_field() -> None:
    rows = [crops()[0, i] for i in (4, 2, 9)]
    batch = collate(rows)
    for f in fields(Batch):
        joined = getattr(batch, f.name)
        assert len(joined) == 3
        assert all(torch.equal(joined[i], getattr(row, f.name)[0]) for i, row in enumerate(rows))
        assert joined.dtype == getattr(rows[0], f.name).dtype


def test_pinning_is_for_a_gpu() -> None:
    assert crop_loader(crops(), 4, training=True, pin=True).pin_memory is True
    assert crop_loader(crops(), 4, training=True).pin_memory is False
    if not torch.cuda.is_available():
        pytest.skip("no GPU: memory cannot be pinned")
    assert crops()[0, 0].pin_memory().images.is_pinned()


# People kept in memory


def test_in_memory_reads_once() -> None:
    people = Noise(6)
    kept = InMemory(people)
    assert people.asked == len(kept) == 6
    assert [kept[i].id for i in (5, 5, 0)] == [5, 5, 0]
    assert people.asked == 6
    assert kept.skeleton is COCO
    some = InMemory(people, [4, 1])
    assert [some[i].id for i in range(len(some))] == [4, 1]
    assert isinstance(kept, People)
    assert isinstance(people, People)


def test_in_memory_asks_once_where_somebody_is() -> None:
    class Known(Noise):
        """They are at a depth of their number."""

        evaluated = (0, 5)

        def space(self, index: int) -> Space:
            self.asked += 1
            return Space(np.full((17, 3), float(index)), Camera(np.ones(2), np.zeros(2)))

    people = Known(6)
    some = InMemory(people, [4, 1])
    assert isinstance(some, InSpace)
    assert some.evaluated == (0, 5)
    assert people.asked == 2, "none is asked for who may never be wanted"
    assert [some.space(i).joints[0, 0] for i in (1, 0, 1, 1)] == [1, 4, 1, 1]
    assert people.asked == 4
    assert InMemory(some).space(0) is some.space(0)
    plain = InMemory(Noise(2))
    assert not isinstance(plain, InSpace)
    with pytest.raises(TypeError, match="3-D"):
        plain.space(0)
