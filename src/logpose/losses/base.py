"""What all losses have in common: error -> standardise by (mu, sigma) -> minus the log-density of the result.

Under a likelihood loss a label lies at mu + sigma * e, where e, the *standardised error*, has a density P that does not
depend on the image. So the label's density is P((label - mu) / sigma) / sigma, and the loss is minus its logarithm:

    L = sum_d log sigma_d - log P((label - mu) / sigma)

Subclasses define P. The value is a log-density, so it can be negative: densities can be above one.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from logpose.core.config import Family
from logpose.core.errors import UnknownKindError
from logpose.core.moved import old_attributes
from logpose.core.structures import ErrorDistribution, OutputType, Prediction
from logpose.losses.cache import Cache, fixed_randomness
from logpose.losses.distribution import ERROR_DRAWS, moments_and_radii, weighted_quantile
from logpose.losses.heuristics import regularise_scale, reweight_gradient
from logpose.losses.numerics import (
    LARGEST_COORDINATE,
    LEAST_SIGMA,
    autocast_disabled,
    joint_weight,
    masked,
    upcast,
    weighted_mean,
    whitened,
    without_correlation,
)

__all__ = ["Distribution", "LikelihoodLoss", "OuterLoss", "PoseLoss", "Region", "loss_from_config"]

log = logging.getLogger("logpose")

SAMPLE_CHUNK = 2**18
"""Positions drawn at once, which bounds the memory that is needed beside the sample itself."""

T = TypeVar("T")


@old_attributes
class PoseLoss(Family, nn.Module, ABC):
    """What training needs of any loss. `PoseLoss.from_config` makes any loss of this package, by its kind.

    Attributes:
        learns_sigma: whether the loss depends on sigma; if not, its error distribution has one constant scale.
        output_type: what a model must predict.
        needs_all_dimensions: whether a joint is trained only where all its dimensions are labelled.
    """

    learns_sigma: ClassVar[bool] = True
    output_type: ClassVar[OutputType] = "coordinates"
    needs_all_dimensions: ClassVar[bool] = True

    @property
    def density(self) -> LikelihoodLoss | None:
        """The loss that defines the density of errors; None if there is none."""
        return None

    @abstractmethod
    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch; a ValueError if the model does not predict what the loss needs."""

    @abstractmethod
    def error_distribution(self) -> ErrorDistribution:
        """Moments and radii of the density of standardised errors: all that inference needs of the loss."""


def loss_from_config(config: Mapping[str, Any]) -> PoseLoss | None:
    """The loss that its `config` described, with new parameters.

    Args:
        config: plain values with the class as `kind`, also those of version 0.1; a kind of None is no loss.

    Returns:
        None if there is no loss, or it, or its flow, is of a class that is not of this package; then with a warning.

    Raises:
        InputError: if a key is no argument of its class.
        ValueError: if a value is not valid.
    """
    if config["kind"] is None:
        return None
    try:
        return PoseLoss.from_config(config)
    except UnknownKindError as error:
        log.warning("the loss cannot be restored, so there is no likelihood: %s", error)
        return None


