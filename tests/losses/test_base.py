"""What all losses share: labels without weight have no effect, extreme numbers stay finite, shapes are checked."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import LOSSES, rle
from torch import Tensor

from logpose.core.structures import Prediction
from logpose.flows import RealNVP
from logpose.losses import Gaussian, L1Loss, Laplace, LikelihoodLoss, MixedRLELoss, RLELoss

B, K = 4, 6


CODES = ("released", "mmpose")
every_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES.keys())


def case(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mu, target, raw = torch.randn(3, B, K, 2, generator=generator, dtype=dtype)
    return 0.3 * mu, raw.sigmoid(), 0.3 * target


def outcome(loss: LikelihoodLoss, mu: Tensor, sigma: Tensor, *labels: Tensor) -> tuple[Tensor, ...]:
    """Value, and gradients of mu, sigma and every parameter."""
    mu, sigma = mu.clone().requires_grad_(), sigma.clone().requires_grad_()
    torch.manual_seed(0)  # s is estimated from fresh draws
    value = loss(mu, sigma, *labels)
    inputs = [mu, sigma, *loss.parameters()]
    gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    return value.detach(), *(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients, strict=True))


# Labels that are not there


@every_loss
@pytest.mark.parametrize("garbage", [math.nan, -math.inf, 1e30])
@pytest.mark.parametrize("given_by", ["by weight", "by weight per dimension", "by the label"])
def test_unlabelled_joints_have_no_effect(make: Callable, garbage: float, given_by: str) -> None:
    if given_by == "by the label" and math.isfinite(garbage):
        pytest.skip("a finite label is a label")
    mu, sigma, target = case()
    mask = torch.rand(B, K, generator=torch.Generator().manual_seed(5)) < 0.6
    assert 0 < mask.sum() < B * K
    value, *gradients = outcome(make(), mu, sigma, target, mask.float())
    spoilt = torch.where(mask[..., None], target, garbage)
    spoilt[..., 0] = torch.where(mask, spoilt[..., 0], target[..., 0])  # one bad number is enough
    weight = {"by weight": mask.float(), "by weight per dimension": torch.stack([mask, torch.ones_like(mask)], -1)}
    arguments = (spoilt,) if given_by == "by the label" else (spoilt, weight[given_by].float())
    again, *spoilt_gradients = outcome(make(), mu, sigma, *arguments)
    assert value.isfinite()
    torch.testing.assert_close(again, value)
    for a, b in zip(spoilt_gradients, gradients, strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b)
    assert not gradients[0][~mask].any()
    assert not gradients[1][~mask].any()
    assert gradients[0][mask].any(dim=-1).all()


@every_loss
def test_without_labels_it_is_zero_and_so_are_gradients(make: Callable) -> None:
    mu, sigma, target = case()
    for arguments in ((target, torch.zeros(B, K)), (torch.full_like(target, math.nan),)):
        value, *gradients = outcome(make(), mu, sigma, *arguments)
        assert float(value) == 0
        assert all(not g.any() for g in gradients)


@every_loss
def test_an_empty_batch_is_zero(make: Callable) -> None:
    none = torch.zeros(0, K, 2)
    value, *gradients = outcome(make(), none, none, none)
    assert float(value) == 0
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", [name for name in LOSSES if name.split(",")[0] not in ("normalized", *CODES)])
@torch.no_grad()
def test_it_is_a_mean_by_weight(name: str) -> None:
    mu, sigma, target = case()
    loss = LOSSES[name]().eval()
    weight = torch.rand(B, K, generator=torch.Generator().manual_seed(2)) * (torch.rand(B, K) < 0.7)
    each = torch.tensor(
        [
            [float(loss(*(t[i : i + 1, k : k + 1] for t in (mu, sigma, target))).detach()) for k in range(K)]
            for i in range(B)
        ]
    )
    whole = float(loss(mu, sigma, target, weight).detach())
    assert whole == pytest.approx(float((each * weight).sum() / weight.sum()), rel=1e-4, abs=1e-5)
    assert float(loss(mu, sigma, target, 3 * weight).detach()) == pytest.approx(whole, rel=1e-5)
    assert float(loss(mu, sigma, target).detach()) == pytest.approx(float(each.mean()), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["normalized", "normalized, gaussian"])
@torch.no_grad()
def test_of_random_losses_too(name: str) -> None:
    """One estimate of s, and one choice of sides, serve all joints of a batch."""
    mu, sigma, target = case()
    loss = LOSSES[name]()
    weight = torch.rand(B, K, generator=torch.Generator().manual_seed(2)) * (torch.rand(B, K) < 0.7)
    torch.manual_seed(0)
    each = loss.joint_losses(mu, sigma, target, weight)
    assert len(each.unique()) == B * K
    torch.manual_seed(0)
    whole = loss(mu, sigma, target, weight)
    torch.testing.assert_close(whole, (each * weight).sum() / weight.sum())


@every_loss
@pytest.mark.parametrize("training", [True, False])
def test_no_value_depends_on_whether_gradients_are_enabled(make: Callable, training: bool) -> None:
    mu, sigma, target = case()
    values = []
    for enabled in (True, False):
        loss = make().train(training)
        torch.manual_seed(0)
        with torch.set_grad_enabled(enabled):
            values.append((loss(mu, sigma, target).detach(), loss.log_prob(mu, sigma, target).detach()))
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=0, equal_nan=True)


# Extreme numbers


@every_loss
@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0])
@pytest.mark.parametrize("away", ["1e4 sigmas", "1e30", "3e38"])
def test_labels_far_off_stay_finite(make: Callable, scale: float, away: str) -> None:
    mu, _, target = case()
    target[1, 2] = torch.tensor([1.0, -1.0]) * (1e4 * scale if away == "1e4 sigmas" else float(away))
    value, *gradients = outcome(make(), mu, torch.full_like(mu, scale), target)
    assert value.isfinite()
    assert all(g.isfinite().all() for g in gradients)


@every_loss
def test_a_label_exactly_at_mu(make: Callable) -> None:
    mu, sigma, _ = case()
    value, *gradients = outcome(make(), mu, sigma, mu)
    assert value.isfinite()
    assert all(g.isfinite().all() for g in gradients)


@every_loss
def test_under_autocast_likelihoods_are_float32(make: Callable) -> None:
    mu, sigma, target = (t.bfloat16() for t in case())
    plain, *gradients = outcome(make(), mu.float(), sigma.float(), target.float())
    loss, inputs = make(), (mu.clone().requires_grad_(), sigma.clone().requires_grad_())
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*inputs, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.detach(), plain)
    value.backward()
    torch.testing.assert_close(inputs[0].grad, gradients[0].bfloat16())
    for parameter, gradient in zip(loss.parameters(), gradients[2:], strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", [RLELoss, Laplace, lambda: RLELoss(mode="dle")])
def test_a_loss_converted_to_half_stays_float32(make: Callable, dtype: torch.dtype) -> None:
    """Lightning's "true" half precision converts every module; heads may give half, the loss goes on in float32."""
    torch.manual_seed(0)
    loss = make()
    before = {name: p.clone() for name, p in loss.state_dict().items()}
    loss.to(dtype)
    assert all(torch.equal(p, before[name]) for name, p in loss.state_dict().items())
    mu, sigma, target = (0.3 * torch.rand(3, 2, 4, 2) + 0.1).to(dtype).requires_grad_()
    value = loss(mu, sigma, target)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert all(p.dtype == torch.float64 for p in loss.double().parameters())


