"""The order of rows, batches that move together."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributed
from torch.utils.data import TensorDataset

from logpose.core.errors import InputError
from logpose.data.batches import EpochSampler, Tensors, epoch_loader


@dataclass(slots=True)
class Part(Tensors):
    values: Tensor


@dataclass(slots=True)
class Whole(Tensors):
    images: Tensor
    parts: list[Part]


def test_every_tensor_moves_also_those_of_parts() -> None:
    whole = Whole(torch.zeros(2), [Part(torch.ones(3)), Part(torch.ones(1))])
    moved = whole.to("meta")
    assert isinstance(moved, Whole)
    assert moved.images.device.type == "meta"
    assert [part.values.device.type for part in moved.parts] == ["meta", "meta"]
    assert whole.images.device.type == "cpu"


@given(st.integers(0, 40), st.booleans(), st.integers(0, 5), st.integers(0, 5))
def test_everybody_once(count: int, shuffle: bool, seed: int, epoch: int) -> None:
    sampler = EpochSampler(count, shuffle, seed)
    sampler.set_epoch(epoch)
    keys = list(sampler)
    assert len(sampler) == len(keys) == count
    assert {e for e, _ in keys} <= {epoch}
    rows = [row for _, row in keys]
    assert sorted(rows) == list(range(count))
    if not shuffle:
        assert rows == list(range(count))
    assert list(sampler) == keys


def test_orders_differ_with_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        sampler = EpochSampler(50, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return tuple(row for _, row in sampler)

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    """Pretend to be one process of a distributed run."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(distributed, "get_world_size", lambda: world)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 7, 12])
@pytest.mark.parametrize("even", [True, False])
def test_shares_of_processes(monkeypatch: pytest.MonkeyPatch, world: int, count: int, even: bool) -> None:
    shares = []
    for rank in range(world):
        as_rank(monkeypatch, rank, world)
        sampler = EpochSampler(count, shuffle=True, seed=1, even=even)
        sampler.set_epoch(4)
        share = [row for _, row in sampler]
        assert len(sampler) == len(share)
        shares.append(share)
    rows = [row for share in shares for row in share]
    assert len(set(rows)) == len(rows), "no row twice"
    assert set(rows) <= set(range(count))
    if even:
        assert {len(share) for share in shares} == {count // world}
    else:
        assert set(rows) == set(range(count))


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_has_a_row(batch_size: int) -> None:
    with pytest.raises(InputError, match=f"batch_size.*{batch_size}"):
        epoch_loader(TensorDataset(torch.zeros(4)), batch_size, training=False)
