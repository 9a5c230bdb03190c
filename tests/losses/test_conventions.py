"""The formulas of other codes, transcribed term by term from their description (FACTS §1.4, 1.5, 1.7)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from logpose.flows import RealNVP
from logpose.losses import MixedRLELoss, RLELoss

B, K = 5, 17


@pytest.fixture
def flow() -> RealNVP:
    torch.manual_seed(0)
    flow = RealNVP(2)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return flow.double()


def case(unlabelled: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mu, sigma, labels and weights of a batch."""
    generator = torch.Generator().manual_seed(1)
    mu, target, raw = 0.3 * torch.randn(3, B, K, 2, generator=generator, dtype=torch.float64)
    weight = (torch.rand(B, K, generator=generator) >= unlabelled).double()
    return mu, (3 * raw).sigmoid(), target, weight


def released(flow: RealNVP, mu: Tensor, sigma: Tensor, target: Tensor, weight: Tensor, residual: bool) -> Tensor:
    """`RegressFlow` and `RLELoss` of the released code: gt_uv, bar_mu = (pred - gt) / sigma, nf_loss, Q_logprob."""
    weight = weight[..., None].expand_as(mu)
    bar_mu = (mu - target) / sigma
    log_phi = flow.log_prob(bar_mu.reshape(-1, 2)).reshape(len(mu), K, 1)
    nf_loss = (torch.log(sigma) - log_phi) * weight[:, :, :1]
    if residual:
        amp = 1 / math.sqrt(2 * math.pi)
        q = torch.log(sigma / amp) + torch.abs(target - mu) / (math.sqrt(2) * sigma + 1e-9)
        nf_loss = nf_loss + q * weight
    return nf_loss.sum() / len(mu)


def mmpose(
    flow: RealNVP, mu: Tensor, sigma: Tensor, target: Tensor, weight: Tensor, residual: bool, q: str = "laplace"
) -> Tensor:
    """mmpose's `RLELoss.forward`."""
    error = (mu - target) / (sigma + 1e-9)
    log_phi = flow.log_prob(error.reshape(-1, 2)).reshape(len(mu), K, 1)
    loss = torch.log(sigma) - log_phi
    if residual and q == "laplace":
        loss = loss + torch.log(sigma * 2) + torch.abs(error)
    elif residual:
        loss = loss + torch.log(sigma * math.sqrt(2 * math.pi)) + 0.5 * error**2
    return (loss * weight[..., None]).sum() / len(mu)


def eq8(flow: RealNVP, mu: Tensor, sigma: Tensor, target: Tensor, width: float) -> Tensor:
    """Eq. 8 of one batch with Q = Laplace of scale `width`, constants of Q and s left out: one value per image."""
    error = (target - mu) / sigma
    log_g = flow.log_prob(-error.reshape(-1, 2)).reshape(len(mu), K)
    return (sigma.log().sum(-1) + error.abs().sum(-1) / width - log_g).sum(dim=1)


