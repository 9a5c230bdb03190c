"""Points at which Q G is evaluated: s against closed forms, whatever the flow's own draws are."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from logpose.losses import RLELoss


class Wide(nn.Module):
    """A Gaussian of learned width, with draws of its own."""

    def __init__(self, dim: int, width: float) -> None:
        super().__init__()
        self.dim, self.log_width = dim, nn.Parameter(torch.tensor(math.log(width)))

    def log_prob(self, x: Tensor) -> Tensor:
        scaled = x / self.log_width.exp()
        return -0.5 * scaled.square().sum(-1) - self.dim * (self.log_width + 0.5 * math.log(2 * math.pi))

    def sample(self, count: int) -> Tensor:
        return self.log_width.exp().detach() * torch.randn(count, self.dim)


class Misreporting(Independent):
    """A Gaussian whose draws are not its own, as those of flows whose inverse is searched for and not found."""

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        return torch.full((*shape, *self.event_shape), 10.0)


def exact_log_s(dim: int, q: float, g: float) -> float:
    """Of two Gaussians: their product has the mass N(0; 0, q² + g²) in each dimension."""
    return 0.5 * dim * math.log(2 * math.pi * (q**2 + g**2))


@pytest.mark.parametrize("dim", [2, 3, 8])
@pytest.mark.parametrize("width", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("convention", ["normalized", "paper"])
@pytest.mark.parametrize(
    "make",
    [
        Wide,
        lambda dim, width: MultivariateNormal(torch.zeros(dim), width**2 * torch.eye(dim)),
        lambda dim, width: Misreporting(Normal(torch.zeros(dim), torch.full((dim,), width)), 1),
    ],
    ids=["draws of its own", "a distribution", "draws that are not its own"],
)
def test_s_is_one_over_the_product_s_mass(make: Callable, convention: str, width: float, dim: int) -> None:
    torch.manual_seed(0)
    loss = RLELoss(make(dim, width), dim=dim, base="gaussian", convention=convention)
    wide = 2.0 if convention == "normalized" else 1.0
    expected = exact_log_s(dim, wide, width)
    if convention == "normalized":  # a thousandth of G is Q
        mass = (1 - 1 / 1024) * math.exp(-expected) + math.exp(-exact_log_s(dim, wide, wide)) / 1024
        expected = -math.log(mass)
    hard = dim == 8 and width == 0.1  # what lies between two widths is far from both in eight dimensions
    assert float(loss.log_s().detach()) == pytest.approx(expected, abs=0.15 if hard else 0.05)
    std = (1 / wide**2 + 1 / width**2) ** -0.5
    if convention == "paper" and not hard:
        torch.testing.assert_close(loss.error_distribution().std, torch.full((dim,), std), rtol=0.05, atol=0)


def test_the_gradient_of_s_is_in_reported_densities() -> None:
    """P is a Gaussian of precision 1 / q² + 1 / g²: its log-density's derivative by log g is known."""
    torch.manual_seed(0)
    flow = Wide(2, 0.7)
    loss = RLELoss(flow, base="gaussian", convention="paper")
    mu, sigma, x = torch.zeros(50, 1, 2), torch.ones(50, 1, 2), 0.5 * torch.randn(50, 1, 2)
    variance = 1 / (1 + 0.7**-2)
    # d log P / d log g = (D - |x|² / v) · (d log v / d log g) · -1/2, and d log v / d log g = 2 v / g²
    expected = float((-(2 - x.square().sum(-1) / variance) * variance / 0.7**2).mean())
    value = loss.distribution(mu, sigma).log_prob(x).mean()
    (gradient,) = torch.autograd.grad(value, [flow.log_width])
    assert float(gradient) == pytest.approx(expected, abs=0.1)
    normal = MultivariateNormal(torch.zeros(2), variance * torch.eye(2))
    assert float(value.detach()) == pytest.approx(float(normal.log_prob(x).mean()), abs=0.02)


