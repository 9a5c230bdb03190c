"""The basic design's claim: each joint's draws, moments and regions agree with its density."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.losses.positions import FlowedPositions


@pytest.fixture
def claim() -> FlowedPositions:
    torch.manual_seed(0)
    flow = RealNVP(2, hidden=(16,))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    mu = torch.tensor([[[0.0, 0.3], [-0.5, 0.2]]])
    found = RLELoss(flow, mode="basic").eval().distribution(mu, torch.tensor([[[0.1, 0.4], [0.6, 0.2]]]))
    assert isinstance(found, FlowedPositions)
    return found


def on_a_plane(claim: FlowedPositions) -> tuple[Tensor, Tensor, Tensor]:
    """Points (N, 2), and of each joint the probability and log-density there (N, K)."""
    axis = torch.linspace(-6, 6, 401)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        columns = []
        for mu, scale in zip(claim.mu[0], claim.scale[0], strict=True):
            everywhere = FlowedPositions(mu.expand(1, len(points), 2), scale.expand(1, len(points), 2), claim.loss)
            columns.append(everywhere.log_prob(points[None])[0])
    log_p = torch.stack(columns, dim=1)
    return points, log_p.exp() * float(axis[1] - axis[0]) ** 2, log_p


def test_moments_are_the_density_s(claim: FlowedPositions) -> None:
    points, mass, _ = on_a_plane(claim)
    torch.testing.assert_close(mass.sum(dim=0), torch.ones(2), atol=0.01, rtol=0)
    mean = mass.T @ points
    std = (mass.T @ points.square() - mean.square()).sqrt()
    torch.testing.assert_close(claim.mean[0], mean, atol=0.05, rtol=0)
    torch.testing.assert_close(claim.std[0], std, atol=0.03, rtol=0.05)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_regions_hold_what_they_say(claim: FlowedPositions, level: float) -> None:
    _, mass, log_p = on_a_plane(claim)
    inside = log_p >= claim.region(level).threshold
    torch.testing.assert_close((mass * inside).sum(dim=0), torch.full((2,), level), atol=0.03, rtol=0)
    torch.manual_seed(5)
    drawn = claim.sample(4000)
    region = claim.region(level)
    held = torch.stack([region.contains(x) for x in drawn]).float().mean(dim=0)
    torch.testing.assert_close(held, torch.full((1, 2), level), atol=0.03, rtol=0)


def test_a_level_that_is_none(claim: FlowedPositions) -> None:
    with pytest.raises(ValueError, match="level must lie"):
        claim.region(1.0)
