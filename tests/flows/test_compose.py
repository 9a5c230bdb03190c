"""Densities made of others: values by their formulas, and draws that follow them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from logpose.flows import Clamped, Density, GaussianMixture, Mirrored, Mixture, SimpleDensity, Symmetric
from logpose.flows.compose import random_side


@pytest.fixture
def skewed() -> GaussianMixture:
    torch.manual_seed(0)
    density = GaussianMixture(3)
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return density.double().requires_grad_(False)


def follows(density: Density) -> bool:
    """Whether draws have the density: a Kolmogorov-Smirnov test against its integral."""
    torch.manual_seed(1)
    at = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    below = np.cumsum(density.log_prob(at[:, None]).exp().numpy()) * 1e-3
    assert below[-1] == pytest.approx(1, abs=1e-4)
    points = density.sample(20_000)
    assert points.shape == (20_000, 1)
    return bool(stats.kstest(np.interp(points[:, 0].numpy(), at.numpy(), below), "uniform").pvalue > 1e-3)


def test_formulas(skewed: GaussianMixture) -> None:
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)[:, None]
    g, opposite = skewed.log_prob(x).exp(), skewed.log_prob(-x).exp()
    laplace = 0.25 * (-x.abs() / 2).exp()[:, 0]
    expected = {
        Mirrored(skewed): opposite,
        Symmetric(skewed): (g + opposite) / 2,
        Mixture(skewed, SimpleDensity("laplace", 1, 2.0), 0.3): 0.7 * g + 0.3 * laplace,
        Clamped(skewed): g,
    }
    assert (g - opposite).abs().max() > 0.05
    for density, height in expected.items():
        torch.testing.assert_close(density.log_prob(x).exp(), height)


def test_draws_follow_the_densities(skewed: GaussianMixture) -> None:
    for density in (
        Mirrored(skewed),
        Symmetric(skewed),
        Mixture(skewed, SimpleDensity("laplace", 1, 2.0), 0.3),
        Clamped(skewed, reach=30.0),
        Symmetric(Mixture(skewed, SimpleDensity("gaussian", 1, 0.3), 0.5)),
    ):
        assert follows(density)
    assert not follows(Wrong(skewed)), "the test cannot fail"


class Wrong(Mirrored):
    def sample(self, count: int) -> Tensor:
        return self.density.sample(count)


def test_far_out_the_density_is_constant_or_decays() -> None:
    gaussian = SimpleDensity("gaussian", 2)
    x = torch.tensor([[1.0, 2.0], [7.0, 0.0], [-9.0, 8.0]])
    edge = -math.log(2 * math.pi) - torch.tensor([2.5, 12.5, 25.0])
    torch.testing.assert_close(Clamped(gaussian, 5.0).log_prob(x), edge)
    torch.testing.assert_close(Clamped(gaussian, 5.0, decays=True).log_prob(x), edge - torch.tensor([0.0, 2.0, 7.0]))


def test_a_random_side_is_the_point_or_its_opposite() -> None:
    torch.manual_seed(0)
    x = torch.randn(2000, 3)
    side = random_side(x)
    same = (side == x).all(dim=1)
    assert torch.equal(side[~same], -x[~same])
    assert 0.45 < float(same.float().mean()) < 0.55