@pytest.mark.parametrize("convention", ["paper", "normalized"])
def test_with_s_the_loss_has_the_gradient_of_the_normalised_product(convention: str) -> None:
    """Its gradient by the flow's width, over many estimates of s, against the closed form; without s another."""
    torch.manual_seed(0)
    flow = Wide(2, 0.7)
    options = {"with_s": True} if convention == "paper" else {"symmetric": False, "gradient_reweighting": 0.0}
    loss = RLELoss(flow, base="gaussian", convention=convention, **options)
    q = 1.0 if convention == "paper" else 2.0
    mu, sigma, x = torch.zeros(50, 1, 2), torch.ones(50, 1, 2), 0.5 * torch.randn(50, 1, 2)
    variance = 1 / (q**-2 + 0.7**-2)
    expected = float(((2 - x.square().sum(-1) / variance) * variance / 0.7**2).mean())
    gradients = [torch.autograd.grad(loss(mu, sigma, x), [flow.log_width])[0] for _ in range(20)]
    assert float(torch.stack(gradients).mean()) == pytest.approx(expected, abs=0.1)
    if convention == "paper":
        without = RLELoss(flow, base="gaussian", convention="paper")
        (other,) = torch.autograd.grad(without(mu, sigma, x), [flow.log_width])
        # d (-log G) / d log g = D - |x|² / g²
        assert float(other) == pytest.approx(float((2 - x.square().sum(-1) / 0.49).mean()), rel=1e-4)
        assert abs(float(other) - expected) > 0.3
        alike = loss.eval()(mu, sigma, x), without.eval()(mu, sigma, x) - loss.log_s().detach()
        assert float(alike[0].detach()) == pytest.approx(float(alike[1].detach()), abs=0.05)


@pytest.fixture(scope="module")
def learned() -> RLELoss:
    """RLE of eight dimensions that has learned correlated errors: a common part, and one of each dimension."""
    torch.manual_seed(0)
    loss = RLELoss(dim=8)
    optimizer = torch.optim.Adam(loss.parameters(), lr=3e-3)
    exponential = torch.distributions.Laplace(0.0, 1.0)
    mu, sigma = torch.zeros(256, 1, 8), torch.full((256, 1, 8), 0.1)
    for _ in range(120):
        target = 0.1 * (0.8 * exponential.sample((256, 1, 1)) + 0.4 * exponential.sample((256, 1, 8)))
        optimizer.zero_grad()
        loss(mu, sigma, target).backward()
        optimizer.step()
    return loss.eval()


@pytest.mark.slow
@torch.no_grad()
def test_many_points_count_in_eight_dimensions(learned: RLELoss) -> None:
    """Of ½ (Q + G) a few hundred of 32,768 do; s and standard deviations against a large sample of that."""
    torch.manual_seed(1)
    error, weight = learned.error_draws(32_768)
    assert float(1 / weight.square().sum()) > 2000
    flow, q = learned.flow, torch.distributions.Laplace(0.0, 2.0)
    points = torch.cat([flow.sample(600_000), q.sample((600_000, 8))])
    log_q = q.log_prob(points).sum(dim=1)
    log_f = flow.log_prob(points)
    log_g = torch.logaddexp(log_f + math.log(1 - 1 / 1024), log_q - math.log(1024))
    log_weight = log_q + log_g - torch.logaddexp(log_f, log_q) + math.log(2)
    count = float(1 / log_weight.softmax(dim=0).square().sum())
    assert count / len(points) < 0.02  # which is why
    expected = math.log(len(points)) - float(log_weight.logsumexp(dim=0))
    # Of the large sample, too, so few points count that its own standard error is nearly two hundredths.
    assert 4 / math.sqrt(count) < 0.08
    assert float(learned.log_s()) == pytest.approx(expected, abs=4 / math.sqrt(count))
    spread = (log_weight.softmax(dim=0)[:, None] * points.square()).sum(dim=0).sqrt()
    torch.testing.assert_close(learned.error_distribution().std, spread, rtol=0.1, atol=0)
    assert len(error) == 4 * 32_768


def test_few_points_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    RLELoss(dim=8).eval().error_distribution()
    assert not caplog.records
    RLELoss(Wide(24, 2.0), dim=24).eval().error_distribution()
    assert "RLELoss" in caplog.text
