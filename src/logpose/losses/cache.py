"""Values that are computed once with fixed random numbers, and again when a parameter has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from logpose.losses.numerics import autocast_disabled

__all__ = ["Cache", "fingerprint", "fixed_randomness", "with_fresh_gradient"]

T = TypeVar("T")


class Cache:
    """Values by name, each with the state of the tensors that it was computed from."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, Any]] = {}

    def clear(self) -> None:
        """Forget all values."""
        self._entries.clear()

    def get(self, name: str, tensors: Sequence[Tensor], device: torch.device, compute: Callable[[], T]) -> T:
        """The value of `compute`, with the device's random numbers fixed, until one of the tensors has changed."""
        state = ([(id(t), t.data_ptr(), t.device, t.dtype) for t in tensors], fingerprint(tensors))
        if name not in self._entries or self._entries[name][0] != state:
            # A value computed under `inference_mode` must be usable outside of it too.
            with autocast_disabled(device), fixed_randomness(device), torch.inference_mode(False), torch.no_grad():
                self._entries[name] = state, compute()
        value: T = self._entries[name][1]
        return value


def with_fresh_gradient(value: Tensor, parameters: Sequence[Tensor], estimate: Callable[[], Tensor]) -> Tensor:
    """A cached value with the gradient of a new estimate of it, on random points that depend on the parameters."""
    if not torch.is_grad_enabled():
        return value
    with fixed_randomness(value.device, hash(fingerprint(parameters))):
        fresh = estimate()
    return value + (fresh - fresh.detach())


@contextmanager
def fixed_randomness(device: torch.device, seed: int = 0) -> Iterator[None]:
    """Random numbers inside are the same every time; those outside continue as if none had been drawn."""
    on_cpu = torch.default_generator.get_state()
    own = getattr(torch, device.type) if device.type in ("cuda", "mps", "xpu") else None
    # Of several devices of a kind the seed is the current one's.
    with own.device(device) if own and hasattr(own, "device") else contextlib.nullcontext():
        on_device = own.get_rng_state() if own else None
        try:
            torch.default_generator.manual_seed(seed)
            if own:
                own.manual_seed(seed)
            yield
        finally:
            torch.default_generator.set_state(on_cpu)
            if own:
                own.set_rng_state(on_device)


def fingerprint(tensors: Sequence[Tensor]) -> tuple[float, ...]:
    """Numbers that change with the values: fused optimisers and `tensor.data` do not count in autograd's versions."""
    if not tensors:
        return ()
    values = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
    order = torch.linspace(1, 2, len(values), device=values.device, dtype=values.dtype)  # for permuted values
    return float(values.norm()), float(values @ order)
