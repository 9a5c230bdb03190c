"""What a loss asks of a learned density; anything with these two methods will do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

__all__ = ["Density"]


@runtime_checkable
class Density(Protocol):
    """A density on R^D. Give an `nn.Module` if its parameters are to be learned."""

    def log_prob(self, x: Float[Tensor, "N D"], /) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        ...

    def sample(self, count: int, /) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        ...
