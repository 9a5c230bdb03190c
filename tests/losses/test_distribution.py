"""The predictive distribution: density, draws, moments and regions agree with each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import LOSSES
from scipy import stats
from torch import Tensor

from logpose.core.structures import LEVELS
from logpose.losses import L2Loss, Laplace, LikelihoodLoss
from logpose.losses.distribution import moments_and_radii, weighted_quantile

B, K = 4, 6


# Those with a density of standardised errors of their own, as soon as they are made.
DENSITIES = {name: make for name, make in LOSSES.items() if name not in ("L1Loss", "L2Loss", "basic")}
every_density = pytest.mark.parametrize("make", DENSITIES.values(), ids=DENSITIES.keys())


def case(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mu, target, raw = torch.randn(3, B, K, 2, generator=generator, dtype=dtype)
    return 0.3 * mu, raw.sigmoid(), 0.3 * target


@every_density
def test_distribution_agrees_with_itself(make: Callable) -> None:
    loss = make().eval()
    mu, sigma, target = (t[:1, :2] for t in case())
    predicted = loss.distribution(mu, sigma)
    torch.testing.assert_close(predicted.log_prob(target), loss.log_prob(mu, sigma, target))
    torch.manual_seed(0)
    points = predicted.sample(10_000)
    assert points.shape == (10_000, 1, 2, 2)
    torch.testing.assert_close((points.std(dim=0) / predicted.std), torch.ones(1, 2, 2), atol=0.03, rtol=0)
    torch.testing.assert_close(
        (points.mean(dim=0) - predicted.mean) / predicted.std, torch.zeros(1, 2, 2), atol=0.04, rtol=0
    )
    wide = loss.distribution(*(t.repeat(10_000, 1, 1) for t in (mu, sigma)))
    for level in (0.05, 0.5, 0.9):
        inside = wide.region(level).contains(points[:, 0]).float().mean()
        assert float(inside) == pytest.approx(level, abs=0.02)


@every_density
def test_moments_and_radii_against_numeric_integration(make: Callable) -> None:
    loss = make().eval()
    axis = torch.linspace(-12, 12, 321)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = loss.error_log_prob(grid).exp() * (axis[1] - axis[0]) ** 2
    assert float(mass.sum()) == pytest.approx(1, abs=0.012)
    mass = mass / mass.sum()
    mean = mass @ grid
    std = (mass @ (grid - mean) ** 2).sqrt()
    error_distribution = loss.error_distribution()
    torch.testing.assert_close(error_distribution.std, std, rtol=0.015, atol=0)
    torch.testing.assert_close(error_distribution.mean / std, mean / std, rtol=0, atol=0.015)
    radius = ((grid - mean) / std).square().sum(dim=-1).sqrt()
    for level, limit in zip(LEVELS, error_distribution.radius.tolist(), strict=True):
        assert float(mass[radius <= limit].sum()) == pytest.approx(level, abs=0.02)


@every_density
def test_regions_are_the_smallest_of_their_level(make: Callable) -> None:
    # Mass in order of density is what a highest-density region takes in.
    loss = make().eval()
    axis = torch.linspace(-10, 10, 201)
    grid = torch.cartesian_prod(axis, axis)
    predicted = loss.distribution(torch.zeros(1, len(grid), 2), torch.ones(1, len(grid), 2))
    density = predicted.log_prob(grid[None])[0].detach().exp()
    for level in (0.5, 0.9):
        inside = predicted.region(level).contains(grid[None])[0]
        assert density[inside].min() >= density[~inside].max()
        assert float(density[inside].sum() / density.sum()) == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0])
def test_levels_are_probabilities(level: float) -> None:
    predicted = Laplace().distribution(torch.zeros(1, 1, 2), torch.ones(1, 1, 2))
    with pytest.raises(ValueError, match="level"):
        predicted.region(level)


def test_a_constant_scale_does_not_depend_on_sigma() -> None:
    loss = L2Loss()
    loss.moment.copy_(torch.tensor([0.04, 0.25]))
    mu, sigma, target = case()
    predicted = loss.eval().distribution(mu, sigma)
    expected = stats.norm.logpdf(target, loc=mu, scale=np.sqrt([0.04, 0.25])).sum(axis=-1)
    np.testing.assert_allclose(predicted.log_prob(target), expected, rtol=1e-4)
    np.testing.assert_allclose(
        predicted.sample(2000).std(dim=(0, 1, 2), correction=0),
        (mu.std(dim=(0, 1), correction=0) ** 2 + torch.tensor([0.04, 0.25])).sqrt(),
        rtol=0.03,
    )


@every_density
def test_it_does_not_change_the_random_numbers(make: Callable) -> None:
    loss = make().eval()
    mu, sigma, target = case()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = loss.error_distribution()
    loss.log_prob(mu, sigma, target)
    loss.distribution(mu, sigma).region(0.5)
    assert torch.equal(torch.rand(4), expected)
    torch.manual_seed(4)
    second = loss.error_distribution()
    assert torch.equal(first.std, second.std)
    assert torch.equal(first.radius, second.radius)


def test_draws_of_many_joints_are_not_the_same_draws() -> None:
    predicted = Laplace().distribution(torch.zeros(2, 3, 2), torch.ones(2, 3, 2))
    torch.manual_seed(0)
    points = predicted.sample(4000).flatten(1).T.numpy()
    correlation = np.corrcoef(points) - np.eye(12)
    assert np.abs(correlation).max() < 0.08
    assert predicted.sample(1).shape == (1, 2, 3, 2)


def test_a_large_sample_is_drawn_in_parts() -> None:
    torch.manual_seed(0)
    predicted = Laplace().distribution(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.5))
    points = predicted.sample(300_000)
    assert points.shape == (300_000, 1, 2, 2)
    torch.testing.assert_close(points.std(dim=(0, 1, 2)), torch.full((2,), 0.5 * math.sqrt(2)), rtol=0.01, atol=0)
    assert predicted.sample(0).shape == (0, 1, 2, 2)


@pytest.mark.parametrize("name", DENSITIES)
def test_impossible_labels_have_a_finite_density(name: str) -> None:
    loss = LOSSES[name]().eval()
    mu, sigma, x = case()
    with torch.no_grad():
        assert loss.log_prob(mu, 0 * sigma, mu).isfinite().all()
        assert loss.log_prob(mu, sigma, x + 1e30).isfinite().all()
        half = [t.bfloat16() for t in (mu, sigma, x)]
        inside = loss.distribution(*half[:2]).region(0.5).contains(half[2])
    assert inside.shape == mu.shape[:2]


def test_the_mean_of_a_density_of_the_user_s_own() -> None:
    class Exponential(LikelihoodLoss):
        def error_log_prob(self, error: Tensor) -> Tensor:
            return -error.sum(dim=-1)

        def error_draws(self, count: int) -> tuple[Tensor, Tensor]:
            return torch.empty(count, 2).exponential_(), torch.full((count,), 1 / count)

    error_distribution = Exponential().error_distribution()
    torch.testing.assert_close(error_distribution.mean, torch.ones(2), atol=0.03, rtol=0)
    torch.testing.assert_close(error_distribution.std, torch.ones(2), atol=0.03, rtol=0)


@every_density
def test_several_positions_at_once(make: Callable) -> None:
    mu, sigma, _ = case()
    predicted = make().eval().distribution(mu, sigma)
    points = predicted.sample(3)
    assert torch.equal(predicted.log_prob(points), torch.stack([predicted.log_prob(positions) for positions in points]))
    region = predicted.region(0.5)
    assert torch.equal(region.contains(points), torch.stack([region.contains(positions) for positions in points]))


def test_few_draws_with_weight_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    error, weight = torch.randn(1000, 2), torch.zeros(1000)
    weight[:100] = 0.01
    moments_and_radii(error, torch.full((1000,), 1e-3), False, "Mine")
    assert not caplog.records
    moments_and_radii(error, weight, False, "Mine")
    assert "Mine" in caplog.text


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 5)), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_weighted_quantile_is_that_of_repeated_values(rows: list[tuple[int, int]], level: float) -> None:
    repeated = sorted(value for value, times in rows for _ in range(times))
    if not repeated:
        return
    # The smallest value with at least the wanted share at or below it.
    place = math.ceil(round(level * len(repeated), 9)) - 1
    if abs(level * len(repeated) - round(level * len(repeated))) < 1e-6:
        return  # on the step itself rounding decides
    values, weight = torch.tensor(rows, dtype=torch.float64).T
    assert float(weighted_quantile(values, weight, (level,))[0]) == repeated[place]


def test_weighted_quantiles_of_a_gaussian() -> None:
    values = torch.linspace(-6, 6, 20_001)
    weight = torch.from_numpy(stats.norm.pdf(values.numpy())).float()
    levels = (0.025, 0.5, 0.9, 0.975)
    quantiles = weighted_quantile(values, weight, levels)
    np.testing.assert_allclose(quantiles, stats.norm.ppf(levels), atol=2e-3)
