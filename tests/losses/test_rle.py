"""Eq. 7 and 8: a density that integrates to one, its constant s, the three modes, and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_cases import disturbed
from scipy import stats
from torch import Tensor, nn

from logpose.flows import RealNVP
from logpose.losses import RLELoss

BASES = {"laplace": stats.laplace, "gaussian": stats.norm}
bases = pytest.mark.parametrize("base", BASES)


def identity(dim: int = 2) -> RealNVP:
    flow = RealNVP(dim, hidden=(4,))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
    return flow


def case(dim: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mu, target, raw = 0.3 * torch.randn(3, 4, 6, dim, generator=generator, dtype=torch.float64)
    return mu, (3 * raw).sigmoid(), target


def plane(reach: float = 14.0, count: int = 281) -> tuple[Tensor, float]:
    """Points of a square and the area of each; 0 is among them, where a Laplace density has its tip."""
    axis = torch.linspace(-reach, reach, count, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis), float(axis[1] - axis[0]) ** 2


def log_product(
    flow: RealNVP, base: str, error: Tensor, width: float = 1.0, normalized: bool = False, one_sided: bool = False
) -> np.ndarray:
    """log Q + log G of points, in float64, without the code under test but for the flow itself.

    The Q of `normalized` is twice as wide, its G 1023 parts of the flow made symmetric (in training of one side of it)
    and one of Q.
    """
    width *= 2 if normalized or one_sided else 1
    q = BASES[base].logpdf(error.numpy(), scale=width).sum(axis=-1)
    with torch.no_grad():
        g = flow.log_prob(error).numpy()
        if normalized:
            g = np.logaddexp(g, flow.log_prob(-error).numpy()) - math.log(2)
        if normalized or one_sided:
            g = np.logaddexp(g + math.log(1023 / 1024), q + math.log(1 / 1024))
    return q + g


# The formulas


@bases
@pytest.mark.parametrize("dim", [2, 3])
def test_paper_is_equation_8_without_s(base: str, dim: int) -> None:
    mu, sigma, target = case(dim)
    flow = disturbed(dim=dim).double()
    error = ((target - mu) / sigma).reshape(-1, dim)
    weight = torch.tensor([[1.0, 0, 1, 0.5, 1, 1]] * 4)
    each = sigma.log().sum(dim=-1).numpy() - log_product(flow, base, error).reshape(4, 6)
    loss = RLELoss(flow, dim, base, "paper")
    assert float(loss(mu, sigma, target, weight).detach()) == pytest.approx(np.average(each, weights=weight), rel=1e-9)
    for training in (True, False):
        assert float(loss.train(training)(mu, sigma, target).detach()) == pytest.approx(each.mean(), rel=1e-9)


@pytest.mark.usefixtures("unchecked")
@bases
def test_normalized_is_equation_8_with_s_and_a_symmetric_flow(base: str) -> None:
    mu, sigma, target = case()
    flow = disturbed().double()
    points, area = plane()
    log_s = -math.log(np.exp(log_product(flow, base, points, normalized=True)).sum() * area)
    error = ((target - mu) / sigma).reshape(-1, 2)
    each = sigma.log().sum(dim=-1).numpy() - log_product(flow, base, error, normalized=True).reshape(4, 6) - log_s
    loss = RLELoss(flow, base=base)
    with torch.no_grad():
        assert float(-loss.log_prob(mu, sigma, target).mean()) == pytest.approx(each.mean(), abs=0.01)
    # In training s is a new estimate each time, of a random side of each error.
    sides = np.stack([log_product(flow, base, side, one_sided=True).reshape(4, 6) for side in (error, -error)])
    expected = (sigma.log().sum(dim=-1).numpy() - sides.mean(axis=0) - log_s).mean()
    torch.manual_seed(0)
    values = torch.stack([loss.train()(mu, sigma, target).detach() for _ in range(400)])
    assert values.std() > 1e-3
    assert float(values.mean()) == pytest.approx(expected, abs=0.01)
    assert expected > each.mean() + 0.02, "the two sides are alike: the test could not fail"


@pytest.mark.parametrize("convention", ["normalized", "paper"])
def test_dle_is_equation_5(convention: str) -> None:
    mu, sigma, target = case()
    flow = disturbed().double()
    with torch.no_grad():
        log_g = flow.log_prob(((target - mu) / sigma).reshape(-1, 2)).reshape(4, 6)
    expected = (sigma.log().sum(dim=-1) - log_g).mean()
    loss = RLELoss(flow, convention=convention, mode="dle")
    torch.testing.assert_close(loss(mu, sigma, target).detach(), expected)


def test_basic_is_equation_4() -> None:
    mu, sigma, target = case()
    flow = disturbed().double()
    with torch.no_grad():
        z, log_det = flow.inverse(target.reshape(-1, 2))
    log_p = stats.norm.logpdf(z.reshape(4, 6, 2), mu, sigma).sum(axis=-1) + log_det.numpy().reshape(4, 6)
    loss = RLELoss(flow, mode="basic")
    assert float(loss(mu, sigma, target).detach()) == pytest.approx(-log_p.mean())


@pytest.mark.parametrize("convention", ["normalized", "released"])
def test_dle_has_a_gradient_far_out(convention: str) -> None:
    """Beyond 1e4 sigmas the flow is not evaluated: mu still moves towards the label, and sigma grows."""
    torch.manual_seed(0)
    loss = RLELoss(convention=convention, mode="dle")
    mu, raw = torch.ones(64, 1, 2, requires_grad=True), torch.full((64, 1, 2), -13.0, requires_grad=True)
    loss(mu, raw.sigmoid(), 0.1 * torch.randn(64, 1, 2)).backward()
    assert mu.grad is not None
    assert raw.grad is not None
    assert (mu.grad > 0).all()
    assert (raw.grad < 0).all()


# A density


@bases
@pytest.mark.parametrize(("seed", "amount"), [(0, 0.0), (1, 0.2), (2, 0.35)])
def test_it_integrates_to_one_is_symmetric_and_centred(base: str, seed: int, amount: float) -> None:
    loss = RLELoss(disturbed(seed, amount), base=base).eval()
    points, area = plane()
    points = points.float()
    with torch.no_grad():
        log_p = loss.error_log_prob(points)
        mass = log_p.double().exp() * area
        torch.testing.assert_close(loss.error_log_prob(-points), log_p)
    assert float(mass.sum()) == pytest.approx(1, abs=0.015)
    assert (mass @ points.double()).abs().max() < 1e-3


def test_a_skewed_density_is_one_too_and_reported_at_its_mean() -> None:
    loss = RLELoss(disturbed(4, 0.35), symmetric=False).eval()
    points, area = plane()
    with torch.no_grad():
        mass = loss.error_log_prob(points.float()).double().exp() * area
    assert float(mass.sum()) == pytest.approx(1, abs=0.015)
    mean = mass @ points
    assert mean.abs().max() > 0.1
    torch.testing.assert_close(loss.error_distribution().mean.double(), mean, atol=0.03, rtol=0)


@pytest.mark.parametrize("convention", ["paper", "released", "mmpose"])
def test_so_do_the_densities_of_other_conventions(convention: str) -> None:
    loss = RLELoss(disturbed(), convention=convention).eval()
    points, area = plane()
    with torch.no_grad():
        assert float(loss.error_log_prob(points.float()).exp().sum() * area) == pytest.approx(1, abs=0.015)


def test_the_density_of_a_position_integrates_to_one() -> None:
    loss = RLELoss(disturbed()).eval()
    axis = torch.linspace(-1.5, 1.5, 301)
    x = torch.cartesian_prod(axis, axis)[None]
    mu = torch.tensor([0.1, -0.2]).expand_as(x)
    sigma = torch.tensor([0.05, 0.2]).expand_as(x)
    with torch.no_grad():
        mass = loss.log_prob(mu, sigma, x)[0].exp() * (axis[1] - axis[0]) ** 2
    assert float(mass.sum()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(mass @ x[0], torch.tensor([0.1, -0.2]), atol=4e-3, rtol=0)


def test_basic_integrates_to_one_over_positions() -> None:
    loss = RLELoss(disturbed(amount=0.3), mode="basic").eval()
    axis = torch.linspace(-6, 6, 301)
    x = torch.cartesian_prod(axis, axis)[None]
    with torch.no_grad():
        log_p = loss.log_prob(torch.full_like(x, 0.3), torch.full_like(x, 0.5), x)
    assert float(log_p.exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=0.01)


def test_in_basic_mode_errors_have_no_density() -> None:
    loss = RLELoss(mode="basic").eval()
    error_distribution = loss.error_distribution()
    assert error_distribution.std.isnan().all()
    assert error_distribution.radius.isnan().all()
    with pytest.raises(NotImplementedError, match="basic"):
        loss.distribution(torch.zeros(1, 1, 2), torch.ones(1, 1, 2)).sample(10)


# s


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("convention", "base", "product", "square"),
    [
        ("paper", "laplace", 1 / 14.61493, 0.0),
        ("paper", "gaussian", 0.25 / math.pi, 0.0),
        ("normalized", "laplace", (math.exp(0.125) / 2 * stats.norm.cdf(-0.5)) ** 2, 1 / 64),
        ("normalized", "gaussian", 0.1 / math.pi, 1 / 16 / math.pi),
    ],
)
def test_s_of_the_identity(convention: str, base: str, product: float, square: float) -> None:
    """Of integrals in closed form: of Q times N(0, I), and of Q², which has a part in the G of `normalized`."""
    s = 1 / (product if convention == "paper" else (1023 * product + square) / 1024)
    torch.manual_seed(0)
    loss = RLELoss(identity(), base=base, convention=convention)
    assert float(loss.log_s().detach().exp()) == pytest.approx(s, rel=0.01)
    # 1 / s is what is estimated without bias, however few the points.
    few = torch.stack([loss.log_s(64).detach() for _ in range(500)])
    assert float((-few).exp().mean()) == pytest.approx(1 / s, rel=0.015)


@pytest.mark.parametrize(
    ("convention", "base", "width"),
    [("released", "laplace", 2 * math.sqrt(2)), ("mmpose", "laplace", 2.0), ("mmpose", "gaussian", math.sqrt(2))],
)
def test_s_of_the_other_conventions(convention: str, base: str, width: float) -> None:
    flow = disturbed(3).double()
    points, area = plane()
    # Both codes ask the flow for minus the error.
    integral = np.exp(log_product(flow, base, -points, width)).sum() * area
    torch.manual_seed(0)
    loss = RLELoss(flow, base=base, convention=convention)
    assert float(loss.log_s().detach()) == pytest.approx(-math.log(integral), abs=0.015)


class Scaled(nn.Module):
    """G = N(0, tau² I): with a Gaussian Q everything about s is known."""

    def __init__(self, tau: float) -> None:
        super().__init__()
        self.log_tau = nn.Parameter(torch.tensor(math.log(tau)))

    def log_prob(self, x: Tensor, /) -> Tensor:
        z = x / self.log_tau.exp()
        return -0.5 * z.square().sum(dim=-1) - x.shape[-1] * (self.log_tau + 0.5 * math.log(2 * math.pi))

    def sample(self, count: int, /) -> Tensor:
        return self.log_tau.exp() * torch.randn(count, 2)


@pytest.mark.parametrize("tau", [0.2, 1.0, 3.0])
def test_s_and_its_gradient_against_the_closed_form(tau: float) -> None:
    # ∫ N(x; 0, 1) N(x; 0, tau²) dx = 1 / sqrt(2 pi (1 + tau²)) in each of two dimensions.
    torch.manual_seed(0)
    loss = RLELoss(Scaled(tau), base="gaussian", convention="paper")
    log_s = loss.log_s()
    assert float(log_s.detach()) == pytest.approx(math.log(2 * math.pi * (1 + tau**2)), abs=0.01)
    (gradient,) = torch.autograd.grad(log_s, loss.flow.log_tau)
    assert float(gradient) == pytest.approx(2 * tau**2 / (1 + tau**2), abs=0.02)


def test_in_reported_densities_s_is_cached_until_a_parameter_changes() -> None:
    loss = RLELoss(disturbed()).eval()
    error = torch.randn(5, 2)
    first = loss.error_log_prob(error)
    assert torch.equal(loss.error_log_prob(error), first)
    with torch.inference_mode():
        assert torch.equal(loss.error_log_prob(error), first)
    with torch.no_grad():
        loss.flow.biases[-1].add_(0.5)
    moved = loss.error_log_prob(error)
    assert not torch.equal(moved, first)
    fresh = RLELoss(disturbed()).eval()
    with torch.inference_mode():
        fresh.error_log_prob(error)  # caches s of the old weights, in another mode
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh.error_log_prob(error), moved)
    moved.sum().backward()
    assert loss.flow.biases[0].grad is not None


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_has_new_draws_of_s_and_sides_at_every_call(training: bool) -> None:
    mu, sigma, target = (t.float() for t in case())
    loss = RLELoss(disturbed()).train(training)  # whatever the mode: a frozen batch norm is no reason to forget s
    torch.manual_seed(0)
    first, second = (loss(mu, sigma, target) for _ in range(2))
    torch.manual_seed(0)
    assert torch.equal(loss(mu, sigma, target), first)
    assert not torch.equal(first, second)
    # One s for all joints of a step, and another at the next; without symmetry nothing else is drawn.
    plain = RLELoss(disturbed(), symmetric=False).train(training)
    apart = plain.joint_log_prob(mu, sigma, target, fresh=True) - plain.joint_log_prob(mu, sigma, target, fresh=True)
    torch.testing.assert_close(apart, apart[:1, :1].expand(4, 6), atol=1e-5, rtol=0)
    assert apart.abs().max() > 1e-5


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_of_s_is_in_the_loss(training: bool) -> None:
    # Q = N(0, 4 I), the errors N(0, I), G = N(0, tau² I): d/d log tau of -log G - log s is 2 - r² / tau² - 2 tau² /
    # (4 + tau²), at tau = 1 and a mean square of 2 that is -0.4. Without s it would be 0.
    torch.manual_seed(0)
    loss = RLELoss(Scaled(1.0), base="gaussian").train(training)
    error = torch.randn(3000, 1, 2)
    slopes = []
    for _ in range(30):
        value = loss(torch.zeros_like(error), torch.ones_like(error), error)
        slopes.append(float(torch.autograd.grad(value, loss.flow.log_tau)[0]))
    expected = 2 - float(error.square().sum(dim=-1).mean()) - 0.4
    assert np.mean(slopes) == pytest.approx(expected, abs=0.03)


def test_the_predictive_distribution_is_the_same_in_training_and_evaluation() -> None:
    loss = RLELoss(disturbed())
    mu, sigma, x = (t.float() for t in case())
    reported = []
    for training in (True, False):
        predicted = loss.train(training).distribution(mu, sigma)
        with torch.no_grad():
            reported.append((predicted.log_prob(x), predicted.std, predicted.region(0.5).contains(x)))
    for one, other in zip(*reported, strict=True):
        assert torch.equal(one, other)


# What it is made of


def test_defaults_are_the_papers_flow_and_a_proper_density() -> None:
    loss = RLELoss()
    assert isinstance(loss.flow, RealNVP)
    assert sum(p.numel() for p in loss.parameters()) == 53_784
    assert loss.config() == {
        "kind": "RLELoss",
        "dim": 2,
        "base": "laplace",
        "convention": "normalized",
        "mode": "rle",
        "with_s": True,
        "gradient_reweighting": 1.0,
        "symmetric": True,
        "flow": {"kind": "RealNVP", "dim": 2, "layers": 6, "hidden": [64, 64], "activation": "leaky_relu"},
    }
    assert sum(p.numel() for p in RLELoss(dim=3).parameters()) == 55_332


def test_the_gradient_shortcut() -> None:
    # Near the start G is N(0, I) and the gradient of -log Q does not pass through the flow: d|e|/db = sign / sigma.
    mu, sigma, target = (
        torch.zeros(1, 1, 2, requires_grad=True),
        torch.full((1, 1, 2), 0.5),
        torch.tensor([[[1.0, -2.0]]]),
    )
    RLELoss(identity(), convention="paper")(mu, sigma, target).backward()
    error = (target / sigma)[0, 0]
    expected = -(error.sign() + error) / 0.5  # of |e| and of e² / 2
    torch.testing.assert_close(mu.grad[0, 0], expected)


# Learning


@pytest.mark.usefixtures("unchecked")
def test_a_short_training_recovers_a_known_laplace_scale() -> None:
    # Errors of two kinds of joints, one a Laplace density of scales .02 and .06, the other four times as wide.
    torch.manual_seed(0)
    scales = torch.tensor([[0.02, 0.06], [0.08, 0.24]])
    mu, raw = nn.Parameter(torch.full((2, 2), 0.1)), nn.Parameter(torch.full((2, 2), -2.0))
    loss = RLELoss(RealNVP(2, 4, (8, 8)))
    optimizer = torch.optim.Adam([{"params": [mu, raw], "lr": 3e-2}, {"params": loss.parameters(), "lr": 3e-3}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [3e-2, 1e-2], 400)
    laplace = torch.distributions.Laplace(torch.zeros(2, 2), scales)
    for _ in range(400):
        target = 0.25 + laplace.sample((128,))
        optimizer.zero_grad()
        loss(mu.expand_as(target), raw.sigmoid().expand_as(target), target).backward()
        optimizer.step()
        schedule.step()
    loss.eval()
    held_out = 0.25 + laplace.sample((4000,))
    with torch.no_grad():
        predicted = loss.distribution(mu.expand_as(held_out), raw.sigmoid().expand_as(held_out))
        nll = -predicted.log_prob(held_out).mean()
        torch.testing.assert_close(predicted.std[0] / (math.sqrt(2) * scales), torch.ones(2, 2), atol=0.12, rtol=0)
        torch.testing.assert_close((predicted.mean[0] - 0.25) / scales, torch.zeros(2, 2), atol=0.2, rtol=0)
        truth = -laplace.log_prob(held_out - 0.25).sum(dim=-1).mean()
        assert float(truth) - 0.01 < float(nll) < float(truth) + 0.1
        for level in (0.5, 0.9):
            held = predicted.region(level).contains(held_out).float().mean()
            assert float(held) == pytest.approx(level, abs=0.04)