@every_loss
def test_double_precision_stays(make: Callable) -> None:
    mu, sigma, target = case(dtype=torch.float64)
    loss = make().double()
    torch.manual_seed(0)
    value = loss(mu, sigma, target)
    assert value.dtype == torch.float64
    torch.manual_seed(0)
    single = make()(mu.float(), sigma.float(), target.float())
    assert float(value.detach()) == pytest.approx(float(single.detach()), rel=0.05)


NUMBERS = st.sampled_from((0.0, 1e-30, 1e-7, 1e-3, 0.1, 1.0, 30.0, 1e4, 1e9, 3e38))
SIGNED = st.builds(lambda size, sign: size * sign, NUMBERS, st.sampled_from((-1.0, 1.0)))
LOGITS = st.sampled_from((-1e4, -100.0, -20.0, -5.0, 0.0, 5.0, 20.0, 1e4))
GARBAGE = st.sampled_from((math.nan, math.inf, -math.inf, 3e38, 0.0))
WEIGHTS = st.sampled_from((0.0, 0.0, 1.0, 1.0, 0.3, 1e-30, 1e3))
DTYPES = st.sampled_from((torch.float32, torch.bfloat16, torch.float16))
EVERY_LOSS = {
    **LOSSES,
    "paper, with s": rle(convention="paper", with_s=True),
    "mixed": lambda: MixedRLELoss(RLELoss(RealNVP(3, 2, (4,)), dim=3), RLELoss(RealNVP(2, 2, (4,)))),
}


