"""Parameters and multiply-accumulates of a network.

No layer is computed: parameters are on PyTorch's `meta` device, where tensors have a shape but no values, and a
`TorchFunctionMode` counts each layer by its shapes and returns zeros that take no memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Complexity", "WithoutValues", "complexity"]


class Complexity(NamedTuple):
    """Counts of a network for one input: parameters, and multiply-accumulates of convolutions and matrix products."""

    parameters: int
    macs: int
    backbone_macs: int

    @property
    def head_macs(self) -> int:
        """Of everything after the backbone."""
        return self.macs - self.backbone_macs


@torch.no_grad()
def complexity(
    network: nn.Module, example: Tensor, backbone: str = "backbone", run: Callable[[Tensor], Any] | None = None
) -> Complexity:
    """Count a network's parameters and its multiply-accumulates on one input.

    Args:
        network: is put into evaluation mode; its parameters may be on the `meta` device (`WithoutValues`).
        example: an input of a batch of one; its values do not matter.
        backbone: path of the submodule that is also counted separately; nothing is where there is none.
        run: what to call with the example; the network itself unless given.
    """
    network.eval()
    try:
        part = network.get_submodule(backbone)
    except AttributeError:
        part = nn.Module()
    with _Counter({id(parameter) for parameter in part.parameters()}) as counter:
        (network if run is None else run)(example)
    parameters = sum(p.numel() for p in network.parameters())
    return Complexity(parameters, sum(counter.macs.values()), counter.macs[True])


class WithoutValues(TorchFunctionMode):
    """A context: modules constructed inside have parameters on the `meta` device, without memory or initialisation.

    `torch.device("meta")` would send all tensors there, among them those whose values decide shapes.
    """

    FILLS = (Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and kwargs.get("device") is None:
            kwargs = kwargs | {"device": "meta"}
        first = args[0] if args else kwargs.get("tensor")
        fills = func in self.FILLS or getattr(func, "__module__", None) == "torch.nn.init"
        return first if fills and isinstance(first, Tensor) and first.is_meta else func(*args, **kwargs)


CONVOLUTIONS = {F.conv1d, F.conv2d, F.conv3d, F.linear}
TRANSPOSED = {F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d}
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm}
NORMALISATIONS = {F.batch_norm, F.group_norm, F.layer_norm}
ELEMENTWISE = {
    *("add", "add_", "div", "dropout", "leaky_relu", "mul", "relu", "relu_", "sigmoid", "silu", "square", "sub"),
}
"""Names of functions whose result has the shape of their arguments, broadcast: they are not computed either."""


class _Counter(TorchFunctionMode):
    """Counts layers by their shapes, of the backbone (True; it has the parameters of these `id`s) and of the rest."""

    def __init__(self, backbone: set[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.macs = {True: 0, False: 0}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in CONVOLUTIONS or func in TRANSPOSED:
            weight, shape = args[1], _shape(func, *map(_size, args), **{k: _size(v) for k, v in kwargs.items()})
            meets = args[0].numel() if func in TRANSPOSED else math.prod(shape)  # how often each filter is applied
            self.macs[id(weight) in self.backbone] += meets * weight[0].numel()
            return _zeros(*shape)
        if func in NORMALISATIONS:
            return _zeros(*args[0].shape)
        if getattr(func, "__name__", "") in ELEMENTWISE and args[0].is_floating_point():
            return _zeros(*np.broadcast_shapes(*(each.shape for each in args if isinstance(each, Tensor))))
        if func is F.grid_sample:
            return _zeros(*args[0].shape[:2], *args[1].shape[1:-1])
        if func in PRODUCTS:
            one, other = args[:2]
            if min(one.dim(), other.dim()) > 1:
                batch = math.prod(np.broadcast_shapes(one.shape[:-2], other.shape[:-2]))
                self.macs[False] += batch * one.shape[-2] * one.shape[-1] * other.shape[-1]
        elif func is F.scaled_dot_product_attention:
            query, key, value = args[:3]
            self.macs[False] += query.numel() * key.shape[-2] + query[..., 0].numel() * value[0, 0].numel()
        return func(*args, **kwargs)


def _size(argument: Any) -> Any:
    return argument.shape if isinstance(argument, Tensor) else argument


@cache
def _shape(func: Any, *args: Any, **kwargs: Any) -> torch.Size:
    """The shape of a layer's result from those of its arguments."""
    tensors = [torch.empty(a, device="meta") if isinstance(a, torch.Size) else a for a in (*args, *kwargs.values())]
    shape: torch.Size = func(*tensors[: len(args)], **dict(zip(kwargs, tensors[len(args) :], strict=True))).shape
    return shape


def _zeros(*shape: int) -> Tensor:
    """Zeros that share one number in memory."""
    return torch.zeros(()).expand(shape)
