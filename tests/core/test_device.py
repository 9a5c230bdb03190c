"""Devices by name."""

from __future__ import annotations

import pytest
import torch

from logpose.core.device import choose_device
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
