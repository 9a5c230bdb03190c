"""The device that a computation runs on."""

from __future__ import annotations

from logpose.core.errors import InputError

__all__ = ["choose_device"]


def choose_device(name: str) -> str:
    """The device of a --device flag; of "auto", a GPU if there is one.

    Raises:
        InputError: if there is no such device.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return name