@settings(max_examples=600)
@given(st.sampled_from(sorted(EVERY_LOSS)), DTYPES, st.integers(0, 3), st.integers(1, 3), st.data())
def test_never_nan(name: str, dtype: torch.dtype, images: int, joints: int, data: st.DataObject) -> None:
    """Whatever the labels, weights, scales and precision: a finite loss with finite gradients, beside another loss."""
    loss = EVERY_LOSS[name]()
    if data.draw(st.booleans()):
        loss.eval()
    shape = (images, joints, loss.dim)

    def drawn(kind: st.SearchStrategy[float], *sizes: int) -> Tensor:
        count = math.prod(sizes)
        return torch.tensor(data.draw(st.lists(kind, min_size=count, max_size=count))).view(sizes)

    mu = (0.5 * torch.randn(shape)).requires_grad_()
    raw, target = drawn(LOGITS, *shape).requires_grad_(), drawn(SIGNED, *shape)
    weight = drawn(WEIGHTS, *shape[: data.draw(st.sampled_from((2, 3)))])
    nowhere = weight == 0 if weight.ndim == 3 else (weight == 0)[..., None].expand(shape)
    target = torch.where(nowhere, data.draw(GARBAGE), target)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        halved = mu.to(dtype), raw.to(dtype).sigmoid()
        value = loss(*halved, target, weight)
        (value + mu.square().sum()).backward()
    assert value.isfinite()
    for tensor in (mu, raw, *loss.parameters()):
        assert tensor.grad is None or tensor.grad.isfinite().all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "convention",
    ["normalized", *(pytest.param(name, marks=pytest.mark.slow) for name in ("paper", "released", "mmpose"))],
)
def test_it_recovers_from_garbage_and_too_large_steps(convention: str) -> None:
    """A fifth of the labels wrong, steps ten times too large 500 times over; then training as it should be.

    Where Q had no share in G (`rle.SHARE`), the error would be three times too large.
    """
    torch.manual_seed(0)
    loss = RLELoss(RealNVP(2, 4, (16, 16)), convention=convention)
    net = torch.nn.Linear(3, 4)
    parameters = [*net.parameters(), *loss.parameters()]
    truth = torch.randn(3, 2)

    def batch(garbage: float) -> tuple[Tensor, Tensor]:
        x = torch.randn(32, 1, 3)
        label = x @ truth * 0.1 + 0.02 * torch.randn(32, 1, 2)
        return x, torch.where(torch.rand(32, 1, 1) < garbage, 1e4 * torch.randn(32, 1, 2), label)

    def step(optimizer: torch.optim.Optimizer, garbage: float) -> None:
        x, label = batch(garbage)
        mu, raw = net(x).chunk(2, dim=-1)
        value = loss(mu, raw.sigmoid(), label)
        assert value.isfinite()
        optimizer.zero_grad()
        value.backward()
        assert all(p.grad.isfinite().all() for p in parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    wild = torch.optim.Adam(parameters, 1e-2)
    for _ in range(500):
        step(wild, 0.2)
    steps = 600
    tame = torch.optim.Adam(parameters, 3e-3)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(tame, steps)
    for _ in range(steps):
        step(tame, 0.0)
        slower.step()
    x, label = batch(0.0)
    with torch.no_grad():
        error = (net(x)[..., :2] - label).norm(dim=-1).mean()
    assert float(error) < 1.5 * 0.02 * math.sqrt(math.pi / 2)  # of the label noise alone, half as much again


def test_a_density_of_no_dimension() -> None:
    with pytest.raises(ValueError, match="dim must be at least 1"):
        Laplace(0)


COMPILED = """
import torch
from logpose.losses import L1Loss, MixedRLELoss, RLELoss

torch.set_num_threads(1)
for loss in (RLELoss(), RLELoss(convention="released"), L1Loss(), MixedRLELoss()):
    shape = (4, 6, loss.dim)
    mu, raw, target = torch.randn(3, *shape)
    weight = (torch.rand(shape[:2]) < 0.7).float()
    mu.requires_grad_(), raw.requires_grad_()
    values = []
    plain = lambda: loss(mu, raw.sigmoid(), target, weight)
    for call in (plain, torch.compile(plain, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(0)
        value = call()
        values.append([value.detach(), *torch.autograd.grad(value, (mu, raw), allow_unused=True)])
    torch.testing.assert_close(*values)
print("alike")
"""


@pytest.mark.slow
def test_it_compiles_without_a_graph_break() -> None:
    """In a process of its own: the types that are checked in tests cannot be compiled."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, env=environment)
    assert done.stdout == "alike\n", done.stderr[-3000:]


# Shapes


@contextmanager
def _unchecked() -> Iterator[None]:
    """As in use, where nothing but the loss looks at shapes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@every_loss
def test_shapes_that_would_be_broadcast_unseen_are_refused(make: Callable) -> None:
    loss = make()
    mu, sigma, target = case()
    wrong = [
        (mu, sigma[..., :1], target),
        (mu, sigma[0, 0, 0], target),
        (mu, sigma, target[:1]),
        (mu[0], sigma[0], target[0]),
        (mu[..., :1], sigma[..., :1], target[..., :1]),
        (torch.cat([mu, mu], -1), torch.cat([sigma, sigma], -1), torch.cat([target, target], -1)),
    ]
    for given_mu, given_sigma, label in wrong:
        with _unchecked(), pytest.raises(ValueError, match=r"one shape \(B, K, 2\)"):
            loss(given_mu, given_sigma, label)
        if given_mu.shape != given_sigma.shape or given_mu.shape[1:] != (K, 2):
            with _unchecked(), pytest.raises(ValueError, match=r"one shape \(B, K, 2\)"):
                loss.distribution(given_mu, given_sigma)
    with _unchecked(), pytest.raises(ValueError, match="weight must be of shape"):
        loss(mu, sigma, target, torch.ones(B, 1))


@pytest.mark.parametrize("name", ["normalized", "Laplace"])
def test_a_correlation_turns_the_density_and_keeps_its_mass(name, unchecked):
    """On a grid the density integrates to 1, has the covariance that is reported, and regions hold their level."""
    loss = LOSSES[name]().eval()
    mu, sigma, r = torch.tensor([[[0.1, -0.2]]]), torch.tensor([[[0.05, 0.1]]]), torch.tensor([[0.8]])
    side, count = 2.4, 201
    axis = torch.linspace(-side / 2, side / 2, count)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 1, 1, 2)
    with torch.no_grad():
        log_p = loss.log_prob(
            mu.expand(len(grid), 1, 2), sigma.expand(len(grid), 1, 2), grid[:, 0], r.expand(len(grid), 1)
        )
    share = log_p.double().exp()[:, 0] * (side / (count - 1)) ** 2
    assert share.sum().item() == pytest.approx(1, abs=0.02)
    away = (grid[:, 0, 0] - mu[0, 0]).double()
    away = away - (share[:, None] * away).sum(dim=0) / share.sum()
    covariance = (share[:, None, None] * away[:, :, None] * away[:, None]).sum(dim=0) / share.sum()
    distribution = loss.distribution(mu, sigma, r)
    assert distribution.std[0, 0].square().tolist() == pytest.approx(covariance.diagonal().tolist(), rel=0.08)
    found = Prediction(mu, sigma, r, loss.error_distribution(), correlation=r).error_correlation
    assert found.item() == pytest.approx((covariance[0, 1] / covariance.diagonal().prod().sqrt()).item(), abs=0.03)
    drawn = distribution.sample(4000)
    assert np.corrcoef(drawn[:, 0, 0].numpy().T)[0, 1] == pytest.approx(found.item(), abs=0.08)
    inside = distribution.region(0.8).contains(drawn).float().mean()
    assert inside.item() == pytest.approx(0.8, abs=0.03)


