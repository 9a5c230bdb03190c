"""RealNVP as losses use it: the results of `realnvp.PlainRealNVP`, faster and with less memory.

Points are columns, and only the moved half of the dimensions is computed. Both networks of a layer run in one batched
product, without the rows and columns of their weights that have no effect. Activations are overwritten in place. Many
points go through the flow in chunks, whose activations are computed again for the backward pass.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from logpose.flows.realnvp import PlainRealNVP

__all__ = ["CHUNK", "RealNVP"]

# In place where the derivative follows from the result: that halves what is stored for the backward pass.
ACTIVATIONS = {
    "leaky_relu": F.leaky_relu_, "relu": F.relu_, "tanh": torch.tanh_, "silu": F.silu, "gelu": F.gelu
}  # fmt: skip
Layer = tuple[tuple[Tensor, Tensor], ...]
"""The weights and biases of both networks of a coupling layer, by depth."""
CHUNK = 8192
"""Points that go through the flow at once: the activations of a chunk stay in the cache."""


class RealNVP(PlainRealNVP):
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
        if len(x) <= CHUNK:
            return super().log_prob(x)
        one = partial(PlainRealNVP.log_prob, self)
        again = partial(checkpoint, one, use_reentrant=False, preserve_rng_state=False)
        each = again if torch.is_grad_enabled() else one
        return torch.cat([each(part) for part in torch.split(x, CHUNK)])

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws of G."""
        like = self.weights[0]
        noise = torch.randn(count, self.dim, device=like.device, dtype=like.dtype)
        return torch.cat([self.forward(part) for part in torch.split(noise, CHUNK)])

    def _halves(self, x: Float[Tensor, "N D"]) -> list[Tensor]:
        """The larger half of the dimensions, and the rest, as rows of columns of points."""
        first = (self.dim + 1) // 2
        return list(x.t().tensor_split([first]))

    def _networks(self) -> list[Layer]:
        """Of every layer. What would read the half that it moves, or write to the one that it keeps, is left out."""
        first = (self.dim + 1) // 2
        halves = slice(None, first), slice(first, None)
        networks: list[Layer] = [()] * self.layers
        for moves in (0, 1):
            stacks = [(w[moves::2], b[moves::2]) for w, b in zip(self.weights, self.biases, strict=True)]
            stacks[-1] = stacks[-1][0][:, :, halves[moves]], stacks[-1][1][:, :, halves[moves]]
            stacks[0] = stacks[0][0][..., halves[1 - moves]].flatten(1, 2), stacks[0][1].flatten(1, 2)
            networks[moves::2] = zip(*(zip(w.unbind(), b.unbind(), strict=True) for w, b in stacks), strict=True)
        return networks

    def _scale_and_shift(self, kept: Float[Tensor, "M N"], networks: Layer) -> tuple[Tensor, Tensor]:
        """Log-scale (within ±1, by Tanh) and shift of the half that a layer moves."""
        (weight, bias), *rest = networks
        h = torch.addmm(bias, weight, kept)  # both networks read the same rows
        for weight, bias in rest:
            h = ACTIVATIONS[self.activation](h).view(2, weight.shape[-1], kept.shape[1])
            h = torch.baddbmm(bias, weight, h)
        scale, shift = h.flatten(0, -2).chunk(2)
        return scale.tanh(), shift
