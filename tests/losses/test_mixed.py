"""RLE in space with depth for some joints only: which density each joint has, and that nothing else has an effect."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from logpose.flows import RealNVP
from logpose.losses import MixedRLELoss, RLELoss

B, K = 4, 6


@pytest.fixture
def loss() -> MixedRLELoss:
    torch.manual_seed(0)
    loss = MixedRLELoss()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return loss.double().eval()


def case() -> tuple[Tensor, Tensor, Tensor]:
    """mu, sigma and labels."""
    generator = torch.Generator().manual_seed(1)
    mu, target, raw = torch.randn(3, B, K, 3, generator=generator, dtype=torch.float64)
    return mu, raw.sigmoid(), target


def log_qg(loss: RLELoss, error: Tensor) -> Tensor:
    """log Q + log G of the `paper` convention, for one error at a time."""
    values = [loss.flow.log_prob(e[None])[0] - (e.abs() + math.log(2)).sum() for e in error.reshape(-1, loss.dim)]
    return torch.stack(values).view(error.shape[:-1])


def seeded(loss: MixedRLELoss, *arguments: Tensor) -> Tensor:
    """The loss with fixed random numbers: s is estimated from new points at every call."""
    torch.manual_seed(0)
    value: Tensor = loss(*arguments)
    return value.detach()


@torch.no_grad()
def test_labelled_dimensions_decide() -> None:
    torch.manual_seed(0)
    loss = MixedRLELoss(RLELoss(dim=3, convention="paper")).double()
    for parameter in loss.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    mu, sigma, target = case()
    weight = torch.zeros(B, K, 3, dtype=torch.float64)
    weight[:2] = 1  # with depth
    weight[2, :, :2] = 0.5  # without
    error = (target - mu) / sigma
    whole = sigma[:2].log().sum(-1) - log_qg(loss.space, error[:2])
    flat = sigma[2, :, :2].log().sum(-1) - log_qg(loss.plane, error[2, :, :2])
    expected = (whole.sum() + 0.5 * flat.sum()) / (2 * K + 0.5 * K)
    torch.testing.assert_close(loss(mu, sigma, target, weight), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("convention", ["normalized", "paper", "released"])
def test_labels_without_weight_have_no_effect(convention: str) -> None:
    torch.manual_seed(0)
    loss = MixedRLELoss(RLELoss(dim=3, convention=convention)).double().eval()
    mu, sigma, target = (t.requires_grad_() for t in case())
    weight = torch.ones(B, K, 3, dtype=torch.float64)
    weight[:, ::2, 2] = 0
    weight[:, 1] = 0
    garbage = torch.where(weight > 0, target, float("nan")).detach()
    with torch.no_grad():
        torch.testing.assert_close(seeded(loss, mu, sigma, garbage, weight), seeded(loss, mu, sigma, target, weight))
    value = loss(mu, sigma, garbage, weight)
    inputs = (mu, sigma)
    for gradient in torch.autograd.grad(value, [*inputs, *loss.parameters()]):
        assert gradient.isfinite().all()
    for gradient in torch.autograd.grad(loss(mu, sigma, garbage, weight), inputs):
        assert (gradient[weight == 0] == 0).all()
        assert (gradient[:, ::2, :2] != 0).all()


@torch.no_grad()
def test_labels_that_are_not_finite_have_no_depth(loss: MixedRLELoss) -> None:
    """A weight per joint, and NaN for unknown depth, are the same as a weight per dimension."""
    mu, sigma, target = case()
    weight = torch.ones(B, K, 3, dtype=torch.float64)
    weight[1:, :, 2] = 0
    marked = torch.where(weight > 0, target, math.nan)
    expected = seeded(loss, mu, sigma, target, weight)
    torch.testing.assert_close(seeded(loss, mu, sigma, marked, torch.ones(B, K, dtype=torch.float64)), expected)
    torch.testing.assert_close(seeded(loss, mu, sigma, marked), expected)


def test_without_labels_the_loss_is_0(loss: MixedRLELoss) -> None:
    mu, sigma, target = case()
    assert float(loss(mu, sigma, target, torch.zeros(B, K, 3)).detach()) == 0
    assert float(loss(mu[:0], sigma[:0], target[:0]).detach()) == 0


def test_the_predictive_distribution_is_that_of_space(loss: MixedRLELoss) -> None:
    mu, sigma, target = case()
    torch.testing.assert_close(loss.log_prob(mu, sigma, target), loss.space.log_prob(mu, sigma, target))
    torch.testing.assert_close(loss.error_distribution().std, loss.space.error_distribution().std)
    assert loss.distribution(mu, sigma).sample(3).shape == (3, B, K, 3)


def test_losses_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="dimensions"):
        MixedRLELoss(RLELoss(dim=2), RLELoss(dim=2))
    for other in (
        {"convention": "paper"},
        {"base": "gaussian"},
        {"symmetric": False},
        {"gradient_reweighting": 0.5},
        {"mode": "dle"},
    ):
        with pytest.raises(ValueError, match="alike"):
            MixedRLELoss(RLELoss(dim=3), RLELoss(**other))
        assert vars(MixedRLELoss(RLELoss(dim=3, **other)).plane).items() >= other.items()


def test_both_flows_learn() -> None:
    torch.manual_seed(0)
    loss = MixedRLELoss(RLELoss(RealNVP(3, 2, (8,)), dim=3), RLELoss(RealNVP(2, 2, (8,))))
    mu, sigma, target = (t.float() for t in case())
    weight = torch.ones(B, K, 3)
    weight[::2, :, 2] = 0
    loss(mu, sigma, target, weight).backward()
    for part in (loss.space, loss.plane):
        assert any(p.grad.abs().sum() > 0 for p in part.parameters())
