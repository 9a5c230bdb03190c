"""RealNVP: a density on R^D that can be evaluated and sampled (Dinh et al. 2017; the paper's Eq. 12 and §A).

A *flow* is an invertible map x = f(z) of Gaussian noise z. Its density follows from the change of variables:

    log G(x) = log N(f^-1(x); 0, I) + log |det df^-1/dx|

A *coupling layer* keeps some dimensions of x and moves the others by a scale and a shift that small networks
compute from the kept ones. So its inverse is as cheap as itself, and its log-determinant is the sum of its log-scales.
"""

from __future__ import annotations

import math
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
CHUNK = 8192
"""Points that go through the flow at once where gradients are wanted; of more, activations are computed twice."""


class RealNVP(nn.Module):
    """Normalizing flow of affine coupling layers.

    With its defaults it is the paper's flow for images: 53,784 parameters (Table 5, "3 × 64").

    Args:
        dim: D, at least 2 (a coupling layer needs something to keep and something to move).
        layers: number of coupling layers; which half is kept alternates.
        hidden: widths of the hidden layers of the scale and shift networks.
        activation: between the linear layers, by its name in `torch.nn.functional`.

    Raises:
        ValueError: if there are too few dimensions, layers or hidden units, or no such activation.
    """

    mask: Tensor
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
        # 1 keeps a dimension, 0 moves it. Layer 0 keeps the last D // 2, as the paper's code does in 2-D and 3-D.
        keep_last = (torch.arange(dim) >= (dim + 1) // 2).float()
        masks = torch.stack([keep_last if i % 2 == 0 else 1 - keep_last for i in range(layers)])
        self.register_buffer("mask", masks)
        # One stack of weights per depth: (coupling layer, scale or shift network, out, in). The scale and shift
        # networks of a layer then run as one batched product.
        widths = (dim, *self.hidden, dim)
        sizes = list(zip(widths[1:], widths[:-1], strict=True))
        self.weights = nn.ParameterList(torch.empty(layers, 2, out, width) for out, width in sizes)
        self.biases = nn.ParameterList(torch.zeros(layers, 2, 1, out) for out, _ in sizes)
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

    def _scale_and_shift(self, layer: int, x: Float[Tensor, "N D"]) -> tuple[Tensor, Tensor]:
        """Log-scale (within ±1, by Tanh) and shift of one layer; both zero in the dimensions that it keeps."""
        h = (x * self.mask[layer]).expand(2, *x.shape)
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if depth:
                h = ACTIVATIONS[self.activation](h)
            h = torch.baddbmm(bias[layer], h, weight[layer].transpose(1, 2))
        moved = 1 - self.mask[layer]
        return h[0].tanh() * moved, h[1] * moved

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Noise to point, x = f(z)."""
        for layer in range(self.layers):
            scale, shift = self._scale_and_shift(layer, z)
            z = z * scale.exp() + shift
        return z

    def inverse(self, x: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Point to noise: z = f^-1(x), and log |det df^-1/dx|."""
        log_det = x.new_zeros(len(x))
        for layer in reversed(range(self.layers)):
            scale, shift = self._scale_and_shift(layer, x)
            x = (x - shift) * (-scale).exp()
            log_det = log_det - scale.sum(dim=-1)
        return x, log_det

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density log G(x), in nats."""
        if len(x) <= CHUNK or not torch.is_grad_enabled():
            return self._log_prob(x)
        # A chunk's activations stay in the processor's cache, and only one chunk's are held at a time.
        parts = [
            checkpoint(self._log_prob, part, use_reentrant=False, preserve_rng_state=False)
            for part in torch.split(x, CHUNK)
        ]
        return torch.cat(parts)

    def _log_prob(self, x: Tensor) -> Tensor:
        z, log_det = self.inverse(x)
        return log_det - 0.5 * (z.square().sum(dim=-1) + self.dim * math.log(2 * math.pi))

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` points drawn from G."""
        return self.forward(torch.randn(count, self.dim, device=self.mask.device, dtype=self.weights[0].dtype))
