"""Any object with `log_prob` and `sample` is a density: a loss accepts it unchanged."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from logpose.losses import RLELoss


class WideGaussian:
    """A density of the user's own: no module, no base class, no parameters."""

    scale = 3.0

    def log_prob(self, x: Tensor, /) -> Tensor:
        return -0.5 * (x / self.scale).square().sum(dim=-1) - x.shape[-1] * math.log(
            self.scale * math.sqrt(2 * math.pi)
        )

    def sample(self, count: int, /) -> Tensor:
        return self.scale * torch.randn(count, 2)


class LearnedGaussian(nn.Module):
    """One with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(2))

    def log_prob(self, x: Tensor, /) -> Tensor:
        z = x / self.log_scale.exp()
        return -0.5 * z.square().sum(dim=-1) - self.log_scale.sum() - math.log(2 * math.pi)

    def sample(self, count: int, /) -> Tensor:
        return self.log_scale.exp() * torch.randn(count, 2)


@pytest.mark.parametrize("convention", ["normalized", "paper", "released", "mmpose"])
@pytest.mark.parametrize("mode", ["rle", "dle"])
def test_a_plain_object_is_a_density(convention: str, mode: str) -> None:
    loss = RLELoss(WideGaussian(), convention=convention, mode=mode)
    mu = torch.zeros(2, 3, 2, requires_grad=True)
    value = loss(mu, torch.full((2, 3, 2), 0.5), torch.randn(2, 3, 2))
    value.backward()
    assert value.isfinite()
    assert mu.grad is not None
    assert mu.grad.any()
    assert list(loss.parameters()) == []
    assert loss.config()["flow"] is None


def test_the_product_of_two_gaussians_is_gaussian() -> None:
    # Precisions add: N(0, 1) N(0, 9) is proportional to N(0, 1 / (1 + 1/9)).
    loss = RLELoss(WideGaussian(), base="gaussian", convention="paper").eval()
    x = torch.randn(1, 50, 2)
    std = math.sqrt(1 / (1 + 1 / 9))
    expected = torch.distributions.Normal(0, std).log_prob(x).sum(dim=-1)
    ours = loss.log_prob(torch.zeros(1, 50, 2), torch.ones(1, 50, 2), x)
    torch.testing.assert_close(ours, expected, atol=0.02, rtol=0)
    torch.testing.assert_close(loss.error_distribution().std, torch.full((2,), std), rtol=0.01, atol=0)


def test_a_modules_parameters_are_learned_with_the_loss() -> None:
    density = LearnedGaussian()
    loss = RLELoss(density)
    assert [name for name, _ in loss.named_parameters()] == ["flow.log_scale"]
    loss(torch.zeros(2, 3, 2), torch.ones(2, 3, 2), torch.randn(2, 3, 2)).backward()
    assert density.log_scale.grad is not None
    assert density.log_scale.grad.all()


def test_basic_mode_needs_an_inverse() -> None:
    with pytest.raises(ValueError, match="basic"):
        RLELoss(WideGaussian(), mode="basic")
