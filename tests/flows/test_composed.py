"""Composed densities: their formulas, that they integrate to one, and finite gradients far out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from logpose.flows import GaussianMixture, SimpleDensity
from logpose.flows.composed import Clamped, LogDensity, Mirrored, Mixture, Symmetric

AT = torch.linspace(-40, 40, 80_001, dtype=torch.float64)[:, None]
Q = SimpleDensity("laplace", 1, 2.0)


class Shifted:
    """A Gaussian around 1."""

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(stats.norm(1).logpdf(x.detach().numpy())).sum(dim=-1)

    def sample(self, count: int) -> torch.Tensor:
        return torch.ones(count, 1)


@pytest.mark.parametrize(
    "density",
    [Mixture(Shifted(), Q, 0.25), Mirrored(Shifted()), Symmetric(Shifted()), Symmetric(Mixture(Shifted(), Q, 0.25))],
)
def test_it_integrates_to_one(density: LogDensity) -> None:
    assert float(torch.trapezoid(density.log_prob(AT).exp(), AT[:, 0])) == pytest.approx(1, abs=1e-6)


def test_formulas_by_scipy() -> None:
    x = AT[::1000].numpy()[:, 0]
    forwards, backwards, laplace = stats.norm(1).pdf(x), stats.norm(1).pdf(-x), stats.laplace(0, 2).pdf(x)
    for density, expected in (
        (Mixture(Shifted(), Q, 0.25), 0.75 * forwards + 0.25 * laplace),
        (Mirrored(Shifted()), backwards),
        (Symmetric(Shifted()), (forwards + backwards) / 2),
    ):
        np.testing.assert_allclose(density.log_prob(AT[::1000]).exp(), expected, rtol=1e-9, atol=1e-300)
    assert (Mirrored(Shifted()).sample(3) == -1).all()


@pytest.mark.parametrize("slope", [0.0, 1.5])
def test_a_clamped_density_is_itself_within_and_falls_by_its_slope_beyond(slope: float) -> None:
    flow = GaussianMixture(3).double()
    density = Clamped(flow, 2.0, slope)
    x = torch.tensor([[-1.9], [0.3], [2.0], [5.0], [-1e30]], dtype=torch.float64, requires_grad=True)
    log_p = density.log_prob(x)
    assert log_p[:3].equal(flow.log_prob(x[:3]))
    assert float(log_p[3].detach()) == pytest.approx(float(flow.log_prob(x[2:3]).detach()) - 3 * slope)
    log_p.sum().backward()
    assert x.grad is not None
    assert x.grad[3:, 0].tolist() == [-slope, slope]
