"""Which device to compute on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from logpose.core.errors import InputError
from logpose.core.messages import first_line

__all__ = ["choose_device", "evaluating"]


def choose_device(name: str | torch.device | None = "auto") -> torch.device:
    """The device of a name.

    Args:
        name: as PyTorch names devices (cpu, cuda, cuda:1, mps, …), or a device; "auto" or None: a GPU if there is one.

    Raises:
        InputError: if there is no such device.
    """
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}: {first_line(error)}") from error
    return torch.device(name)


@contextmanager
def evaluating(module: nn.Module, device: torch.device | str) -> Iterator[None]:
    """A module on a device and in evaluation mode; afterwards it is where it was, each of its parts in its own mode."""
    modes = [(part, part.training) for part in module.modules()]
    place = next((tensor.device for tensor in [*module.parameters(), *module.buffers()]), None)
    try:
        module.to(device).eval()
        yield
    finally:
        if place is not None:
            module.to(place)
        for part, training in modes:
            part.training = training
