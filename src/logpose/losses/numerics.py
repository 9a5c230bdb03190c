"""What losses of any density need of arithmetic: which labels count, gradients put right, precision, fixed draws."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "FARTHEST",
    "LEAST_SIGMA",
    "balanced",
    "bounded",
    "exact",
    "fingerprint",
    "fixed_randomness",
    "joint_weight",
    "settled",
    "weighted_mean",
    "weighted_quantile",
    "widened",
]

LEAST_SIGMA = 1e-6
"""Smaller scales count as this: their logarithm and their inverse stay finite where a sigmoid has come to 0."""
FARTHEST = 1e6
"""Labels farther from the origin count as this far (a million crops away): the squares of any stay finite."""


def joint_weight(
    target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None
) -> Float[Tensor, "B K"]:
    """Weight of each joint: the least of its dimensions'; 0 where that is below 0 or it or the label is not finite."""
    if weight is None:
        weight = target.new_ones(target.shape[:2])
    if weight.shape not in (target.shape, target.shape[:2]):
        raise ValueError(f"weight must be of shape (B, K) or (B, K, D), got {tuple(weight.shape)}")
    if weight.ndim == target.ndim:
        weight = weight.amin(dim=-1)
    return torch.where(target.isfinite().all(dim=-1) & weight.isfinite() & (weight > 0), weight, 0)


def widened(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """In another precision; of float16 with a gradient that it can hold when it flows back: 1 / sigma may be larger."""
    wide = tensor.to(dtype)
    if tensor.dtype == torch.float16 and wide.requires_grad:
        largest = torch.finfo(torch.float16).max
        wide.register_hook(lambda g: g.clamp(-largest, largest))  # type: ignore[no-untyped-call]
    return wide


def settled(
    target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"], mu: Float[Tensor, "B K D"]
) -> Float[Tensor, "B K D"]:
    """Labels that a density can be asked of: where nothing counts, the prediction (NaN times 0 would still be NaN)."""
    return torch.where((weight > 0)[..., None], target.clamp(-FARTHEST, FARTHEST), mu.detach())


def balanced(
    mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"], power: float
) -> Float[Tensor, "B K D"]:
    """The same mu, whose gradient gets multiplied by (sigma / typical sigma) ** power on its way back.

    A likelihood's gradient with respect to mu goes with 1 / sigma: joints that are well known already pull hardest, and
    those that are not yet are left behind (Seitzer et al. 2022). With a power of 1 all joints pull alike, as under L1.
    The loss, and what it says of sigma and of the density, stay exact; so does the position at which a joint taken
    alone is best placed. Where joints share weights and cannot all be met, the compromise is another: the one under
    L1's weights. Typical is the batch's geometric mean, so that the gradient keeps its size as a whole.
    """
    if not power:
        return mu
    sigma = sigma.detach()
    typical = weighted_mean(sigma.log().mean(dim=-1), weight).exp()
    return mu.detach() + (mu - mu.detach()) * (sigma / typical) ** power


def bounded(
    mu: Float[Tensor, "B K D"],
    sigma: Float[Tensor, "B K D"],
    target: Float[Tensor, "B K D"],
    weight: Float[Tensor, "B K"],
    median: float | None,
) -> Float[Tensor, "B K"] | float:
    """0, with a gradient that lowers all sigmas of a dimension while most of its errors are below `median` sigmas.

    A learned density can be as narrow as it likes, with a sigma as much larger: what is claimed of labels is the same,
    and nothing else decides how large sigma is. Left free it stays near where it began, and a flow that has to learn a
    density a tenth as wide as its own first one takes long to see more of it than its width.
    """
    if median is None:
        return 0.0
    beyond = ((target - mu).abs() > median * sigma).to(sigma.dtype).detach()
    share = torch.stack([weighted_mean(of_dimension, weight) for of_dimension in beyond.unbind(dim=-1)])
    return ((1 - 2 * share).clamp_min(0) * (sigma.log() - sigma.log().detach())).sum(dim=-1)


def weighted_mean(values: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    """Mean by weight; 0, with a gradient of 0, where all weights are."""
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def weighted_quantile(
    values: Float[Tensor, "N"], weight: Float[Tensor, "N"], levels: tuple[float, ...]
) -> Float[Tensor, "L"]:
    """The values below which the given shares of the total weight lie."""
    order = values.argsort()
    below = weight[order].cumsum(0)
    wanted = torch.tensor(levels, device=below.device, dtype=below.dtype) * below[-1]
    return values[order][torch.searchsorted(below, wanted).clamp_max(len(values) - 1)]


def exact(device: torch.device) -> torch.autocast:
    """A context without autocast: likelihoods are differences of large logarithms, half precision is not for them."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def fixed_randomness(device: torch.device, seed: int = 0) -> Iterator[None]:
    """Draws inside it are the same every time; those outside go on as if nothing had been drawn."""
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
    """Numbers that change with the values: fused optimisers and `tensor.data` leave autograd's counters as they are."""
    if not tensors:
        return ()
    values = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
    along = torch.linspace(1, 2, len(values), device=values.device)  # tells values that have changed places
    return float(values.norm()), float(values @ along)
