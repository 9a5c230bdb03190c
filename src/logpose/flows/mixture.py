"""A learned density on the line: a mixture of Gaussians, in place of the coupling layers of more dimensions.

It is a flow too: z = Phi^-1(F(x)), with F its distribution function, is Gaussian.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.flows.density import NamedDensity

__all__ = ["GaussianMixture"]

RANGE, WIDTH = 1.5, 0.7
"""Distance of the outermost components from 0 at the start, and their scale, before both are scaled to a variance of 1.
A smaller range and wider components start closer to a Gaussian, and learn other densities much more slowly."""


class GaussianMixture(NamedDensity, nn.Module):
    """Density on R^1 with learned weights, means and scales; it starts close to the standard Gaussian.

    Args:
        components: number of Gaussians.

    Raises:
        ValueError: if there are none.
    """

    dim = 1

    def __init__(self, components: int = 16) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.components = components
        mean = torch.linspace(-RANGE, RANGE, components) if components > 1 else torch.zeros(1)
        weight = torch.softmax(-0.5 * mean.square(), dim=0)
        std = math.sqrt(float((weight * mean.square()).sum()) + WIDTH**2)
        self.logits = nn.Parameter(weight.log())
        self.mean = nn.Parameter(mean / std)
        self.log_scale = nn.Parameter(torch.full((components,), math.log(WIDTH / std)))

    def log_prob(self, x: Float[Tensor, "N 1"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        z = (x - self.mean) * (-self.log_scale).exp()
        log_each = -0.5 * z.square() - self.log_scale - 0.5 * math.log(2 * math.pi)
        return (self.logits.log_softmax(dim=0) + log_each).logsumexp(dim=-1)

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "N 1"]:
        """`count` independent draws."""
        if not count:
            return self.mean.new_empty(0, 1)
        which = torch.multinomial(self.logits.softmax(dim=0), count, replacement=True)
        noise = torch.randn(count, device=self.mean.device, dtype=self.mean.dtype)
        return (self.mean[which] + noise * self.log_scale.exp()[which])[:, None]