@pytest.mark.parametrize("unlabelled", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("mode", ["rle", "dle"])
def test_released(flow: RealNVP, mode: str, unlabelled: float) -> None:
    mu, sigma, target, weight = case(unlabelled)
    expected = released(flow, mu, sigma, target, weight, residual=mode == "rle")
    loss = RLELoss(flow, convention="released", mode=mode)
    torch.testing.assert_close(loss(mu, sigma, target, weight), expected, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("unlabelled", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("mode", "base"), [("rle", "laplace"), ("rle", "gaussian"), ("dle", "laplace")])
def test_mmpose(flow: RealNVP, mode: str, base: str, unlabelled: float) -> None:
    mu, sigma, target, weight = case(unlabelled)
    expected = mmpose(flow, mu, sigma, target, weight, mode == "rle", base)
    loss = RLELoss(flow, base=base, convention="mmpose", mode=mode)
    torch.testing.assert_close(loss(mu, sigma, target, weight), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("convention", ["released", "mmpose"])
def test_gradients_are_the_codes_too(flow: RealNVP, convention: str) -> None:
    mu, sigma, target, weight = case(0.3)
    theirs, ours = [], []
    for gradients in (theirs, ours):
        inputs = mu.clone().requires_grad_(), sigma.clone().requires_grad_()
        code = released if convention == "released" else mmpose
        if gradients is theirs:
            value = code(flow, *inputs, target, weight, True)
        else:
            value = RLELoss(flow, convention=convention)(*inputs, target, weight)
        gradients += torch.autograd.grad(value, [*inputs, *flow.parameters()])
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("convention", "width", "constant"),
    [
        ("released", 2 * math.sqrt(2), 2 * K * math.log(math.sqrt(2 * math.pi))),
        ("mmpose", 2.0, 2 * K * math.log(2)),
    ],
)
def test_it_is_twice_equation_8(flow: RealNVP, convention: str, width: float, constant: float) -> None:
    mu, sigma, target, weight = case()
    loss = RLELoss(flow, convention=convention)(mu, sigma, target, weight)
    expected = (2 * eq8(flow, mu, sigma, target, width) + constant).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-7, atol=1e-6)
    assert RLELoss(flow, convention=convention).q_scale() == pytest.approx(width)


def test_it_is_divided_by_images_not_by_joints(flow: RealNVP) -> None:
    mu, sigma, target, weight = case()
    loss = RLELoss(flow, convention="released")
    whole = loss(mu, sigma, target, weight)
    one_by_one = [loss(*(t[i : i + 1] for t in (mu, sigma, target, weight))) for i in range(B)]
    torch.testing.assert_close(whole, torch.stack(one_by_one).mean())
    weight[:, :10] = 0
    ten_fewer = loss(mu, sigma, target, weight)
    rest = loss(mu, sigma, target, 1 - weight)
    torch.testing.assert_close(ten_fewer + rest, whole)


def test_the_loss_of_an_empty_batch_is_0(flow: RealNVP) -> None:
    none = torch.zeros(0, K, 2, dtype=torch.float64)
    value = RLELoss(flow, convention="released")(none, none, none)
    assert float(value.detach()) == 0


# In space


def disturbed(dim: int) -> RealNVP:
    torch.manual_seed(dim)
    flow = RealNVP(dim)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return flow.double()


def released_3d(flow2d: RealNVP, flow3d: RealNVP, mu: Tensor, sigma: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """`RegressFlow3D` and `RLELoss3D` of the released code, joint by joint: weight (B, K, 3), 0 or 1."""
    total = mu.new_zeros(())
    for b in range(len(mu)):
        for k in range(mu.shape[1]):
            bar_mu = (mu[b, k] - target[b, k]) / sigma[b, k]
            log_phi = flow3d.log_prob(bar_mu[None]) if weight[b, k, 2] > 0 else flow2d.log_prob(bar_mu[None, :2])
            nf = (torch.log(sigma[b, k]) - log_phi) * weight[b, k]
            q = torch.log(sigma[b, k] * math.sqrt(2 * math.pi)) + bar_mu.abs() / math.sqrt(2)
            total = total + (nf + q * weight[b, k]).sum()
    return total / len(mu)


def case_3d() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch of which a third has depth, a third a position in the image, a third no label."""
    generator = torch.Generator().manual_seed(4)
    mu, target, raw = 0.3 * torch.randn(3, B, K, 3, generator=generator, dtype=torch.float64)
    weight = torch.tensor([(1.0, 1, 1), (1, 1, 0), (0, 0, 0)]).double()
    weight = weight[torch.randint(0, 3, (B, K), generator=generator)]
    return mu, (3 * raw).sigmoid(), target, weight


def test_released_in_space() -> None:
    mu, sigma, target, weight = case_3d()
    flow2d, flow3d = disturbed(2), disturbed(3)
    expected = released_3d(flow2d, flow3d, mu, sigma, target, weight)
    space = RLELoss(flow3d, dim=3, convention="released")
    loss = MixedRLELoss(space, RLELoss(flow2d, convention="released"))
    nowhere = torch.where(weight > 0, target, float("nan"))
    for labels in (target, nowhere):
        torch.testing.assert_close(loss(mu, sigma, labels, weight), expected, rtol=1e-7, atol=1e-6)
    # Where all joints have depth, the loss in space is enough.
    everywhere = torch.ones_like(weight)
    expected = released_3d(flow2d, flow3d, mu, sigma, target, everywhere)
    torch.testing.assert_close(space(mu, sigma, target, everywhere), expected, rtol=1e-7, atol=1e-6)


def test_in_space_log_sigma_is_short_of_a_likelihoods() -> None:
    """Three times Eq. 8 with the equivalent width would have 3 log sigma per dimension; the code has 2."""
    mu, sigma, target, _ = case_3d()
    flow = disturbed(3)
    error = (target - mu) / sigma
    width = RLELoss(flow, dim=3, convention="released").q_scale()
    log_g = flow.log_prob(-error.reshape(-1, 3)).reshape(B, K)
    eq_8 = (sigma.log().sum(-1) + error.abs().sum(-1) / width - log_g).sum(dim=1)
    constant = 3 * K * math.log(math.sqrt(2 * math.pi))
    expected = (3 * eq_8 - sigma.log().sum((1, 2)) + constant).mean()
    loss = RLELoss(flow, dim=3, convention="released")(mu, sigma, target)
    torch.testing.assert_close(loss, expected, rtol=1e-7, atol=1e-6)
