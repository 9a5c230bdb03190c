"""Parameters and multiply-accumulates of a network: those it computes, and the counts that the paper prints.

No layer is computed: parameters are on PyTorch's `meta` device, where tensors have a shape but no values, and a
`TorchFunctionMode` counts each layer by its shapes and returns zeros that take no memory.

The paper's GFLOPs are multiply-accumulates, counted module by module in the manner of a widely used profiler: batch
normalisation counts two per element, and a transposed convolution is counted at the resolution of its output, four
times what one of stride 2 computes. This counting reproduces every figure in the paper, and makes SimplePose appear
twice as expensive as it is. The flow's FLOPs, in Tables 11 and 17, count two for a multiply-accumulate and one for a
bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Complexity", "complexity", "flow_flops", "without_values"]


@dataclass(frozen=True)
class Complexity:
    """Counts of a network for one input. All but `parameters` are multiply-accumulates."""

    parameters: int
    macs: int
    """Computed: of convolutions and matrix products."""
    backbone_macs: int
    """Computed by the backbone."""
    printed: int
    """As the paper counts."""
    printed_backbone: int
    """As the paper counts, of the backbone."""

    @property
    def head_macs(self) -> int:
        """Computed by everything after the backbone."""
        return self.macs - self.backbone_macs

    @property
    def printed_head(self) -> int:
        """As the paper counts, of everything after the backbone."""
        return self.printed - self.printed_backbone


@torch.no_grad()
def complexity(
    network: nn.Module,
    example: Tensor,
    backbone: str = "backbone",
    run: Callable[[Tensor], Any] | None = None,
) -> Complexity:
    """Count a network's parameters and its multiply-accumulates on one input.

    Args:
        network: is put into evaluation mode; its parameters may be on the `meta` device (`without_values`).
        example: an input of a batch of one; its values do not matter.
        backbone: path of the submodule that is also counted separately; nothing is where there is none.
        run: what to call with the example; the network itself unless given.
    """
    network.eval()
    try:
        part = network.get_submodule(backbone)
    except AttributeError:
        part = nn.Module()
    counter = _Counter({id(tensor) for tensor in (*part.parameters(), *part.buffers())})
    with counter:
        (network if run is None else run)(example)
    return Complexity(
        parameters=sum(p.numel() for p in network.parameters()),
        macs=sum(counter.macs.values()),
        backbone_macs=counter.macs[True],
        printed=sum(counter.printed.values()),
        printed_backbone=counter.printed[True],
    )


@contextmanager
def without_values() -> Iterator[None]:
    """Modules that are constructed inside have their parameters on the `meta` device: no memory, no initialisation."""
    with _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Sends `torch.empty`, with which modules allocate their parameters, to the meta device, and fills nothing there.

    `torch.device("meta")` would send all tensors, among them those whose values decide shapes.
    """

    FILLS = (Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and kwargs.get("device") is None:
            kwargs = kwargs | {"device": "meta"}
        first = args[0] if args else kwargs.get("tensor")
        if (
            (func in self.FILLS or getattr(func, "__module__", None) == "torch.nn.init")
            and isinstance(first, Tensor)
            and first.is_meta
        ):
            return first
        return func(*args, **kwargs)


CONVOLUTIONS = {F.conv1d: 1, F.conv2d: 2, F.conv3d: 3}
TRANSPOSED = {F.conv_transpose1d: 1, F.conv_transpose2d: 2, F.conv_transpose3d: 3}
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm}
ELEMENTWISE = {
    "add",
    "add_",
    "div",
    "dropout",
    "leaky_relu",
    "mul",
    "relu",
    "relu_",
    "sigmoid",
    "silu",
    "square",
    "sub",
}
"""Names of functions whose result has the shape of their arguments, broadcast: they are not computed either."""


def _zeros(*shape: int) -> Tensor:
    """Zeros that share one number in memory."""
    return torch.zeros(()).expand(shape)


