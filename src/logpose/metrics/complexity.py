"""How large a network is and how much it computes: as it is, and as the paper counts.

The paper's GFLOPs are multiply-accumulates, counted module by module in the manner of a widely used profiler: batch
normalisation costs two per element, and a transposed convolution is charged at its output's resolution, four times what
one of stride 2 computes. With that every figure it prints comes out, and SimplePose looks twice as dear as it is. The
flow's FLOPs, in other tables of the paper, are counted otherwise: two for a multiply-accumulate, one for a bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Complexity", "complexity", "flow_flops"]


@dataclass(frozen=True)
class Complexity:
    """Of a network for one input. All but `parameters` are multiply-accumulates."""

    parameters: int
    macs: int
    """What is computed, by PyTorch's own counter: convolutions and matrix products."""
    backbone_macs: int
    printed: int
    """As the paper counts."""
    printed_backbone: int

    @property
    def head_macs(self) -> int:
        """Of what follows the backbone."""
        return self.macs - self.backbone_macs

    @property
    def printed_head(self) -> int:
        """Of what follows the backbone, as the paper counts."""
        return self.printed - self.printed_backbone


@torch.no_grad()
def complexity(network: nn.Module, example: Tensor, backbone: str = "backbone") -> Complexity:
    """Count a network's parameters and what it computes on one input.

    Args:
        network: is put into evaluation mode.
        example: what it takes, of a batch of one; the values do not matter.
        backbone: name of the part that is counted by itself.
    """
    network.eval()
    printed: dict[str, int] = {}
    hooks = [
        module.register_forward_hook(
            lambda module, given, out, name=name: printed.__setitem__(name, _as_printed(module, given, out))
        )
        for name, module in network.named_modules()
        if not list(module.children())
    ]
    pooled = _Pooled()
    counter = FlopCounterMode(display=False)
    try:
        with counter, pooled:
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    root, inside = type(network).__name__, f"{backbone}."
    counts = counter.get_flop_counts()
    whole = counter.get_total_flops() // 2
    # An HRNet's branches are asked for without its `forward`; then its parts are added up.
    names = [backbone] if f"{root}.{backbone}" in counts else [name for name in printed if name.startswith(inside)]
    own = sum(sum(counts.get(f"{root}.{name}", {}).values()) for name in names) // 2
    return Complexity(
        parameters=sum(p.numel() for p in network.parameters()),
        macs=whole,
        backbone_macs=own,
        printed=sum(printed.values()) + pooled.count,
        printed_backbone=sum(count for name, count in printed.items() if name.startswith(inside)),
    )


def _as_printed(module: nn.Module, given: tuple[Any, ...], out: Any) -> int:
    """What the paper's counter charges for a module without parts; nothing for activations."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d):  # all by their output's elements
        return int(out.numel() * module.in_channels // module.groups * math.prod(module.kernel_size))
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return 2 * int(given[0].numel())
    if isinstance(module, nn.Linear):
        return module.in_features * int(out.numel())
    return 0


class _Pooled(torch.overrides.TorchFunctionMode):
    """Counts what global averages over rows and columns cost: an addition for each element and a division."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.mean and kwargs.get("dim") == (2, 3):
            self.count += args[0].numel() + args[0].shape[0] * args[0].shape[1]
        return func(*args, **kwargs)


def flow_flops(dim: int, layers: int, hidden: Sequence[int], points: int) -> int:
    """FLOPs of a RealNVP's log-density, as the paper's Tables 11 and 17 count them: two nets a layer, no activations.

    Args:
        dim: D.
        layers: coupling layers.
        hidden: widths of a net's hidden layers.
        points: at which the density is asked for: 17 joints, and 400 more where s is summed up (Table 17).
    """
    widths = [dim, *hidden, dim]
    of_net = sum(2 * a * b + b for a, b in pairwise(widths))
    return 2 * layers * of_net * points
