"""The basic design: each joint's draws, moments and regions agree with its density."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.losses.positions import FlowedPositions


@pytest.fixture
def predicted() -> FlowedPositions:
    torch.manual_seed(0)
    flow = RealNVP(2, hidden=(16,))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    mu = torch.tensor([[[0.0, 0.3], [-0.5, 0.2]]])
    predicted = RLELoss(flow, mode="basic").eval().distribution(mu, torch.tensor([[[0.1, 0.4], [0.6, 0.2]]]))
    assert isinstance(predicted, FlowedPositions)
    return predicted


def on_a_plane(predicted: FlowedPositions) -> tuple[Tensor, Tensor, Tensor]:
    """Points (N, 2), and of each joint the probability and log-density there (N, K)."""
    axis = torch.linspace(-6, 6, 401)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        columns = []
        for mu, scale in zip(predicted.mu[0], predicted.scale[0], strict=True):
            everywhere = replace(predicted, mu=mu.expand(1, len(points), 2), scale=scale.expand(1, len(points), 2))
            columns.append(everywhere.log_prob(points[None])[0])
    log_p = torch.stack(columns, dim=1)
    return points, log_p.exp() * float(axis[1] - axis[0]) ** 2, log_p


def test_moments_are_the_density_s(predicted: FlowedPositions) -> None:
    points, mass, _ = on_a_plane(predicted)
    torch.testing.assert_close(mass.sum(dim=0), torch.ones(2), atol=0.01, rtol=0)
    mean = mass.T @ points
    std = (mass.T @ points.square() - mean.square()).sqrt()
    torch.testing.assert_close(predicted.mean[0], mean, atol=0.05, rtol=0)
    torch.testing.assert_close(predicted.std[0], std, atol=0.03, rtol=0.05)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_regions_have_their_level(predicted: FlowedPositions, level: float) -> None:
    _, mass, log_p = on_a_plane(predicted)
    inside = log_p >= predicted.region(level).threshold
    torch.testing.assert_close((mass * inside).sum(dim=0), torch.full((2,), level), atol=0.03, rtol=0)
    torch.manual_seed(5)
    points = predicted.sample(4000)
    region = predicted.region(level)
    everywhere = replace(predicted, mu=predicted.mu.expand(4000, 2, 2), scale=predicted.scale.expand(4000, 2, 2))
    inside = everywhere.log_prob(points[:, 0]) >= region.threshold
    assert torch.equal(region.contains(points[:20])[:, 0], inside[:20])
    held = inside.float().mean(dim=0, keepdim=True)
    torch.testing.assert_close(held, torch.full((1, 2), level), atol=0.03, rtol=0)


def test_a_level_is_a_probability(predicted: FlowedPositions) -> None:
    with pytest.raises(ValueError, match="level"):
        predicted.region(1.0)
