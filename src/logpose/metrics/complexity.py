"""Parameters and multiply-accumulates of a network.

No layer is computed: parameters are on PyTorch's `meta` device, where tensors have a shape but no values, and a
`TorchFunctionMode` counts each layer by its shapes and returns zeros that take no memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
RESIZES = {F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.interpolate}
NORMALISATIONS = {F.batch_norm, F.group_norm, F.layer_norm}
ELEMENTWISE = {
    *("add", "add_", "div", "dropout", "hardtanh", "hardtanh_", "leaky_relu", "mul", "relu", "relu6", "relu_"),
    *("sigmoid", "silu", "square", "sub"),
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
            weight, shape = args[1], (_transposed if func in TRANSPOSED else _convolved)(*args, **kwargs)
            meets = args[0].numel() if func in TRANSPOSED else math.prod(shape)  # how often each filter is applied
            self.macs[id(weight) in self.backbone] += meets * weight[0].numel()
            return _zeros(*shape)
        if func in RESIZES:
            return _zeros(len(args[0]), *func(args[0][:0], *args[1:], **kwargs).shape[1:])
        if func in NORMALISATIONS:
            return _zeros(*args[0].shape)
        if getattr(func, "__name__", "") in ELEMENTWISE and args[0].is_floating_point():
            shapes = {each.shape for each in args if isinstance(each, Tensor)}
            return _zeros(*(np.broadcast_shapes(*shapes) if len(shapes) > 1 else args[0].shape))
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


def _convolved(
    x: Tensor, weight: Tensor, bias: object = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: object = 1,
) -> tuple[int, ...]:  # fmt: skip
    """The shape of a convolution's result, or, for a weight without sides, of a linear layer's."""
    del bias, groups
    sides = weight.shape[2:]
    if not sides:
        return (*x.shape[:-1], len(weight))
    if padding == "same":
        return (len(x), len(weight), *x.shape[2:])
    padding = 0 if padding == "valid" else padding
    numbers = zip(x.shape[2:], sides, *_each(len(sides), stride, padding, dilation), strict=True)
    return (len(x), len(weight), *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in numbers))


def _transposed(
    x: Tensor, weight: Tensor, bias: object = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> tuple[int, ...]:  # fmt: skip
    """The shape of a transposed convolution's result."""
    del bias
    sides = weight.shape[2:]
    numbers = zip(x.shape[2:], sides, *_each(len(sides), stride, padding, output_padding, dilation), strict=True)
    result = ((n - 1) * s - 2 * p + d * (k - 1) + o + 1 for n, k, s, p, o, d in numbers)
    return (len(x), weight.shape[1] * groups, *result)


def _each(count: int, *values: Any) -> list[tuple[int, ...]]:
    """Values for each side: one number is for all."""
    return [(value,) * count if isinstance(value, int) else tuple(value) for value in values]


def _zeros(*shape: int) -> Tensor:
    """Zeros that share one number in memory."""
    return torch.zeros(()).expand(shape)
