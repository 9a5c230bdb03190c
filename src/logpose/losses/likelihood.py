"""What all losses have in common: error -> standardise by (mu, sigma) -> minus the log-density of what is left.

A loss claims that a label lies at mu + sigma * e, where e, the *standardised error*, has a density P that does not
depend on the picture. So the label's density is P((label - mu) / sigma) / sigma, and the loss is minus its logarithm:

    L = sum_d log sigma_d - log P((label - mu) / sigma)

Subclasses say what P is. The value is a log-density, so it can be negative: a density above one is nothing strange.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from logpose.core.structures import LEVELS, ErrorDistribution, OutputType, Prediction
from logpose.losses.numerics import (
    FARTHEST,
    LEAST_SIGMA,
    balanced,
    bounded,
    exact,
    fingerprint,
    fixed_randomness,
    joint_weight,
    settled,
    weighted_mean,
    weighted_quantile,
    widened,
)

__all__ = ["Distribution", "LikelihoodLoss", "PoseLoss", "Region"]

log = logging.getLogger("logpose")

T = TypeVar("T")

ERROR_DRAWS = 32_768
"""Errors drawn to measure a density's moments and radii: a relative error of about 0.7 % in each."""
FEW_POINTS = 300
"""Equally weighted draws that would tell as much, below which it is said: a relative error of 4 % and more."""
SAMPLE_CHUNK = 2**18
"""Positions drawn at once: the memory that a large sample takes is its own, and little more."""


class PoseLoss(nn.Module, ABC):
    """What training asks of any loss.

    Attributes:
        learns_sigma: whether sigma matters to the loss; where not, the claim has one constant scale.
        output_type: what a model must give.
        needs_all_dimensions: whether a joint is trained only where all its dimensions are labelled.
    """

    learns_sigma: ClassVar[bool] = True
    output_type: ClassVar[OutputType] = "coordinates"
    needs_all_dimensions: ClassVar[bool] = True

    @property
    def density(self) -> LikelihoodLoss | None:
        """What is claimed of errors; None if nothing is."""
        return None

    @abstractmethod
    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch."""

    @abstractmethod
    def error_distribution(self) -> ErrorDistribution:
        """Moments and radii of the claim: all that inference needs of the loss."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""