class LikelihoodLoss(PoseLoss):
    """Base of the likelihood losses: negative log-likelihood of labels, averaged over labelled joints.

    Args:
        dim: D of the joints.

    Attributes:
        symmetric: whether errors e and -e are known to be equally likely, so that their mean is exactly 0.
        gradient_reweighting: power of sigma that the gradient of mu is multiplied by, see `reweight_gradient`.
        takes_correlation: whether a correlation of errors along x and y can be given.
        scale_regulariser: median of |error| / sigma below which sigma is lowered, see `regularise_scale`; None: never.

    Raises:
        ValueError: if there is no dimension.
    """

    symmetric: bool = False
    gradient_reweighting: float = 0.0
    scale_regulariser: float | None = None
    takes_correlation: ClassVar[bool] = True
    anchor: Tensor

    def __init__(self, dim: int = 2) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self._cache = Cache()
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # has the device and dtype of random draws

    @abstractmethod
    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P: normalised log-density of standardised errors, in nats."""

    @abstractmethod
    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """A weighted sample of P, as importance sampling gives: errors, and weights with a sum of 1."""

    def fresh_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P as training needs it: where constants are estimated, by new random points at every call."""
        return self.error_log_prob(error)

    def joint_log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"], fresh: bool = False
    ) -> Float[Tensor, "B K"]:
        """log P((x - mu) / sigma) - sum_d log sigma_d of upcast, finite tensors; with `fresh` by `fresh_log_prob`."""
        scale = self.scale(sigma)
        error = ((x - mu) / scale).flatten(0, 1)
        log_p = self.fresh_log_prob(error) if fresh else self.error_log_prob(error)
        return log_p.view(x.shape[:2]) - scale.log().sum(dim=-1)

    def joint_losses(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"],
    ) -> Float[Tensor, "B K"]:
        """What training minimises of each joint, of tensors that are upcast and masked already."""
        nll = -self.joint_log_prob(mu, sigma, target, fresh=True)
        return nll + regularise_scale(mu, sigma, target, weight, self.scale_regulariser)

    def reduce(self, nll: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """The loss of a batch from those of its joints."""
        return weighted_mean(nll, weight)

    def forward(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None = None,
        correlation: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean negative log-likelihood over labelled joints, by weight; 0 when nothing is labelled.

        Args:
            mu: predicted positions.
            sigma: predicted scales, > 0 (smaller ones than 1e-6 count as that), in the units of mu.
            target: labels; those that are not finite, or of weight 0, have no effect.
            weight: how much each joint counts. Of a weight per dimension the least is taken: the density of a joint is
                one of all its dimensions.
            correlation: in two dimensions, r of `Prediction.correlation`; 0 when None.

        Raises:
            ValueError: if mu, sigma and target are not of one shape, or not of the loss's dimensions; if a correlation
                is given in other than two.
        """
        if not self.takes_correlation:
            without_correlation(self, correlation)
        with autocast_disabled(mu.device):
            mu, sigma, target = self.upcast(mu, sigma.clamp_min(LEAST_SIGMA), target)
            weight = joint_weight(target, weight).to(mu.dtype)
            target = masked(target, weight, mu)
            mu = reweight_gradient(mu, sigma, weight, self.gradient_reweighting)
            target, log_rest = whitened(mu, self.scale(sigma), target, self._wide(correlation, mu))
            return self.reduce(self.joint_losses(mu, sigma, target, weight) + log_rest, weight)

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """`forward` of a model's output."""
        more = () if prediction.correlation is None else (prediction.correlation,)
        loss: Tensor = self(prediction.mu, prediction.sigma, target, weight, *more)
        return loss

    def log_prob(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        x: Float[Tensor, "B K D"],
        correlation: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Log-density, in nats, of each joint at `x`; differentiable in all that it depends on. See `forward`."""
        with autocast_disabled(mu.device):
            near = x.clamp(-LARGEST_COORDINATE, LARGEST_COORDINATE)
            mu, sigma, near = self.upcast(mu, sigma.clamp_min(LEAST_SIGMA), near)
            near, log_rest = whitened(mu, self.scale(sigma), near, self._wide(correlation, mu))
            return self.joint_log_prob(mu, sigma, near) - log_rest

    @staticmethod
    def _wide(correlation: Float[Tensor, "B K"] | None, mu: Float[Tensor, "B K D"]) -> Float[Tensor, "B K"] | None:
        """A correlation in the precision of mu."""
        return None if correlation is None else upcast(correlation, mu.dtype)

    def distribution(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        correlation: Float[Tensor, "B K"] | None = None,
    ) -> Distribution:
        """The predictive distribution of every joint; for `correlation` see `forward`.

        Raises:
            ValueError: if mu and sigma are not of one shape, or not of the loss's dimensions.
        """
        self.check_shapes(mu, sigma)
        return Distribution(mu, self.scale(sigma), self, correlation)

    def error_distribution(self) -> ErrorDistribution:
        """Moments and radii of P, estimated from a fixed weighted sample: all that inference needs of the loss."""
        return self.cached(
            "error distribution",
            lambda: moments_and_radii(*self.error_draws(ERROR_DRAWS), self.symmetric, type(self).__name__),
        )

    @property
    def density(self) -> LikelihoodLoss:
        """This loss."""
        return self

    @property
    def device(self) -> torch.device:
        """Device of the loss's parameters and buffers."""
        return self.anchor.device

    def scale(self, sigma: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """What errors are divided by: sigma, or 1 where the loss does not learn it."""
        return sigma if self.learns_sigma else torch.ones_like(sigma)

    def cached(self, name: str, compute: Callable[[], T]) -> T:
        """What `compute` returns with fixed random numbers; kept until `train`, or a parameter or buffer changes."""
        return self._cache.get(name, (*self.parameters(), *self.buffers()), self.device, compute)

    def check_shapes(self, *tensors: Tensor) -> None:
        """A ValueError unless all are (B, K, D) with the loss's D: some others would be broadcast silently."""
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3 or shapes[0][-1] != self.dim:
            got = ", ".join(map(str, shapes))
            raise ValueError(f"mu, sigma and labels must be of one shape (B, K, {self.dim}), got {got}")

    def upcast(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors of one shape (B, K, D), in the precision of the loss's parameters, and at least float32."""
        self.check_shapes(*tensors)
        own = next((p.dtype for p in self.parameters()), tensors[0].dtype)
        wide = torch.promote_types(own, torch.float32)
        return tuple(upcast(t, wide) for t in tensors)

    def train(self, mode: bool = True) -> LikelihoodLoss:
        """As of every module; clears the cache, as changes of a density without parameters cannot be detected."""
        self._cache.clear()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LikelihoodLoss:
        """As of every module, but `half()` and `bfloat16()` change nothing: likelihoods need more precision."""

        def wide(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype in (torch.float16, torch.bfloat16) else moved

        return super()._apply(wide, recurse)  # type: ignore[no-untyped-call, no-any-return]


class OuterLoss(PoseLoss):
    """A loss that has a likelihood loss as a term, which defines the density of errors."""

    nested: ClassVar = {"loss": LikelihoodLoss.from_config}
    loss: LikelihoodLoss

    @property
    def learns_sigma(self) -> bool:  # type: ignore[override]  # of the one inside
        """Whether the likelihood loss depends on sigma."""
        return self.loss.learns_sigma

    @property
    def density(self) -> LikelihoodLoss:
        """The likelihood loss."""
        return self.loss

    def error_distribution(self) -> ErrorDistribution:
        """That of the likelihood loss."""
        return self.loss.error_distribution()


@dataclass(frozen=True)
class Distribution:
    """Independent joints at mu + scale × L e, with e of the loss's density of standardised errors."""

    mu: Float[Tensor, "B K D"]
    scale: Float[Tensor, "B K D"]
    loss: LikelihoodLoss
    correlation: Float[Tensor, "B K"] | None = None
    """r of L, the Cholesky factor of `Prediction.correlation`; None: L is the identity."""

    def log_prob(self, x: Float[Tensor, "*S B K D"]) -> Float[Tensor, "*S B K"]:
        """Log-density, in nats, of each joint at `x`, or at each of several positions."""
        if x.ndim > self.mu.ndim:
            return torch.stack([self.log_prob(position) for position in x])
        return self.loss.log_prob(self.mu, self.scale, x, self.correlation)

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "S B K D"]:
        """`count` positions of every joint."""
        wanted = count * self.mu[..., 0].numel()
        parts = []
        for start in range(0, wanted, SAMPLE_CHUNK):
            size = min(SAMPLE_CHUNK, wanted - start)
            with autocast_disabled(self.mu.device):
                error, weight = self.loss.error_draws(max(ERROR_DRAWS, 4 * size))
            # Resampling by weight turns a weighted sample into a plain one. With replacement: without it, points of
            # large weight would be used up and the sample would be too wide.
            parts.append(error[torch.multinomial(weight, size, replacement=True)])
        errors = (torch.cat(parts) if parts else self.mu.new_empty(0)).view(count, *self.mu.shape)
        if (r := self.correlation) is not None:
            along_x, along_y = errors.unbind(dim=-1)
            errors = torch.stack([along_x, r * along_x + (1 - r.square()).sqrt() * along_y], dim=-1)
        return self.mu + self.scale * errors

    @property
    def mean(self) -> Float[Tensor, "B K D"]:
        """Expected position of every joint."""
        return self._summary().mean

    @property
    def std(self) -> Float[Tensor, "B K D"]:
        """Standard deviation of every joint's position."""
        return self._summary().std

    def _summary(self) -> Prediction:
        return Prediction(
            self.mu, self.scale, self.mu[..., 0], self.loss.error_distribution(), correlation=self.correlation
        )

    @torch.no_grad()
    def region(self, level: float) -> Region:
        """The smallest region of every joint that contains the share `level` of its probability.

        Raises:
            ValueError: if `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level:g}")
        with autocast_disabled(self.mu.device), fixed_randomness(self.loss.device):
            error, weight = self.loss.error_draws(ERROR_DRAWS)
            threshold = weighted_quantile(self.loss.error_log_prob(error), weight, (1 - level,))
            (scale,) = self.loss.upcast(self.scale.clamp_min(LEAST_SIGMA))
            log_scale = scale.log().sum(dim=-1)
            if self.correlation is not None:
                log_scale = log_scale + (1 - self.correlation.square()).sqrt().log()
        return Region(self, threshold - log_scale)


@dataclass(frozen=True)
class Region:
    """Where each joint's density is above a threshold: the highest-density region of one level."""

    distribution: Distribution
    threshold: Float[Tensor, "B K"]
    """Least log-density of a position inside the region."""

    @torch.no_grad()
    def contains(self, x: Float[Tensor, "*S B K D"]) -> Bool[Tensor, "*S B K"]:
        """Whether each joint's position `x`, or each of several, lies in its region."""
        return self.distribution.log_prob(x) >= self.threshold