def test_without_a_correlation_it_is_that_of_zero():
    loss = LOSSES["normalized"]().eval()
    rng = torch.Generator().manual_seed(0)
    mu, x = torch.randn(5, 3, 2, generator=rng), torch.randn(5, 3, 2, generator=rng)
    sigma = torch.rand(5, 3, 2, generator=rng) + 0.1
    zero = loss.log_prob(mu, sigma, x, torch.zeros(5, 3))
    assert torch.allclose(zero, loss.log_prob(mu, sigma, x), atol=1e-5)


def test_the_gradient_of_a_correlation_is_that_of_its_formula():
    """By finite differences in double precision, gradients of mu reweighted or not."""
    rng = torch.Generator().manual_seed(0)
    mu = torch.randn(4, 2, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    sigma = (torch.rand(4, 2, 2, generator=rng, dtype=torch.float64) + 0.5).requires_grad_()
    r = (torch.rand(4, 2, generator=rng, dtype=torch.float64) - 0.5).requires_grad_()
    target = torch.randn(4, 2, 2, generator=rng, dtype=torch.float64)
    loss = Gaussian().double()
    assert torch.autograd.gradcheck(lambda *inputs: loss(*inputs[:2], target, None, inputs[2]), (mu, sigma, r))
    # A Gaussian's value, by PyTorch's own density.
    own = torch.distributions.MultivariateNormal(
        mu, torch.stack([torch.stack([sigma[..., 0] ** 2, r * sigma.prod(-1)], -1),
                         torch.stack([r * sigma.prod(-1), sigma[..., 1] ** 2], -1)], -2)
    )  # fmt: skip
    assert loss(mu, sigma, target, None, r).item() == pytest.approx(-own.log_prob(target).mean().item())


def test_losses_without_a_correlation_refuse_one():
    both = torch.zeros(2, 3, 2)
    with pytest.raises(ValueError, match="correlation"):
        L1Loss()(both, both + 1, both, None, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="correlation"):
        RLELoss(convention="released")(both, both + 1, both, None, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="two dimensions"):
        RLELoss(dim=3)(torch.zeros(2, 3, 3), torch.ones(2, 3, 3), torch.zeros(2, 3, 3), None, torch.zeros(2, 3))
