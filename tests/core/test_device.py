"""Devices by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from logpose.core.device import choose_device, evaluating
from logpose.core.errors import InputError


@pytest.mark.parametrize("name", ["cpu", torch.device("cpu")])
def test_a_named_device(name: str | torch.device) -> None:
    assert choose_device(name) == torch.device("cpu")


@pytest.mark.parametrize("name", ["auto", None])
@pytest.mark.parametrize("available", [True, False])
def test_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, name: str | None, available: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device(name) == torch.device("cuda" if available else "cpu")


@pytest.mark.parametrize("name", ["warp", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"device {name}"):
        choose_device(name)


def test_a_module_is_evaluated_and_then_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval()).train()
    module[1].eval()  # as frozen layers are
    weight = module[0].weight
    with evaluating(module, "cpu"):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, True, False]
    assert module[0].weight is weight
    with evaluating(module.to("meta"), "meta"):
        pass
    assert module[0].weight.device.type == "meta"
