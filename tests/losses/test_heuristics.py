"""Training heuristics: gradient reweighting and the scale regulariser change gradients, not the value of the loss."""

from __future__ import annotations

import math

import pytest
import torch
from loss_cases import disturbed

from logpose.losses import RLELoss
from logpose.losses.heuristics import regularise_scale, reweight_gradient


def test_none_of_both() -> None:
    mu, sigma, target = torch.randn(3, 2, 4, 2)
    assert reweight_gradient(mu, sigma.exp(), torch.ones(2, 4), 0.0) is mu
    assert regularise_scale(mu, sigma.exp(), target, torch.ones(2, 4), None) == 0


def test_gradient_reweighting_removes_sigma_from_mu_s_gradient() -> None:
    """Two joints have a tenth of the sigma of two others: under a likelihood their gradient is ten times as large."""
    sigma = torch.tensor([0.02, 0.02, 0.2, 0.2])[None, :, None].expand(1, 4, 2)
    target = sigma * torch.tensor([[[2.0, -1.0]]])  # the same standardised error
    outcomes = {}
    for power in (0.0, 0.5, 1.0):
        loss = RLELoss(disturbed(), gradient_reweighting=power).eval()
        mu, scale = torch.zeros(1, 4, 2, requires_grad=True), sigma.clone().requires_grad_()
        torch.manual_seed(0)
        value = loss(mu, scale, target)
        outcomes[power] = value.detach(), *torch.autograd.grad(value, (mu, scale, *loss.parameters()))
    # Only the gradient of mu differs; times sigma to the power, over the geometric mean of sigmas to that power.
    for power, (value, of_mu, *others) in outcomes.items():
        factor = (sigma / math.sqrt(0.02 * 0.2)) ** power
        torch.testing.assert_close(of_mu, outcomes[0.0][1] * factor)
        torch.testing.assert_close([value, *others], [outcomes[0.0][0], *outcomes[0.0][2:]])
    balanced = outcomes[1.0][1][0]
    torch.testing.assert_close(balanced[0], balanced[3])


@pytest.mark.parametrize(
    ("inside", "pull"), [(24, 1.0), (18, 0.5), (12, 0.0), (3, 0.0)], ids=["all", "three in four", "half", "few"]
)
def test_the_scale_regulariser_lowers_a_sigma_that_is_too_large(inside: int, pull: float) -> None:
    """Of 24 labelled errors `inside` are below log(2) / 4 sigmas in x, and none in y; 24 more have no weight."""
    error = torch.full((2, 24, 2), 0.18)
    error[0, :inside, 0] = -0.17
    error[1] = 0.0
    weight = torch.tensor([2.0, 0.0])[:, None].expand(2, 24)
    mu, target = torch.zeros(2, 24, 2), 0.3 * error
    gradients = []
    for regularised in (True, False):
        loss = RLELoss(disturbed(), symmetric=False)
        if not regularised:
            loss.scale_regulariser = None
        torch.manual_seed(0)
        sigma = torch.full((2, 24, 2), 0.3, requires_grad=True)
        value = loss(mu, sigma, target, weight)
        gradients.append((value.detach(), torch.autograd.grad(value, sigma)[0]))
    (value, regular), (plain, without) = gradients
    assert value == plain, "it is in the gradient alone"
    expected = torch.zeros(2, 24, 2)
    expected[0, :, 0] = pull / 0.3 / 24  # of pull times log sigma, averaged over labelled joints
    torch.testing.assert_close(regular - without, expected)


def test_other_forms_have_no_scale_regulariser() -> None:
    assert RLELoss().scale_regulariser == pytest.approx(math.log(2) / 4)
    for options in ({"convention": "paper"}, {"convention": "released"}, {"mode": "dle"}, {"mode": "basic"}):
        assert RLELoss(**options).scale_regulariser is None
