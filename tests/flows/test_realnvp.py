"""RealNVP against the definition of a flow: an inverse, a log-determinant, a density, draws that follow it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from logpose.flows import PlainRealNVP

SHAPES = [
    (2, 6, (64, 64), "leaky_relu"),
    (2, 1, (8,), "tanh"),
    (2, 5, (16, 16, 16, 16), "relu"),
    (2, 4, (), "silu"),
    (3, 6, (64, 64), "leaky_relu"),
    (3, 7, (5, 9), "gelu"),
    (8, 6, (32, 32), "silu"),
]
shapes = pytest.mark.parametrize(("dim", "layers", "hidden", "activation"), SHAPES)


def disturb(flow: PlainRealNVP, amount: float = 0.3, seed: int = 0) -> PlainRealNVP:
    """The flow with weights far from the initial ones, with which it is nearly the identity and hides errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return flow


def points(count: int, dim: int, spread: float = 2.0) -> Tensor:
    return spread * torch.randn(count, dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# A change of variables


@shapes
def test_the_inverse_undoes(dim: int, layers: int, hidden: tuple[int, ...], activation: str) -> None:
    flow = disturb(PlainRealNVP(dim, layers, hidden, activation)).double()
    z = points(200, dim)
    x = flow(z)
    assert (x - z).abs().max() > 0.1, "this flow moves nothing: the test could not fail"
    torch.testing.assert_close(flow.inverse(x)[0], z, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(flow(flow.inverse(z)[0]), z, atol=1e-10, rtol=1e-10)


@shapes
def test_the_log_determinant_is_the_jacobians(dim: int, layers: int, hidden: tuple[int, ...], activation: str) -> None:
    flow = disturb(PlainRealNVP(dim, layers, hidden, activation)).double()
    x = points(10, dim)
    log_det = flow.inverse(x)[1]
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda p: flow.inverse(p[None])[0][0], p) for p in x])
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobians).logabsdet, atol=1e-9, rtol=1e-9)
    assert log_det.std() > 1e-3


@settings(max_examples=25)
@given(st.integers(2, 8), st.integers(1, 7), st.lists(st.integers(1, 12), max_size=3), st.integers(0, 2**31))
def test_any_shape_is_a_change_of_variables(dim: int, layers: int, hidden: list[int], seed: int) -> None:
    flow = disturb(PlainRealNVP(dim, layers, tuple(hidden)), 0.5, seed).double()
    x = points(4, dim)
    z, log_det = flow.inverse(x)
    # The condition of the map can be bad in the last digits: |s| < 1 in each layer, so it is at worst e^2L.
    torch.testing.assert_close(flow(z), x, atol=1e-8, rtol=1e-8)
    jacobian = torch.autograd.functional.jacobian(lambda p: flow.inverse(p[None])[0][0], x[0])
    torch.testing.assert_close(log_det[0], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-7, rtol=1e-7)
    base = stats.norm.logpdf(z.detach().numpy()).sum(axis=1)
    np.testing.assert_allclose(flow.log_prob(x).detach().numpy(), base + log_det.detach().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("seed", "amount"), [(0, 0.0), (1, 0.2), (2, 0.3), (3, 0.4)])
