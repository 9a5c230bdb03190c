"""The interface of a density: an object with these two methods is enough for a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from logpose.core.config import Family

__all__ = ["Density", "NamedDensity", "density_from_config"]


@runtime_checkable
class Density(Protocol):
    """A density on R^D. Pass an `nn.Module` if its parameters are to be learned."""

    def log_prob(self, x: Float[Tensor, "N D"], /) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        ...

    def sample(self, count: int, /) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        ...


class NamedDensity(Family, ABC):
    """Base of this package's densities: `NamedDensity.from_config` makes any of them, by its kind."""

    @abstractmethod
    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""

    @abstractmethod
    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""


def density_from_config(config: Mapping[str, Any]) -> NamedDensity:
    """The density that its `config` described; without a kind, as in checkpoints of version 0.1, a RealNVP.

    Raises:
        UnknownKindError: if its class is not one of this package.
        InputError: if a key is no argument.
    """
    return NamedDensity.from_config({"kind": "RealNVP", **config})
