"""The packed flow gives the numbers of the plain one: values, gradients, draws, in chunks too."""

from __future__ import annotations

import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from logpose.flows import PlainRealNVP, RealNVP
from logpose.flows.packed import CHUNK

ACTIVATIONS = ("leaky_relu", "relu", "silu", "gelu", "tanh")


def pair(*shape: object, amount: float = 0.3) -> tuple[PlainRealNVP, RealNVP]:
    """A plain and a packed flow with the same parameters, far from the initial ones."""
    generator = torch.Generator().manual_seed(0)
    plain = PlainRealNVP(*shape).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    packed = RealNVP(*shape).double()  # type: ignore[arg-type]
    packed.load_state_dict(plain.state_dict())
    return plain, packed


def gradients(flow: PlainRealNVP, values: Tensor, x: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(values.square().mean(), [x, *flow.parameters()]))


@settings(max_examples=40)
@given(st.integers(2, 8), st.integers(1, 7), st.lists(st.integers(1, 12), max_size=3), st.sampled_from(ACTIVATIONS))
def test_values_and_gradients_are_those_of_the_plain_flow(
    dim: int, layers: int, hidden: list[int], activation: str
) -> None:
    plain, packed = pair(dim, layers, tuple(hidden), activation)
    x = torch.randn(9, dim, dtype=torch.float64, requires_grad=True)
    for method in ("log_prob", "forward", "inverse"):
        both = []
        for flow in (plain, packed):
            outcome = getattr(flow, method)(x)
            parts = outcome if isinstance(outcome, tuple) else (outcome,)
            values = torch.cat([part.flatten() for part in parts])
            both.append([values, *gradients(flow, values, x)])
        torch.testing.assert_close(both[1], both[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_chunks_change_nothing(count: int) -> None:
    plain, packed = pair(2, 4, (8, 8))
    x = torch.randn(count, 2, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        torch.testing.assert_close(packed.log_prob(x), plain.log_prob(x))
    if count:
        ours, theirs = (gradients(flow, flow.log_prob(x), x) for flow in (packed, plain))
        torch.testing.assert_close(ours, theirs)


def test_draws_are_those_of_the_plain_flow() -> None:
    plain, packed = pair(3, 5, (8,))
    draws = []
    for flow in (plain, packed):
        torch.manual_seed(0)
        draws.append(flow.sample(CHUNK + 3))
    torch.testing.assert_close(*draws)


def test_both_start_alike_and_have_the_same_tensors() -> None:
    states = []
    for kind in (PlainRealNVP, RealNVP):
        torch.manual_seed(1)
        states.append(kind(3, 5, (8, 4)).state_dict())
    assert list(states[0]) == [f"{part}.{depth}" for part in ("weights", "biases") for depth in range(3)]
    for ours, theirs in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(ours, theirs)


def test_single_precision_agrees_too() -> None:
    plain, packed = pair()
    x = 2 * torch.randn(500, 2)
    torch.testing.assert_close(packed.float().log_prob(x), plain.float().log_prob(x), rtol=1e-4, atol=1e-4)


def test_it_is_the_faster_one() -> None:
    """By the processor's time, several times over; on any machine at least somewhat."""
    plain, packed = pair(2, 6, (64, 64))
    x = torch.randn(2000, 2)

    def seconds(flow: PlainRealNVP) -> float:
        started = time.process_time()
        flow.log_prob(x).sum().backward()
        return time.process_time() - started

    flows = plain.float(), packed.float()
    rounds = [[seconds(flow) for flow in flows] for _ in range(8)][2:]
    assert math.prod(ours / theirs for theirs, ours in rounds) ** (1 / len(rounds)) < 0.9


def test_a_flow_learns_a_banana() -> None:
    torch.manual_seed(0)
    flow = RealNVP(2, hidden=(32, 32))

    def draw(count: int) -> Tensor:
        a, b = torch.randn(2, count)
        return torch.stack([a, 0.5 * b + a**2 - 1], dim=1)

    optimizer = torch.optim.Adam(flow.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        (-flow.log_prob(draw(256)).mean()).backward()
        optimizer.step()
    held_out = draw(20_000)
    with torch.no_grad():
        learned = -float(flow.log_prob(held_out).mean())
    entropy = 2 * 0.5 * math.log(2 * math.pi * math.e) + math.log(0.5)
    gaussian = 0.5 * float(torch.logdet(2 * math.pi * math.e * held_out.T.cov()))
    assert entropy - 0.02 < learned < entropy + 0.1 < gaussian
