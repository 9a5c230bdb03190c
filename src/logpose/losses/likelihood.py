"""What all losses have in common: error -> standardise by (mu, sigma) -> minus the log-density of what is left.

A loss claims that a label lies at mu + sigma * e, where e, the *standardised error*, has a density P that does not
depend on the picture. So the label's density is P((label - mu) / sigma) / sigma, and the loss is minus its logarithm:

    L = sum_d log sigma_d - log P((label - mu) / sigma)

Subclasses say what P is. The value is a log-density, so it can be negative: a density above one is nothing strange.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from logpose.structures import LEVELS, ErrorLaw, Material, Prediction

__all__ = ["Distribution", "LikelihoodLoss", "PoseLoss", "weighted_mean", "weighted_quantile"]

T = TypeVar("T")

LAW_DRAWS = 32_768
"""Errors drawn to measure a density's moments and radii: a relative error of about 0.7 % in each."""
LEAST_SIGMA = 1e-6
"""Smaller scales count as this: their logarithm and their inverse stay finite where a sigmoid has come to 0."""
SAMPLE_CHUNK = 2**18
"""Positions drawn at once: the memory that a large sample takes is its own, and little more."""
FARTHEST = 1e6
"""Labels farther from the origin count as this far (a million crops away): the squares of any stay finite."""