def test_the_density_integrates_to_one(seed: int, amount: float) -> None:
    flow = disturb(PlainRealNVP(2, 6, (16, 16)), amount, seed).double()
    with torch.no_grad():
        # As far out as draws reach, and as fine as their mass is narrow.
        drawn = flow(points(20_000, 2, spread=1.0))
        low, high = drawn.quantile(0.0005, dim=0), drawn.quantile(0.9995, dim=0)
        low, high = low - 1.5 * (high - low), high + 1.5 * (high - low)
        axes = [torch.linspace(float(a), float(b), 401, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
        grid = torch.cartesian_prod(*axes)
        density = flow.log_prob(grid).exp()
    total = float(density.sum() * (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0]))
    assert total == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("dim", [2, 3])
def test_draws_follow_the_density(dim: int) -> None:
    flow = disturb(PlainRealNVP(dim, 6, (16, 16)), 0.25, seed=4)
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = flow.sample(100_000)
        # The same moments by importance sampling from a wide Gaussian, which knows log_prob alone.
        wide, centre = 2 * drawn.std(dim=0), drawn.mean(dim=0)
        z = torch.randn(400_000, dim)
        proposal = torch.from_numpy(stats.norm.logpdf(z.numpy()).sum(axis=1)).float() - wide.log().sum()
        weight = (flow.log_prob(centre + wide * z) - proposal).exp()
    assert float(weight.mean()) == pytest.approx(1, abs=0.02)
    for power in (1, 2):
        expected = (weight[:, None] * (centre + wide * z) ** power).mean(dim=0)
        torch.testing.assert_close((drawn**power).mean(dim=0), expected, rtol=0.03, atol=0.03)


def test_the_histogram_of_draws_is_the_density() -> None:
    flow = disturb(PlainRealNVP(2, 4, (16,)), 0.4, seed=5)
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = flow.sample(200_000).numpy()
        low, high = np.quantile(drawn, [0.02, 0.98], axis=0)
        edges = [np.linspace(a, b, 13) for a, b in zip(low, high, strict=True)]
        count, *_ = np.histogram2d(*drawn.T, bins=edges)
        # The mass of each cell from the density at 20 × 20 of its points.
        fine = [np.linspace(e[0], e[-1], 240, endpoint=False) + (e[-1] - e[0]) / 480 for e in edges]
        grid = torch.from_numpy(np.stack(np.meshgrid(*fine, indexing="ij"), -1).reshape(-1, 2)).float()
        density = flow.log_prob(grid).exp().numpy().reshape(12, 20, 12, 20).mean(axis=(1, 3))
    expected = density * (edges[0][1] - edges[0][0]) * (edges[1][1] - edges[1][0]) * len(drawn)
    assert len(drawn) > expected.sum() > 0.85 * len(drawn)
    filled = expected > 20
    assert filled.sum() > 40
    # A chi-square of about one per cell.
    assert ((count - expected)[filled] ** 2 / expected[filled]).mean() < 1.6


def test_draws_are_fresh_and_follow_the_seed() -> None:
    flow = PlainRealNVP(3)
    torch.manual_seed(3)
    first, second = flow.sample(5), flow.sample(5)
    torch.manual_seed(3)
    assert torch.equal(flow.sample(5), first)
    assert not torch.equal(first, second)
    assert first.shape == (5, 3)
    assert flow.double().sample(2).dtype == torch.float64
    assert flow.sample(0).shape == (0, 3)


def test_no_points() -> None:
    flow = PlainRealNVP(2)
    assert flow.log_prob(torch.zeros(0, 2)).shape == (0,)


# The paper's flow


@pytest.mark.parametrize(
    ("dim", "hidden", "count"),
    [
        (2, (64, 64), 53_784),
        (2, (128, 128), 205_848),
        (2, (256, 256), 804_888),
        (2, (32, 32, 32, 32), 39_960),
        (2, (64, 64, 64, 64), 153_624),
        (3, (64, 64), 55_332),
    ],
)
def test_parameter_counts_of_table_5(dim: int, hidden: tuple[int, ...], count: int) -> None:
    assert sum(p.numel() for p in PlainRealNVP(dim, hidden=hidden).parameters()) == count


@pytest.mark.parametrize(("dim", "first"), [(2, [0, 1]), (3, [0, 0, 1]), (5, [0, 0, 0, 1, 1]), (8, [0] * 4 + [1] * 4)])
def test_which_dimensions_each_layer_keeps(dim: int, first: list[int]) -> None:
    for count in (1, 2, 3, 6):
        # All layers but the last are made to do nothing, so that only the last moves points.
        flow = disturb(PlainRealNVP(dim, layers=count), 0.5)
        for parameter in flow.parameters():
            parameter.data[:-1] = 0
        z = torch.randn(20, dim)
        moved = (flow(z) != z).any(dim=0)
        assert moved.tolist() == [bool(keep) if count % 2 == 0 else not keep for keep in first]


def transcription(flow: PlainRealNVP, x: Tensor) -> Tensor:
    """The released code's RealNVP (FACTS §1.3): one network of linear layers per layer and purpose."""
    masks = torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 3, dtype=torch.float64)

    def network(layer: int, which: int) -> nn.Sequential:
        parts: list[nn.Module] = []
        for depth, (weight, bias) in enumerate(zip(flow.weights, flow.biases, strict=True)):
            linear = nn.Linear(weight.shape[-1], weight.shape[-2], dtype=torch.float64)
            linear.weight.data = weight.data[layer, which].double()
            linear.bias.data = bias.data[layer, which, :, 0].double()
            parts += [linear, nn.LeakyReLU(0.01)] if depth < len(flow.weights) - 1 else [linear]
        return nn.Sequential(*parts, nn.Tanh()) if which == 0 else nn.Sequential(*parts)

    log_det, z = torch.zeros(len(x), dtype=torch.float64), x
    for i in reversed(range(6)):
        kept = masks[i] * z
        s = network(i, 0)(kept) * (1 - masks[i])
        t = network(i, 1)(kept) * (1 - masks[i])
        z = (1 - masks[i]) * (z - t) * torch.exp(-s) + kept
        log_det = log_det - s.sum(dim=1)
    normal = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    return normal.log_prob(z) + log_det


