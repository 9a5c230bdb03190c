"""Laplace and Gaussian densities around 0, of independent dimensions."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Base", "SimpleDensity", "gaussian_log_prob", "gaussian_sample", "laplace_log_prob", "laplace_sample"]

Base = Literal["laplace", "gaussian"]
"""Name of a simple density Q."""


def laplace_log_prob(error: Float[Tensor, "*N D"], scale: Tensor | float = 1.0) -> Float[Tensor, "*N D"]:
    """Log-density of a Laplace distribution around 0: exp(-|e| / b) / 2b, in each dimension."""
    return -error.abs() / scale - torch.as_tensor(2 * scale, dtype=error.dtype).log()


def gaussian_log_prob(error: Float[Tensor, "*N D"], scale: Tensor | float = 1.0) -> Float[Tensor, "*N D"]:
    """Log-density of a Gaussian around 0 with standard deviation `scale`, in each dimension."""
    return -0.5 * (error / scale).square() - torch.as_tensor(scale * math.sqrt(2 * math.pi), dtype=error.dtype).log()


def laplace_sample(count: int, dim: int, like: Tensor) -> Float[Tensor, "N D"]:
    """Draws of a Laplace distribution of scale 1, of the device and dtype of `like`: x - y of exponential x and y."""
    pairs = torch.empty(2, count, dim, device=like.device, dtype=like.dtype).exponential_()
    return pairs[0] - pairs[1]


def gaussian_sample(count: int, dim: int, like: Tensor) -> Float[Tensor, "N D"]:
    """Draws of a standard Gaussian, of the device and dtype of `like`."""
    return torch.randn(count, dim, device=like.device, dtype=like.dtype)


FORMULAS = {"laplace": (laplace_log_prob, laplace_sample), "gaussian": (gaussian_log_prob, gaussian_sample)}


class SimpleDensity(NamedTuple):
    """A product of D Laplace or Gaussian densities; of `scale` b of exp(-|e| / b), or the standard deviation."""

    base: Base = "laplace"
    dim: int = 2
    scale: float | Tensor = 1.0

    def scaled(self, factor: float) -> SimpleDensity:
        """The same density, wider by a factor."""
        return SimpleDensity(self.base, self.dim, self.scale * factor)

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        log_prob, _ = FORMULAS[self.base]
        return log_prob(x, self.scale).sum(dim=-1)

    def sample(self, count: int, like: Tensor | None = None) -> Float[Tensor, "N D"]:
        """`count` independent draws, of the device and dtype of `like` (the CPU's float32 when None)."""
        _, sample = FORMULAS[self.base]
        return sample(count, self.dim, torch.empty(0) if like is None else like) * self.scale
