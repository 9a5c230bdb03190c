"""Which device to compute on."""

from __future__ import annotations

import torch

from logpose.core.errors import InputError
from logpose.core.messages import first_line

__all__ = ["choose_device"]


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
