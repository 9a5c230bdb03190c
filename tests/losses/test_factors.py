"""A product of densities on the line: learned from each dimension that has a label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from logpose.core.structures import LEVELS
from logpose.losses import FactorsRLELoss, RLELoss


def disturbed(dim: int = 3, **settings: object) -> FactorsRLELoss:
    torch.manual_seed(0)
    loss = FactorsRLELoss(dim, components=4, **settings)
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return loss


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_density_on_the_line_integrates_to_one(symmetric: bool) -> None:
    loss = disturbed(1, symmetric=symmetric).double().eval()
    at = torch.linspace(-60, 60, 60_001, dtype=torch.float64)
    with torch.no_grad():
        log_p = loss.error_log_prob(at[:, None]).numpy()
    assert np.trapezoid(np.exp(log_p), at.numpy()) == pytest.approx(1, abs=0.01)
    assert np.allclose(log_p, log_p[::-1]) is symmetric


def test_the_density_is_the_product_of_its_factors() -> None:
    loss = disturbed(3).eval()
    one = RLELoss(loss.factor.flow, dim=1).eval()
    error = torch.randn(20, 3)
    with torch.no_grad():
        expected = sum(one.error_log_prob(error[:, [d]]) for d in range(3))
        assert torch.allclose(loss.error_log_prob(error), expected, atol=1e-5)
        mu, sigma, x = torch.randn(2, 5, 3), torch.rand(2, 5, 3) + 0.1, torch.randn(2, 5, 3)
        each = [one.error_log_prob(((x - mu) / sigma)[..., d].reshape(-1, 1)).view(2, 5) for d in range(3)]
        expected = sum(each) - sigma.log().sum(dim=-1)
        assert torch.allclose(loss.log_prob(mu, sigma, x), expected, atol=1e-4)


def test_draws_follow_the_density_and_their_dimensions_are_independent() -> None:
    loss = disturbed(2).eval()
    torch.manual_seed(1)
    error, weight = loss.error_draws(20_000)
    assert torch.allclose(weight, torch.tensor(1 / 20_000))
    at = torch.linspace(-30, 30, 30_001)
    with torch.no_grad():
        density = loss.factor.error_log_prob(at[:, None]).exp().numpy()
    below = np.cumsum(density) * 0.002
    for d in range(2):
        levels = np.interp(error[:, d].numpy(), at.numpy(), below)
        assert stats.kstest(levels[::4], "uniform").statistic < 0.03
    assert abs(np.corrcoef(error.T.numpy())[0, 1]) < 0.03


def test_bands_have_their_level() -> None:
    loss = disturbed(2).eval()
    error_distribution = loss.error_distribution()
    at = torch.linspace(-40, 40, 80_001)
    with torch.no_grad():
        density = loss.factor.error_log_prob(at[:, None]).exp().numpy()
    for level in (0.5, 0.9):
        for half in error_distribution.bands_at(level) * error_distribution.std.numpy():
            inside = density[abs(at.numpy()) <= half].sum() * 0.001
            assert inside == pytest.approx(level, abs=0.015)
    assert error_distribution.bands is not None
    assert error_distribution.bands.shape == (len(LEVELS), 2)


def test_a_dimension_without_a_label_is_left_out_alone() -> None:
    loss = disturbed(3).eval()
    mu, sigma, target = torch.randn(2, 4, 3), torch.rand(2, 4, 3) + 0.2, torch.randn(2, 4, 3)
    weight = torch.ones(2, 4)
    target[0, 1, 2], weight[1, 3] = torch.nan, 0
    with torch.no_grad():
        values = torch.stack([loss(mu, sigma, target, weight) for _ in range(400)])  # sides and s are random
        sides = []
        for b, k, d in np.ndindex(2, 4, 3):
            if weight[b, k] and torch.isfinite(target[b, k, d]):
                error = (target[b, k, d] - mu[b, k, d]) / sigma[b, k, d]
                both = torch.stack([error, -error])[:, None]
                log_qg = (loss.factor.q.log_prob(both) + loss.factor.g.log_prob(both)).mean() + loss.factor.log_s()
                sides.append(float(sigma[b, k, d].log() - log_qg))
    assert len(sides) == 20
    assert float(values.mean()) == pytest.approx(3 * np.mean(sides), abs=0.05)


def test_without_labels_the_loss_is_0_and_nan_reaches_no_gradient() -> None:
    loss = disturbed(2)
    mu = torch.zeros(1, 3, 2, requires_grad=True)
    target = torch.full((1, 3, 2), torch.nan)
    value = loss(mu, torch.ones(1, 3, 2), target)
    assert value.item() == 0
    target[0, 0, 1] = 0.5
    loss(mu, torch.ones(1, 3, 2), target).backward()
    assert mu.grad is not None
    assert mu.grad.isfinite().all()
    assert (mu.grad != 0).sum() == 1


def test_it_learns_a_density_that_is_not_laplace() -> None:
    torch.manual_seed(0)
    loss = FactorsRLELoss(2)
    sigma = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([*loss.parameters(), sigma], lr=2e-2)
    true = torch.tensor([0.1, 0.3])
    for _ in range(200):
        label = true * (2 * torch.rand(1, 256, 2) - 1)  # uniform: nothing like Q
        value = loss(torch.zeros(1, 256, 2), sigma.sigmoid().expand(1, 256, 2), label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    loss.eval()
    std = sigma.sigmoid().detach() * loss.error_distribution().std
    assert torch.allclose(std, true / 3**0.5, rtol=0.1)
    label = true * (2 * torch.rand(1, 4000, 2) - 1)
    with torch.no_grad():
        nll = -loss.log_prob(torch.zeros(1, 4000, 2), sigma.sigmoid().expand(1, 4000, 2), label).mean()
    truth = (2 * true).log().sum()
    gaussian = (true / 3**0.5).log().sum() + np.log(2 * np.pi) + 1
    assert truth < nll < truth + 0.6 * (gaussian - truth)
