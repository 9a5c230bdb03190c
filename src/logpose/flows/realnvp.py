"""RealNVP: a density on R^D that can be evaluated and sampled (Dinh et al. 2017; the paper's Eq. 12 and §A).

A *flow* is an invertible map x = f(z) of Gaussian noise z. Its density follows from the change of variables:

    log G(x) = log N(f^-1(x); 0, I) + log |det df^-1/dx|

A *coupling layer* keeps some dimensions of x. The others it scales and shifts, by what two small networks compute from
the kept ones. So its inverse is as cheap as itself, and its log-determinant is the sum of its log-scales.

This file is the definition. `flows.packed` computes the same numbers several times faster; that class is `RealNVP`.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.flows.density import NamedDensity

__all__ = ["Activation", "PlainRealNVP"]

Activation = Literal["leaky_relu", "relu", "silu", "gelu", "tanh"]
"""Activation of the hidden layers of the scale and shift networks."""


class PlainRealNVP(NamedDensity, nn.Module):
    """Normalizing flow of affine coupling layers. See `RealNVP` for its arguments."""

    weights: nn.ParameterList
    biases: nn.ParameterList

    def __init__(
        self,
        dim: int = 2,
        layers: int = 6,
        hidden: tuple[int, ...] = (64, 64),
        activation: Activation = "leaky_relu",
    ) -> None:
        super().__init__()
        if dim < 2 or layers < 1 or any(width < 1 for width in hidden):
            raise ValueError(f"RealNVP needs dim >= 2, layers >= 1 and hidden >= 1, got {dim}, {layers}, {hidden}")
        if activation not in get_args(Activation):  # it may come from a file
            raise ValueError(f"activation must be one of {', '.join(get_args(Activation))}, got {activation!r}")
        self.dim, self.layers, self.hidden, self.activation = dim, layers, tuple(hidden), activation
        # Of each depth, the weights and biases of all networks: (layer, scale or shift network, out, in).
        widths = (dim, *self.hidden, dim)
        sizes = list(zip(widths[1:], widths[:-1], strict=True))
        self.weights = nn.ParameterList(torch.empty(layers, 2, out, width) for out, width in sizes)
        self.biases = nn.ParameterList(torch.zeros(layers, 2, out, 1) for out, _ in sizes)
        for weight in self.weights:
            # Xavier-uniform with a small gain, so that the flow starts close to the identity and G to N(0, I).
            bound = 0.01 * math.sqrt(6 / (weight.shape[-1] + weight.shape[-2]))
            nn.init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        """The settings, for `print(flow)`."""
        return f"dim={self.dim}, layers={self.layers}, hidden={self.hidden}, activation={self.activation!r}"

    def moved(self, layer: int) -> Float[Tensor, "D"]:
        """1 for each dimension that a layer moves, 0 for those it keeps: in turn the first ⌈D / 2⌉ and the rest."""
        first = torch.arange(self.dim, device=self.weights[0].device) < (self.dim + 1) // 2
        return (first if layer % 2 == 0 else ~first).to(self.weights[0].dtype)

    def network(self, layer: int, which: int, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The scale (0) or shift (1) network of a layer: linear layers with activations between them."""
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = getattr(F, self.activation)(x) if depth else x
            x = F.linear(x, weight[layer, which], bias[layer, which, :, 0])
        return x

    def scale_and_shift(self, layer: int, x: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
        """Log-scale (within ±1) and shift of a layer; both are 0 for the dimensions that it keeps."""
        moved = self.moved(layer)
        kept = x * (1 - moved)
        return moved * self.network(layer, 0, kept).tanh(), moved * self.network(layer, 1, kept)

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Noise to point, x = f(z)."""
        x = z
        for layer in range(self.layers):
            scale, shift = self.scale_and_shift(layer, x)
            x = x * scale.exp() + shift
        return x

    def inverse(self, x: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Point to noise: z = f^-1(x), and log |det df^-1/dx|."""
        z, log_det = x, x.new_zeros(len(x))
        for layer in reversed(range(self.layers)):
            scale, shift = self.scale_and_shift(layer, z)
            z = (z - shift) * (-scale).exp()
            log_det = log_det - scale.sum(dim=-1)
        return z, log_det

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density log G(x), in nats."""
        z, log_det = self.inverse(x)
        return log_det - 0.5 * (z.square().sum(dim=-1) + self.dim * math.log(2 * math.pi))

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws of G."""
        like = self.weights[0]
        noise: Tensor = self(torch.randn(count, self.dim, device=like.device, dtype=like.dtype))
        return noise