class PoseLoss(nn.Module, ABC):
    """What training asks of any loss.

    Attributes:
        learns_sigma: whether sigma matters to the loss; where not, the claim has one constant scale.
        learns_from: what a model must give.
    """

    learns_sigma: ClassVar[bool] = True
    learns_from: ClassVar[Material] = "places"

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
    def law(self) -> ErrorLaw:
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

    def widened(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors in the precision that the loss computes in: its parameters', and at least float32."""
        own = next((p.dtype for p in self.parameters()), tensors[0].dtype)
        wide = torch.promote_types(own, torch.float32)
        return tuple(_from_half(t) if t.dtype == torch.float16 else t.to(wide) for t in tensors)

    def log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"]
    ) -> Float[Tensor, "B K"]:
        """Log-density, in nats, of each joint lying at `x`."""
        with exact(mu.device):
            mu, sigma, x = self.widened(mu, sigma.clamp_min(LEAST_SIGMA), x.clamp(-FARTHEST, FARTHEST))
            return self._log_prob(mu, sigma, x)

    def _log_prob(self, mu: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        scale = self.scale(sigma)
        error = ((x - mu) / scale).flatten(0, 1)
        return self.error_log_prob(error).view(x.shape[:2]) - scale.log().sum(dim=-1)

    def distribution(self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"]) -> Distribution:
        """The distribution that was claimed for each joint."""
        return self.claim(mu, self.scale(sigma), self)

    @torch.no_grad()
    def kept(self, name: str, compute: Callable[[], T]) -> T:
        """What `compute` gives with fixed random numbers and without autocast, until a parameter or buffer changes.

        A change made behind autograd's back (`parameter.data.copy_(…)`) is noticed at the next `train()` or `eval()`.
        """
        tensors = (*self.parameters(), *self.buffers())
        state = [(id(t), t.data_ptr(), 0 if t.is_inference() else t._version, t.device, t.dtype) for t in tensors]
        if name not in self._kept or self._kept[name][0] != state:
            # What is kept under `inference_mode` must serve outside it too.
            with exact(self.device), fixed_randomness(self.device), torch.inference_mode(False), torch.no_grad():
                self._kept[name] = state, compute()
        value: T = self._kept[name][1]
        return value

    def law(self) -> ErrorLaw:
        """Moments and radii of P, measured on a fixed weighted sample: all that inference needs of the loss.

        Unknown (NaN) for a loss under which errors have no density of their own (`basic` mode).
        """
        return self.kept("law", self._law)

    def _law(self) -> ErrorLaw:
        try:
            error, weight = self.error_draws(LAW_DRAWS)
        except NotImplementedError:
            return ErrorLaw.unknown(self.dim).to(self.device)
        if self.symmetric:  # what the draws have of a mean is chance
            error, weight = torch.cat([error, -error]), torch.cat([weight, weight]) / 2
        mean = (weight[:, None] * error).sum(dim=0)
        std = (weight[:, None] * (error - mean).square()).sum(dim=0).sqrt()
        apart = ((error - mean) / std).abs()
        bands = torch.stack([weighted_quantile(along, weight, LEVELS) for along in apart.unbind(dim=-1)], dim=-1)
        return ErrorLaw(mean, std, weighted_quantile(apart.square().sum(dim=-1).sqrt(), weight, LEVELS), bands)


@dataclass(frozen=True)
class Distribution:
    """What a loss claims of every joint of a batch: independent joints at mu + scale * e, e of the learned density."""

    mu: Float[Tensor, "B K D"]
    scale: Float[Tensor, "B K D"]
    loss: LikelihoodLoss

    def log_prob(self, x: Float[Tensor, "B K D"]) -> Float[Tensor, "B K"]:
        """Log-density, in nats, of each joint lying at `x`."""
        return self.loss.log_prob(self.mu, self.scale, x)

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "S B K D"]:
        """`count` positions of every joint."""
        wanted = count * self.mu[..., 0].numel()
        parts = []
        for start in range(0, wanted, SAMPLE_CHUNK):
            size = min(SAMPLE_CHUNK, wanted - start)
            with exact(self.mu.device):
                error, weight = self.loss.error_draws(max(LAW_DRAWS, 4 * size))
            # Resampling by weight turns a weighted sample into a plain one. With replacement: what has been drawn must
            # not make way for the less likely, or the sample spreads too far.
            parts.append(error[torch.multinomial(weight, size, replacement=True)])
        drawn = torch.cat(parts) if parts else self.mu.new_empty(0)
        return self.mu + self.scale * drawn.view(count, *self.mu.shape)

    @property
    def mean(self) -> Float[Tensor, "B K D"]:
        """Expected position of every joint."""
        return self.mu + self.scale * self.loss.law().mean

    @property
    def std(self) -> Float[Tensor, "B K D"]:
        """Standard deviation of every joint's position."""
        return self.scale * self.loss.law().std

    @torch.no_grad()
    def region(self, level: float) -> Region:
        """The smallest region that holds the share `level` of the probability.

        Raises:
            ValueError: if `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level:g}")
        with exact(self.mu.device), fixed_randomness(self.loss.device):
            error, weight = self.loss.error_draws(LAW_DRAWS)
            threshold = weighted_quantile(self.loss.error_log_prob(error), weight, (1 - level,))
        return Region(self, float(threshold))


@dataclass(frozen=True)
class Region:
    """Where a joint's density is above a threshold: the highest-density region of one level."""

    distribution: Distribution
    threshold: float
    """Least log-density of the standardised error inside the region."""

    @torch.no_grad()
    def contains(self, x: Float[Tensor, "B K D"]) -> Bool[Tensor, "B K"]:
        """Whether each joint's position `x` lies in the region."""
        claimed = self.distribution
        with exact(x.device):
            mu, scale, x = claimed.loss.widened(claimed.mu, claimed.scale.clamp_min(LEAST_SIGMA), x)
            error = ((x - mu) / scale).flatten(0, 1)
            return (claimed.loss.error_log_prob(error) >= self.threshold).view(x.shape[:2])


def joint_weight(
    target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None
) -> Float[Tensor, "B K"]:
    """Weight of each joint: the least of its dimensions'; 0 where that is below 0 or the label is not finite."""
    if weight is None:
        weight = target.new_ones(target.shape[:2])
    if weight.ndim == target.ndim:
        weight = weight.amin(dim=-1)
    return torch.where(target.isfinite().all(dim=-1) & (weight > 0), weight, 0)


def _from_half(tensor: Tensor) -> Tensor:
    """In float32, with a gradient that float16 can hold when it flows back: that of 1 / sigma may be larger."""
    wide = tensor.float()
    if wide.requires_grad:
        largest = torch.finfo(torch.float16).max
        wide.register_hook(lambda g: g.clamp(-largest, largest))  # type: ignore[no-untyped-call]
    return wide


def settled(
    target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"], mu: Float[Tensor, "B K D"]
) -> Float[Tensor, "B K D"]:
    """Labels that a density can be asked of: where nothing counts, the prediction (NaN times 0 would still be NaN)."""
    return torch.where((weight > 0)[..., None], target.clamp(-FARTHEST, FARTHEST), mu.detach())


def balanced(
    mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"], power: float
) -> Float[Tensor, "B K D"]:
    """The same mu, whose gradient gets multiplied by (sigma / typical sigma) ** power on its way back.

    A likelihood's gradient with respect to mu goes with 1 / sigma: joints that are well known already pull hardest, and
    those that are not yet are left behind (Seitzer et al. 2022). With a power of 1 all joints pull alike, as under L1.
    The loss, and what it says of sigma and of the density, stay exact; so does the position at which a joint taken
    alone is best placed. Where joints share weights and cannot all be met, the compromise is another: the one under
    L1's weights. Typical is the batch's geometric mean, so that the gradient keeps its size as a whole.
    """
    if not power:
        return mu
    sigma = sigma.detach()
    typical = weighted_mean(sigma.log().mean(dim=-1), weight).exp()
    return mu.detach() + (mu - mu.detach()) * (sigma / typical) ** power


def bounded(
    mu: Float[Tensor, "B K D"],
    sigma: Float[Tensor, "B K D"],
    target: Float[Tensor, "B K D"],
    weight: Float[Tensor, "B K"],
    median: float | None,
) -> Float[Tensor, "B K"] | float:
    """0, with a gradient that lowers all sigmas of a dimension while most of its errors are below `median` sigmas.

    A learned density can be as narrow as it likes, with a sigma as much larger: what is claimed of labels is the same,
    and nothing else decides how large sigma is. Left free it stays near where it began, and a flow that has to learn a
    density a tenth as wide as its own first one takes long to see more of it than its width.
    """
    if median is None:
        return 0.0
    beyond = ((target - mu).abs() > median * sigma).to(sigma.dtype).detach()
    share = torch.stack([weighted_mean(of_dimension, weight) for of_dimension in beyond.unbind(dim=-1)])
    return ((1 - 2 * share).clamp_min(0) * (sigma.log() - sigma.log().detach())).sum(dim=-1)


def weighted_mean(values: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    """Mean by weight; 0, with a gradient of 0, where all weights are."""
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def weighted_quantile(
    values: Float[Tensor, "N"], weight: Float[Tensor, "N"], levels: tuple[float, ...]
) -> Float[Tensor, "L"]:
    """The values below which the given shares of the total weight lie."""
    order = values.argsort()
    below = weight[order].cumsum(0)
    wanted = torch.tensor(levels, device=below.device, dtype=below.dtype) * below[-1]
    return values[order][torch.searchsorted(below, wanted).clamp_max(len(values) - 1)]


def exact(device: torch.device) -> torch.autocast:
    """A context without autocast: likelihoods are differences of large logarithms, half precision is not for them."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def fixed_randomness(device: torch.device) -> Iterator[None]:
    """Draws inside it are the same every time; those outside go on as if nothing had been drawn."""
    on_cpu = torch.default_generator.get_state()
    own = getattr(torch, device.type) if device.type in ("cuda", "mps", "xpu") else None
    on_device = own.get_rng_state() if own else None
    try:
        torch.default_generator.manual_seed(0)
        if own:
            own.manual_seed(0)
        yield
    finally:
        torch.default_generator.set_state(on_cpu)
        if own:
            own.set_rng_state(on_device)
