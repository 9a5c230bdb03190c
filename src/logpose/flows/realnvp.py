"""RealNVP: a density on R^D that can be evaluated and sampled (Dinh et al. 2017; the paper's Eq. 12 and §A).

A *flow* is an invertible map x = f(z) of Gaussian noise z. Its density follows from the change of variables:

    log G(x) = log N(f^-1(x); 0, I) + log |det df^-1/dx|

A *coupling layer* keeps some dimensions of x and moves the others by a scale and a shift that small networks
compute from the kept ones. So its inverse is as cheap as itself, and its log-determinant is the sum of its log-scales.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

__all__ = ["RealNVP"]

Activation = Literal["leaky_relu", "relu", "silu", "gelu", "tanh"]
# In place where the derivative can be told from the result: half of what is kept for the backward pass is not needed.
ACTIVATIONS = {
    "leaky_relu": F.leaky_relu_, "relu": F.relu_, "tanh": torch.tanh_, "silu": F.silu, "gelu": F.gelu
}  # fmt: skip
Layer = tuple[tuple[Tensor, Tensor], ...]  # of each depth, the weights and biases of the two networks
CHUNK = 8192
"""Points that go through the flow at once; of more, activations are computed again for the backward pass."""


class RealNVP(nn.Module):
    """Normalizing flow of affine coupling layers.

    With its defaults it is the paper's flow for images: 53,784 parameters (Table 5, "3 × 64").

    Args:
        dim: D, at least 2 (a coupling layer needs something to keep and something to move).
        layers: how many coupling layers. In turn they move the first ⌈D / 2⌉ dimensions, as in the paper, and the rest.
        hidden: widths of the hidden layers of the scale and shift networks.
        activation: between the linear layers, by its name in `torch.nn.functional`.

    Raises:
        ValueError: if there are too few dimensions, layers or hidden units, or no such activation.
    """

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
        # One stack per depth: (coupling layer, scale or shift network, out, in). Both networks of a layer run at once.
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

    def config(self) -> dict[str, Any]:
        """The arguments that make this flow again."""
        return {
            "dim": self.dim,
            "layers": self.layers,
            "hidden": list(self.hidden),
            "activation": self.activation,
        }

    def _halves(self, x: Float[Tensor, "N D"]) -> list[Tensor]:
        """The larger half of the dimensions, and the rest. Points are columns: products are faster so."""
        first = (self.dim + 1) // 2
        return list(x.t().tensor_split([first]))

    def _networks(self) -> list[Layer]:
        """Of every layer. What would read the half that it moves, or write to the one that it keeps, is left out."""
        first = (self.dim + 1) // 2
        halves = slice(None, first), slice(first, None)
        found: list[Layer] = [()] * self.layers
        for moves in (0, 1):
            stacks = [(w[moves::2], b[moves::2]) for w, b in zip(self.weights, self.biases, strict=True)]
            stacks[-1] = stacks[-1][0][:, :, halves[moves]], stacks[-1][1][:, :, halves[moves]]
            stacks[0] = stacks[0][0][..., halves[1 - moves]].flatten(1, 2), stacks[0][1].flatten(1, 2)
            found[moves::2] = zip(*(zip(w.unbind(), b.unbind(), strict=True) for w, b in stacks), strict=True)
        return found

    def _scale_and_shift(self, kept: Float[Tensor, "M N"], networks: Layer) -> tuple[Tensor, Tensor]:
        """Log-scale (within ±1, by Tanh) and shift of the half that a layer moves."""
        (weight, bias), *rest = networks
        h = torch.addmm(bias, weight, kept)  # both networks read the same rows
        for weight, bias in rest:
            h = ACTIVATIONS[self.activation](h).view(2, weight.shape[-1], kept.shape[1])
            h = torch.baddbmm(bias, weight, h)
        scale, shift = h.flatten(0, -2).chunk(2)
        return scale.tanh(), shift

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Noise to point, x = f(z)."""
        halves = self._halves(z)
        for layer, networks in enumerate(self._networks()):
            scale, shift = self._scale_and_shift(halves[1 - layer % 2], networks)
            halves[layer % 2] = halves[layer % 2] * scale.exp() + shift
        return torch.cat(halves).t()

    def inverse(self, x: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Point to noise: z = f^-1(x), and log |det df^-1/dx|."""
        halves, scales = self._halves(x), []
        for layer, networks in reversed(list(enumerate(self._networks()))):
            scale, shift = self._scale_and_shift(halves[1 - layer % 2], networks)
            halves[layer % 2] = (halves[layer % 2] - shift) * (-scale).exp()
            scales.append(scale)
        return torch.cat(halves).t(), -torch.cat(scales).sum(dim=0)

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density log G(x), in nats."""
        if len(x) <= CHUNK:  # of more, a chunk's activations stay in the cache, and only one chunk's are held
            return self._log_prob(x)
        again = partial(checkpoint, self._log_prob, use_reentrant=False, preserve_rng_state=False)
        each = again if torch.is_grad_enabled() else self._log_prob
        return torch.cat([each(part) for part in torch.split(x, CHUNK)])

    def _log_prob(self, x: Tensor) -> Tensor:
        z, log_det = self.inverse(x)
        return log_det - 0.5 * (z.square().sum(dim=-1) + self.dim * math.log(2 * math.pi))

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` points drawn from G."""
        like = self.weights[0]
        noise = torch.randn(count, self.dim, device=like.device, dtype=like.dtype)
        return torch.cat([self.forward(part) for part in torch.split(noise, CHUNK)])
