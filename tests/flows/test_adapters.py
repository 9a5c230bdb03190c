"""Densities of other libraries: which are accepted, which are refused, and that each learns as a part of RLE."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import zuko
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from logpose.flows import Density, DistributionDensity, RealNVP, as_density
from logpose.losses import RLELoss

ZUKO: dict[str, Callable[[], nn.Module]] = {
    "MAF": lambda: zuko.flows.MAF(2, transforms=2, hidden_features=(16, 16)),
    "NSF": lambda: zuko.flows.NSF(2, transforms=2, hidden_features=(16, 16)),
    "Gaussianization": lambda: zuko.flows.GF(2, transforms=2),
    "neural autoregressive": lambda: zuko.flows.NAF(
        2, signal=4, transforms=1, hidden_features=(8, 8), network={"hidden_features": (8, 8)}
    ),
}


class Own:
    """The smallest density: two methods."""

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * (x.square().sum(-1) + x.shape[-1] * math.log(2 * math.pi))

    def sample(self, count: int) -> Tensor:
        return torch.randn(count, 2)


def test_a_density_is_returned_unchanged() -> None:
    for density in (RealNVP(2), Own()):
        assert as_density(density, 2) is density


def test_a_distribution_of_torch() -> None:
    source = MultivariateNormal(torch.tensor([1.0, 0]), torch.tensor([[2.0, 0.5], [0.5, 1]]))
    density = as_density(source, 2)
    x = torch.randn(5, 2)
    torch.testing.assert_close(density.log_prob(x), source.log_prob(x))
    points = density.sample(20_000)
    assert points.shape == (20_000, 2)
    torch.testing.assert_close(points.T.cov(), source.covariance_matrix, atol=0.1, rtol=0)
    assert as_density(Independent(Normal(torch.zeros(3), torch.ones(3)), 1), 3).sample(4).shape == (4, 3)


@pytest.mark.parametrize(
    "source",
    [Normal(0.0, 1.0), Normal(torch.zeros(2), 1.0), nn.Identity, 3, None, zuko.flows.MAF],
    ids=["a number", "two numbers, each by itself", "a class", "3", "None", "a class of flows"],
)
def test_other_objects_are_refused(source: object) -> None:
    with pytest.raises(TypeError, match="density"):
        as_density(source, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", ZUKO.values(), ids=ZUKO.keys())
def test_flows_of_zuko_learn_as_g(make: Callable[[], nn.Module]) -> None:
    """Errors of a Student t distribution: the learned density is normalised, and held-out errors become likelier."""
    torch.manual_seed(0)
    loss = RLELoss(make())
    assert isinstance(loss.flow, DistributionDensity)
    assert isinstance(loss.flow, Density)
    error_distribution = torch.distributions.StudentT(3.0)
    held_out = error_distribution.sample((2000, 2))
    unit = torch.ones(1, 1, 2)

    def nll() -> float:
        loss.eval()
        with torch.no_grad():
            return float(-loss.error_log_prob(held_out).mean())

    before = nll()
    optimizer = torch.optim.Adam(loss.parameters(), 5e-3)
    loss.train()
    for _ in range(60):
        optimizer.zero_grad()
        error = error_distribution.sample((1, 256, 2))
        value = loss(torch.zeros_like(error), unit.expand_as(error), error)
        value.backward()
        assert value.isfinite()
        optimizer.step()
    assert nll() < before - 0.05
    grid = torch.cartesian_prod(*[torch.linspace(-12, 12, 161)] * 2)
    with torch.no_grad():
        share = loss.error_log_prob(grid).exp() * (24 / 160) ** 2
    assert float(share.sum()) == pytest.approx(1, abs=0.03)
    spread = ((share[:, None] * grid.square()).sum(0) / share.sum()).sqrt()
    torch.testing.assert_close(loss.error_distribution().std, spread, rtol=0.05, atol=0)


class OtherShapes(Own):
    """A density whose results have other shapes."""

    def __init__(self, points: int = 2, heights: tuple[int, ...] = ()) -> None:
        self.points, self.heights = points, heights

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x).view(-1, *self.heights)

    def sample(self, count: int) -> Tensor:
        return torch.randn(count, self.points)


class InPairs(Own):
    """`sample` as some libraries have it."""

    def sample(self, count: int) -> Tensor:
        points = torch.randn(count, 2)
        return points, self.log_prob(points)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "source",
    [
        zuko.flows.NSF(3, transforms=1, hidden_features=(4,)),
        zuko.flows.NSF(2, context=3, transforms=1, hidden_features=(4,)),
        RealNVP(3, 2, (4,)),
        OtherShapes(points=3),
        OtherShapes(heights=(1,)),
        InPairs(),
    ],
    ids=["of three", "of a context", "of another D", "other points", "heights with an axis", "pairs"],
)
def test_flows_with_results_of_other_shapes_are_refused(source: nn.Module) -> None:
    with pytest.raises(ValueError, match="density"):
        RLELoss(source)


def test_the_check_does_not_change_the_random_numbers() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    as_density(Own(), 2)
    assert torch.equal(torch.rand(3), expected)


def test_where_a_flow_is_infinite_the_density_decays() -> None:
    class Box(MultivariateNormal):
        """-inf from 4 on."""

        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value).where((value.abs() < 4).all(-1), -math.inf)

    density = DistributionDensity(Box(torch.zeros(2), torch.eye(2)))
    at = torch.tensor([[0.0, 1.0], [6.0, 0.0], [1e4, 0.0]])
    there = -0.5 * torch.tensor([1.0, 2.5**2, 2.5**2]) - math.log(2 * math.pi)
    torch.testing.assert_close(density.log_prob(at), there - torch.tensor([0.0, 3.5, 1e4 - 2.5]))


@pytest.mark.parametrize("source", [MultivariateNormal(torch.zeros(2), torch.eye(2)), Own()], ids=["torch", "own"])
def test_a_density_without_parameters_will_do(source: object) -> None:
    loss = RLELoss(source)  # type: ignore[arg-type]
    mu, sigma = torch.zeros(3, 4, 2, requires_grad=True), torch.full((3, 4, 2), 0.5, requires_grad=True)
    value = loss(mu, sigma, torch.randn(3, 4, 2))
    value.backward()
    assert value.isfinite()
    assert mu.grad is not None
    assert mu.grad.isfinite().all()