def test_the_released_network_with_the_same_weights_gives_the_same() -> None:
    flow = disturb(PlainRealNVP(2), 0.2)
    x = points(300, 2, spread=3.0)
    torch.testing.assert_close(flow.double().log_prob(x), transcription(flow, x), atol=1e-10, rtol=1e-10)


def test_it_starts_close_to_a_standard_gaussian() -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        x = points(1000, 2)
        expected = torch.from_numpy(stats.norm.logpdf(x.numpy()).sum(axis=1))
        torch.testing.assert_close(PlainRealNVP(2).double().log_prob(x), expected, atol=5e-3, rtol=0)


def test_it_starts_with_xavier_weights_of_a_hundredth() -> None:
    torch.manual_seed(0)
    flow = PlainRealNVP(2, hidden=(200, 300))
    for weight, (fan_out, fan_in) in zip(flow.weights, [(200, 2), (300, 200), (2, 300)], strict=True):
        bound = 0.01 * math.sqrt(6 / (fan_in + fan_out))
        largest = float(weight.detach().abs().max())
        assert 0.98 * bound < largest <= bound
    assert not any(bias.any() for bias in flow.biases)


# Learning


@pytest.mark.parametrize("activation", ["leaky_relu", "silu", "gelu", "tanh"])
@pytest.mark.parametrize("dim", [2, 3])
def test_a_gradient_reaches_every_parameter_that_can_matter(dim: int, activation: str) -> None:
    flow = disturb(PlainRealNVP(dim, 6, (8, 8), activation), 0.3)
    flow.log_prob(torch.randn(400, dim)).mean().backward()
    for depth, (weight, bias) in enumerate(zip(flow.weights, flow.biases, strict=True)):
        for layer in range(6):
            keep = torch.arange(dim) >= (dim + 1) // 2 if layer % 2 == 0 else torch.arange(dim) < (dim + 1) // 2
            matters = torch.ones_like(weight[layer], dtype=torch.bool)
            matters_bias = torch.ones_like(bias[layer], dtype=torch.bool)
            if depth == 0:
                matters[:, :, ~keep] = False  # the first layer has inputs of 0 there
            if depth == len(flow.weights) - 1:
                matters[:, keep] = False  # the last layer's outputs for kept dimensions are not used
                matters_bias[:, keep] = False
            assert torch.equal(weight.grad[layer] != 0, matters)
            assert torch.equal(bias.grad[layer] != 0, matters_bias)


def test_a_step_of_learning_from_the_start_reaches_the_last_layer() -> None:
    # All hidden biases start at zero and weights small: nothing may be stuck there.
    flow = PlainRealNVP(2)
    (-flow.log_prob(torch.randn(500, 2) * torch.tensor([2.0, 0.5])).mean()).backward()
    assert all(p.grad is not None and p.grad.any() for p in flow.parameters())


# Configurations


@shapes
def test_config_and_state_dict_make_it_again(dim: int, layers: int, hidden: tuple[int, ...], activation: str) -> None:
    flow = disturb(PlainRealNVP(dim, layers, hidden, activation))
    again = PlainRealNVP.from_config(flow.config())
    x = points(20, dim).float()
    assert not torch.equal(again.log_prob(x), flow.log_prob(x))
    again.load_state_dict(flow.state_dict())
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
    assert again.config() == flow.config()
    assert all(word in repr(again) for word in (f"dim={dim}", f"layers={layers}", repr(activation)))


@pytest.mark.parametrize("wrong", [{"dim": 1}, {"dim": 0}, {"layers": 0}, {"hidden": (8, 0)}])
def test_invalid_shapes(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"dim >= 2, layers >= 1 and hidden >= 1"):
        PlainRealNVP(**wrong)