class LikelihoodLoss(PoseLoss):
    """Base of the losses: negative log-likelihood of labels, averaged over labelled joints.

    Attributes:
        dim: D of the joints that the loss is for.
        symmetric: whether an error and its opposite are known to be equally likely, so that their mean is exactly 0.
        balance: with what power of sigma the gradient of mu is multiplied, see `balanced`; 0 leaves it as it is.
        median: what the median of standardised errors may not fall below, see `bounded`; None lets it.
    """

    symmetric: bool = False
    balance: float = 0.0
    median: float | None = None

    def __init__(self, dim: int = 2) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self.claim: type[Distribution] = Distribution  # what `distribution` returns
        self._kept: dict[str, tuple[Any, Any]] = {}  # of each name: the parameters' state, and what came out

    @abstractmethod
    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P: normalised log-density of standardised errors, in nats."""

    @abstractmethod
    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points and weights (summing to 1) that stand for P: a weighted sample, as importance sampling gives."""

    def train(self, mode: bool = True) -> LikelihoodLoss:
        """As of every module; forgets what was `kept`."""
        self._kept.clear()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LikelihoodLoss:
        """As of every module, but `half()` and `bfloat16()` leave it as it is: likelihoods are not for such numbers."""

        def wide(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype in (torch.float16, torch.bfloat16) else moved

        return super()._apply(wide, recurse)  # type: ignore[no-untyped-call, no-any-return]

    @property
    def density(self) -> LikelihoodLoss:
        """This loss."""
        return self

    @property
    def device(self) -> torch.device:
        """Where the loss keeps its parameters and buffers."""
        return next((t.device for t in (*self.parameters(), *self.buffers())), torch.device("cpu"))

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"dim": self.dim}

    def scale(self, sigma: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """What errors are divided by: sigma, or 1 where the loss does not learn it."""
        return sigma if self.learns_sigma else torch.ones_like(sigma)

    def forward(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean over labelled joints, by weight, of what the loss charges; 0 when nothing is labelled.

        Args:
            mu: predicted positions.
            sigma: predicted scales, > 0 (smaller ones than 1e-6 count as that), in the units of mu.
            target: labels; where they are not finite, or their weight is 0, they are never looked at.
            weight: how much each joint counts; of a weight per dimension the least is taken, since a density of a
                joint speaks of all of its dimensions at once.

        Raises:
            ValueError: if mu, sigma and target are not of one shape, or not of the loss's dimensions.
        """
        with exact(mu.device):
            mu, sigma, target = self.widened(mu, sigma.clamp_min(LEAST_SIGMA), target)
            weight = joint_weight(target, weight).to(mu.dtype)
            return self._reduce(mu, sigma, settled(target, weight, mu), weight)

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The same of what a model says."""
        loss: Tensor = self(prediction.mu, prediction.sigma, target, weight)
        return loss

    def _reduce(self, mu: Tensor, sigma: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        charge = self._charge(balanced(mu, sigma, weight, self.balance), sigma, target)
        return self._mean(charge + bounded(mu, sigma, target, weight, self.median), weight)

    def _charge(self, mu: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
        """What each joint (B, K) is charged."""
        return -self._log_prob(mu, sigma, target)

    def _mean(self, charge: Tensor, weight: Tensor) -> Tensor:
        """The loss of a batch from what its joints are charged."""
        return weighted_mean(charge, weight)

    def check_shapes(self, *tensors: Tensor) -> None:
        """Refuse tensors that are not all (B, K, D) with the loss's D: some others would be broadcast unseen.

        Raises:
            ValueError: if they are not.
        """
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3 or shapes[0][-1] != self.dim:
            told = ", ".join(map(str, shapes))
            raise ValueError(f"mu, sigma and labels must be of one shape (B, K, {self.dim}), got {told}")

    def widened(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors of one shape (B, K, D), in the precision of the loss: its parameters', and at least float32."""
        self.check_shapes(*tensors)
        own = next((p.dtype for p in self.parameters()), tensors[0].dtype)
        wide = torch.promote_types(own, torch.float32)
        return tuple(widened(t, wide) for t in tensors)

    def log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"]
    ) -> Float[Tensor, "B K"]:
        """Log-density, in nats, of each joint lying at `x`; differentiable in all that it depends on."""
        with exact(mu.device):
            mu, sigma, x = self.widened(mu, sigma.clamp_min(LEAST_SIGMA), x.clamp(-FARTHEST, FARTHEST))
            return self._log_prob(mu, sigma, x)

    def _log_prob(self, mu: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        scale = self.scale(sigma)
        error = ((x - mu) / scale).flatten(0, 1)
        return self.error_log_prob(error).view(x.shape[:2]) - scale.log().sum(dim=-1)

    def distribution(self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"]) -> Distribution:
        """The distribution that was claimed for each joint."""
        self.check_shapes(mu, sigma)
        return self.claim(mu, self.scale(sigma), self)

    @torch.no_grad()
    def kept(self, name: str, compute: Callable[[], T]) -> T:
        """What `compute` gives with fixed random numbers and without autocast, until a parameter or buffer changes.

        Of a density without any, whose changes cannot be seen, until the next `train()` or `eval()`.
        """
        tensors = (*self.parameters(), *self.buffers())
        state = ([(id(t), t.data_ptr(), t.device, t.dtype) for t in tensors], fingerprint(tensors))
        if name not in self._kept or self._kept[name][0] != state:
            # What is kept under `inference_mode` must serve outside it too.
            with exact(self.device), fixed_randomness(self.device), torch.inference_mode(False), torch.no_grad():
                self._kept[name] = state, compute()
        value: T = self._kept[name][1]
        return value

    def differentiable(self, value: Tensor, estimate: Callable[[], Tensor]) -> Tensor:
        """A value that was `kept`, with the gradient of an estimate of it on other random points at each step."""
        if not torch.is_grad_enabled():
            return value
        with fixed_randomness(self.device, hash(fingerprint([*self.parameters()]))):
            fresh = estimate()
        return value + (fresh - fresh.detach())

    def error_distribution(self) -> ErrorDistribution:
        """Moments and radii of P, measured on a fixed weighted sample: all that inference needs of the loss.

        Unknown (NaN) for a loss under which errors have no density of their own (`basic` mode).
        """
        return self.kept("law", self._error_distribution)

    def _error_distribution(self) -> ErrorDistribution:
        try:
            error, weight = self.error_draws(ERROR_DRAWS)
        except NotImplementedError:
            return ErrorDistribution.unknown(self.dim).to(self.device)
        if (effective := float(1 / weight.square().sum())) < FEW_POINTS:
            log.warning(
                "%s: its spreads and regions are told from %.0f points' worth only", type(self).__name__, effective
            )
        if self.symmetric:  # what the draws have of a mean is chance
            error, weight = torch.cat([error, -error]), torch.cat([weight, weight]) / 2
        mean = (weight[:, None] * error).sum(dim=0)
        std = (weight[:, None] * (error - mean).square()).sum(dim=0).sqrt()
        apart = ((error - mean) / std).abs()
        bands = torch.stack([weighted_quantile(along, weight, LEVELS) for along in apart.unbind(dim=-1)], dim=-1)
        return ErrorDistribution(mean, std, weighted_quantile(apart.square().sum(dim=-1).sqrt(), weight, LEVELS), bands)


@dataclass(frozen=True)
class Distribution:
    """What a loss claims of every joint of a batch: independent joints at mu + scale * e, e of the learned density."""

    mu: Float[Tensor, "B K D"]
    scale: Float[Tensor, "B K D"]
    loss: LikelihoodLoss

    def log_prob(self, x: Float[Tensor, "*S B K D"]) -> Float[Tensor, "*S B K"]:
        """Log-density, in nats, of each joint lying at `x`, or at each of several places as `sample` gives them."""
        if x.ndim > self.mu.ndim:
            return torch.stack([self.log_prob(place) for place in x])
        return self.loss.log_prob(self.mu, self.scale, x)

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "S B K D"]:
        """`count` positions of every joint."""
        wanted = count * self.mu[..., 0].numel()
        parts = []
        for start in range(0, wanted, SAMPLE_CHUNK):
            size = min(SAMPLE_CHUNK, wanted - start)
            with exact(self.mu.device):
                error, weight = self.loss.error_draws(max(ERROR_DRAWS, 4 * size))
            # Resampling by weight turns a weighted sample into a plain one. With replacement: what has been drawn must
            # not make way for the less likely, or the sample spreads too far.
            parts.append(error[torch.multinomial(weight, size, replacement=True)])
        drawn = torch.cat(parts) if parts else self.mu.new_empty(0)
        return self.mu + self.scale * drawn.view(count, *self.mu.shape)

    @property
    def mean(self) -> Float[Tensor, "B K D"]:
        """Expected position of every joint."""
        return self.mu + self.scale * self.loss.error_distribution().mean

    @property
    def std(self) -> Float[Tensor, "B K D"]:
        """Standard deviation of every joint's position."""
        return self.scale * self.loss.error_distribution().std

    @torch.no_grad()
    def region(self, level: float) -> Region:
        """The smallest region that holds the share `level` of the probability.

        Raises:
            ValueError: if `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level:g}")
        with exact(self.mu.device), fixed_randomness(self.loss.device):
            error, weight = self.loss.error_draws(ERROR_DRAWS)
            threshold = weighted_quantile(self.loss.error_log_prob(error), weight, (1 - level,))
        return Region(self, float(threshold))


@dataclass(frozen=True)
class Region:
    """Where a joint's density is above a threshold: the highest-density region of one level."""

    distribution: Distribution
    threshold: float
    """Least log-density of the standardised error inside the region."""

    @torch.no_grad()
    def contains(self, x: Float[Tensor, "*S B K D"]) -> Bool[Tensor, "*S B K"]:
        """Whether each joint's position `x`, or each of several, lies in the region."""
        claimed = self.distribution
        if x.ndim > claimed.mu.ndim:
            return torch.stack([self.contains(place) for place in x])
        with exact(x.device):
            mu, scale, x = claimed.loss.widened(claimed.mu, claimed.scale.clamp_min(LEAST_SIGMA), x)
            error = ((x - mu) / scale).flatten(0, 1)
            return (claimed.loss.error_log_prob(error) >= self.threshold).view(x.shape[:2])
