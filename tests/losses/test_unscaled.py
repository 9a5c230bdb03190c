"""RLE with a shortcut that is not divided by sigma."""

from __future__ import annotations

import pytest
import torch

from logpose.flows import RealNVP
from logpose.losses import UnscaledRLELoss


def test_it_is_its_formula() -> None:
    torch.manual_seed(0)
    loss = UnscaledRLELoss(RealNVP(3, hidden=(8,)), shortcut=0.7)
    mu, target, sigma = torch.randn(2, 4, 3), torch.randn(2, 4, 3), torch.rand(2, 4, 3) + 0.1
    weight = torch.tensor([[1.0, 0, 2, 1], [0.5, 1, 1, 0]])
    log_g = loss.flow.log_prob(((target - mu) / sigma).reshape(-1, 3)).view(2, 4)
    nll = sigma.log().sum(dim=-1) - log_g + 0.7 * (target - mu).abs().sum(dim=-1)
    torch.testing.assert_close(loss(mu, sigma, target, weight), (nll * weight).sum() / weight.sum())


def test_the_density_is_that_of_the_flow_alone() -> None:
    torch.manual_seed(0)
    loss = UnscaledRLELoss(RealNVP(3, hidden=(8,)))
    mu, x, sigma = torch.randn(2, 4, 3), torch.randn(2, 4, 3), torch.rand(2, 4, 3) + 0.1
    log_g = loss.flow.log_prob(((x - mu) / sigma).reshape(-1, 3)).view(2, 4)
    torch.testing.assert_close(loss.log_prob(mu, sigma, x), log_g - sigma.log().sum(dim=-1))


def test_l1_reaches_mu_only() -> None:
    torch.manual_seed(0)
    gradients = []
    for shortcut in (0.0, 2.0):
        torch.manual_seed(1)
        loss = UnscaledRLELoss(RealNVP(3, hidden=(8,)), shortcut=shortcut)
        mu, sigma = (torch.rand(1, 5, 3).requires_grad_() for _ in range(2))
        gradients.append(torch.autograd.grad(loss(mu, sigma, torch.ones(1, 5, 3) * 3), (mu, sigma)))
    torch.testing.assert_close(gradients[1][0] - gradients[0][0], torch.full((1, 5, 3), -2 / 5))
    torch.testing.assert_close(gradients[1][1], gradients[0][1])


def test_a_negative_shortcut_is_refused() -> None:
    with pytest.raises(ValueError, match="shortcut"):
        UnscaledRLELoss(shortcut=-1.0)
