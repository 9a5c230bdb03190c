"""The density on the line: it integrates to 1, its draws follow it, and every parameter is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from logpose.flows import Density, GaussianMixture, as_density


def disturbed(components: int) -> GaussianMixture:
    torch.manual_seed(components)
    mixture = GaussianMixture(components)
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return mixture.double()


@pytest.mark.parametrize("components", [1, 2, 16])
def test_log_prob_is_a_transcription(components: int) -> None:
    mixture = disturbed(components)
    x = np.linspace(-4, 4, 31)
    weight = np.exp(mixture.logits.detach().numpy())
    weight /= weight.sum()
    scale = np.exp(mixture.log_scale.detach().numpy())
    expected = sum(
        w * stats.norm.pdf(x, m, s) for w, m, s in zip(weight, mixture.mean.detach().numpy(), scale, strict=True)
    )
    with torch.no_grad():
        log_p = mixture.log_prob(torch.from_numpy(x)[:, None])
    np.testing.assert_allclose(log_p.numpy(), np.log(expected), rtol=1e-10)


@pytest.mark.parametrize("components", [1, 5])
def test_it_integrates_to_one_and_draws_follow_it(components: int) -> None:
    mixture = disturbed(components)
    at = torch.linspace(-15, 15, 6001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        density = mixture.log_prob(at).exp().numpy()
    assert np.trapezoid(density, at[:, 0].numpy()) == pytest.approx(1, abs=1e-9)
    draws = mixture.sample(20_000)[:, 0].numpy()
    below = np.interp(
        draws, at[:, 0].numpy(), np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2) * 0.005])
    )
    assert stats.kstest(below, "uniform").pvalue > 1e-3


def test_it_starts_close_to_a_standard_gaussian() -> None:
    mixture = GaussianMixture(16)
    x = torch.linspace(-1.5, 1.5, 13)[:, None]
    np.testing.assert_allclose(mixture.log_prob(x).detach(), stats.norm.logpdf(x[:, 0]), atol=0.1)
    torch.manual_seed(0)
    points = mixture.sample(50_000)
    assert float(points.mean()) == pytest.approx(0, abs=0.02)
    assert float(points.std()) == pytest.approx(1, abs=0.02)


def test_every_parameter_learns() -> None:
    mixture = GaussianMixture(4)
    mixture.log_prob(torch.randn(50, 1)).sum().backward()
    for parameter in mixture.parameters():
        assert parameter.grad is not None
        assert (parameter.grad.abs() > 0).all()


def test_it_is_a_density() -> None:
    mixture = GaussianMixture(3)
    assert isinstance(mixture, Density)
    assert as_density(mixture, 1) is mixture
    assert mixture.sample(0).shape == (0, 1)
    with pytest.raises(ValueError, match="components"):
        GaussianMixture(0)
