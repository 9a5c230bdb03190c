"""The density on the line is one: it integrates to 1, its draws follow it, and it can learn any law."""

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
        found = mixture.log_prob(torch.from_numpy(x)[:, None])
    np.testing.assert_allclose(found.numpy(), np.log(expected), rtol=1e-10)


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


def test_it_begins_near_a_standard_gaussian() -> None:
    draws = GaussianMixture(16)
    x = torch.linspace(-1.5, 1.5, 13)[:, None]
    np.testing.assert_allclose(draws.log_prob(x).detach(), stats.norm.logpdf(x[:, 0]), atol=0.1)
    torch.manual_seed(0)
    drawn = draws.sample(50_000)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)


def test_every_parameter_learns() -> None:
    mixture = GaussianMixture(4)
    mixture.log_prob(torch.randn(50, 1)).sum().backward()
    for parameter in mixture.parameters():
        assert parameter.grad is not None
        assert (parameter.grad.abs() > 0).all()


def test_it_is_a_density_that_can_be_made_again() -> None:
    mixture = GaussianMixture(3)
    assert isinstance(mixture, Density)
    assert as_density(mixture, 1) is mixture
    assert len(GaussianMixture(**mixture.config()).mean) == 3
    assert mixture.sample(0).shape == (0, 1)
    with pytest.raises(ValueError, match="a component or more, got 0"):
        GaussianMixture(0)