class _Counter(TorchFunctionMode):
    """Counts layers by the shapes of what they take and give, of the backbone (True) and of the rest (False).

    Args:
        backbone: `id` of the backbone's parameters and buffers: a layer with one of these belongs to it.
    """

    def __init__(self, backbone: set[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.macs = {True: 0, False: 0}
        self.printed = {True: 0, False: 0}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in CONVOLUTIONS:
            return self._convolution(CONVOLUTIONS[func], *args, **kwargs)
        if func in TRANSPOSED:
            return self._transposed(TRANSPOSED[func], *args, **kwargs)
        if func is F.linear:
            return self._linear(*args, **kwargs)
        if func is F.batch_norm:
            x, mean = args[0], args[1]
            self.printed[id(mean) in self.backbone] += 2 * x.numel()
            return _zeros(*x.shape)
        if getattr(func, "__name__", "") in ELEMENTWISE and args[0].is_floating_point():
            return _zeros(*np.broadcast_shapes(*(each.shape for each in args if isinstance(each, Tensor))))
        if func in (F.group_norm, F.layer_norm):
            return _zeros(*args[0].shape)
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
        elif func is Tensor.mean and kwargs.get("dim") == (2, 3):  # an addition for each element and a division
            self.printed[False] += args[0].numel() + args[0].shape[0] * args[0].shape[1]
        return func(*args, **kwargs)

    # The signatures are those of `torch.nn.functional`.

    def _convolution(
        self, dims: int, x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,  # noqa: ARG002
        dilation: Any = 1, groups: int = 1,  # noqa: ARG002
    ) -> Tensor:  # fmt: skip
        kernel = weight.shape[2:]
        stride, dilation = _each(stride, dims), _each(dilation, dims)
        if padding == "same":
            sides = list(x.shape[2:])
        else:
            padded = _each(0 if padding == "valid" else padding, dims)
            sides = [
                (side + 2 * p - d * (k - 1) - 1) // s + 1
                for side, p, d, k, s in zip(x.shape[2:], padded, dilation, kernel, stride, strict=True)
            ]
        out = _zeros(len(x), len(weight), *sides)
        each = out.numel() * weight[0].numel()  # weight: (out, in / groups, *kernel)
        self.macs[id(weight) in self.backbone] += each
        self.printed[id(weight) in self.backbone] += each
        return out

    def _transposed(
        self, dims: int, x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,  # noqa: ARG002
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        settings = (_each(setting, dims) for setting in (stride, padding, output_padding, dilation))
        sides = [
            (side - 1) * s - 2 * p + d * (k - 1) + o + 1
            for side, k, s, p, o, d in zip(x.shape[2:], weight.shape[2:], *settings, strict=True)
        ]
        out = _zeros(len(x), weight.shape[1] * groups, *sides)
        each = weight[0].numel()  # weight: (in, out / groups, *kernel)
        self.macs[id(weight) in self.backbone] += x.numel() * each
        self.printed[id(weight) in self.backbone] += out.numel() * len(weight) // groups * math.prod(weight.shape[2:])
        return out

    def _linear(self, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:  # noqa: ARG002
        out = _zeros(*x.shape[:-1], len(weight))
        self.macs[id(weight) in self.backbone] += out.numel() * weight.shape[1]
        self.printed[id(weight) in self.backbone] += out.numel() * weight.shape[1]
        return out


def _each(setting: int | Sequence[int], dims: int) -> Sequence[int]:
    """A setting of a convolution along every dimension."""
    if isinstance(setting, int):
        return (setting,) * dims
    return tuple(setting) * dims if len(setting) == 1 else setting


def flow_flops(dim: int, layers: int, hidden: Sequence[int], points: int) -> int:
    """FLOPs of a RealNVP's log-density, as the paper's Tables 11 and 17 count them: two nets a layer, no activations.

    Args:
        dim: D.
        layers: coupling layers.
        hidden: widths of a net's hidden layers.
        points: number of points: 17 joints, and 400 more for the sum that estimates s (Table 17).
    """
    widths = [dim, *hidden, dim]
    of_net = sum(2 * a * b + b for a, b in pairwise(widths))
    return 2 * layers * of_net * points
