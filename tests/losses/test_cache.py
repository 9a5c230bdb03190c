"""Cached values follow the parameters; their random numbers are fixed and do not change others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from loss_cases import disturbed

from logpose.losses import RLELoss
from logpose.losses.cache import Cache, fingerprint, fixed_randomness, with_fresh_gradient


def test_cached_values_follow_the_parameters() -> None:
    loss = RLELoss(disturbed()).eval()
    before = loss.error_distribution().std
    assert loss.error_distribution().std is before
    with torch.no_grad():
        loss.flow.biases[-1].add_(0.3)
    moved = loss.error_distribution().std
    assert not torch.equal(moved, before)
    loss.flow.biases[-1].data.sub_(0.3)  # not counted by autograd
    torch.testing.assert_close(loss.eval().error_distribution().std, before, rtol=1e-4, atol=1e-5)


def test_cached_values_follow_other_parameters_and_other_modes() -> None:
    torch.manual_seed(0)
    one, other = RLELoss().eval(), RLELoss().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        expected = other.error_distribution().std
        assert not torch.equal(one.error_distribution().std, expected)
        one.load_state_dict(other.state_dict(), assign=True)
        assert torch.equal(one.error_distribution().std, expected)
    with torch.inference_mode():
        fresh = RLELoss().eval()
        fresh.error_distribution()  # parameters without a version
    again = RLELoss().eval()
    with torch.inference_mode():
        again.error_distribution()
    sigma = torch.ones(1, 1, 2, requires_grad=True)
    again.distribution(torch.zeros(1, 1, 2), sigma).std.sum().backward()
    assert sigma.grad is not None


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD])
def test_cached_values_follow_steps_that_autograd_does_not_count(make: Callable) -> None:
    loss = RLELoss()
    optimizer = make(loss.parameters(), lr=1e-2, fused=True)
    mu, sigma = torch.zeros(64, 1, 2), torch.full((64, 1, 2), 0.5)
    before = loss.error_distribution().std
    for _ in range(20):
        optimizer.zero_grad()
        loss(mu, sigma, 0.05 * torch.randn(64, 1, 2)).backward()
        optimizer.step()
    after = loss.error_distribution().std
    assert not torch.allclose(before, after, rtol=0.02)
    assert torch.equal(after, loss.eval().error_distribution().std)


def test_a_value_is_computed_once_until_a_tensor_changes() -> None:
    cache, tensor = Cache(), torch.ones(3)

    def value() -> tuple[float, ...]:
        return tuple(cache.get("value", [tensor], tensor.device, lambda: tensor.sum() + torch.rand(2)).tolist())

    first = value()
    assert value() == first
    tensor += 1
    moved = value()
    assert moved == pytest.approx([x + 3 for x in first])
    cache.clear()
    assert value() == moved, "its random numbers are always the same"


def test_a_fresh_gradient_leaves_the_value() -> None:
    scale = torch.ones((), requires_grad=True)
    value = with_fresh_gradient(torch.tensor(2.0), [scale], lambda: 3 * scale * torch.rand(()))
    assert float(value.detach()) == 2
    (gradient,) = torch.autograd.grad(value, scale)
    assert 0 < float(gradient) < 3
    with torch.no_grad():
        assert float(with_fresh_gradient(torch.tensor(2.0), [scale], lambda: 3 * scale)) == 2


def test_fixed_randomness_is_fixed_and_local() -> None:
    torch.manual_seed(1)
    plain = torch.rand(2), torch.rand(2)
    torch.manual_seed(1)
    first = torch.rand(2)
    with fixed_randomness(torch.device("cpu")):
        inside = torch.rand(2)
    assert torch.equal(first, plain[0])
    assert torch.equal(torch.rand(2), plain[1])
    with fixed_randomness(torch.device("cpu")):
        assert torch.equal(torch.rand(2), inside)
    with fixed_randomness(torch.device("cpu"), 7):
        assert not torch.equal(torch.rand(2), inside)


def test_a_fingerprint_changes_with_any_value_and_with_their_places() -> None:
    values = [torch.randn(3, 4), torch.randn(5)]
    before = fingerprint(values)
    assert before == fingerprint([value.clone() for value in values])
    values[1].data[2] += 1e-3
    assert before != fingerprint(values)
    assert fingerprint([torch.tensor([1.0, 2.0])]) != fingerprint([torch.tensor([2.0, 1.0])])
    assert fingerprint([]) == ()


def test_losses_in_a_program_that_computes_in_double_precision() -> None:
    loss = RLELoss().eval()
    mu, sigma, target = torch.randn(2, 3, 2), torch.rand(2, 3, 2), torch.randn(2, 3, 2)
    expected = loss.distribution(mu, sigma).log_prob(target)
    torch.set_default_dtype(torch.float64)
    try:
        found = loss.distribution(mu, sigma).log_prob(target)
        assert RLELoss().error_distribution().std.isfinite().all()
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=1e-5)
