"""Losses on maps: the targets and the mean of SimplePose's code, joint by joint; and both losses together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from logpose.core.structures import ErrorDistribution, Prediction
from logpose.losses import CellLoss, HeatmapLoss, L1Loss, RLELoss, WithHeatmaps, loss_from_config
from logpose.losses.heatmap import target_maps


def naive(place: tuple[float, float], size: tuple[int, int], sigma: float) -> tuple[np.ndarray, float]:
    """One target of SimplePose's code (`generate_target`): its window, cut off at the map's edges; and its weight."""
    height, width = size
    x, y = int((place[0] + 0.5) * width + 0.5), int((place[1] + 0.5) * height + 0.5)  # towards 0
    reach = int(3 * sigma)
    bump = np.zeros(size)
    if x - reach >= width or y - reach >= height or x + reach + 1 < 0 or y + reach + 1 < 0:
        return bump, 0.0
    for row in range(max(0, y - reach), min(height, y + reach + 1)):
        for column in range(max(0, x - reach), min(width, x + reach + 1)):
            bump[row, column] = math.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sigma**2))
    return bump, 1.0


POSITIONS = [
    (0.0, 0.0), (0.1234, -0.3), (-0.5, -0.5), (0.5, 0.5), (0.52, 0.1), (0.7, 0.0), (-0.61, 0.2), (0.0, 30.0),
    (-0.52, 0.0), (-0.61, 0.0), (-0.645, 0.0), (-0.67, 0.1),
]  # fmt: skip


@pytest.mark.parametrize(("size", "sigma"), [((64, 48), 2.0), ((96, 72), 3.0), ((16, 16), 1.0)])
def test_targets_are_the_naive_loop(size: tuple[int, int], sigma: float) -> None:
    maps, inside = target_maps(torch.tensor([POSITIONS], dtype=torch.float64), size, sigma)
    for joint, place in enumerate(POSITIONS):
        bump, counts = naive(place, size, sigma)
        assert float(inside[0, joint]) == counts
        if counts:
            np.testing.assert_allclose(maps[0, joint].numpy(), bump, atol=1e-12)


def case() -> tuple[Prediction, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, len(POSITIONS), 16, 12, generator=generator)
    target = torch.tensor(POSITIONS).expand(3, -1, -1).clone()
    weight = (torch.rand(3, len(POSITIONS), generator=generator) < 0.7).float()
    mu, sigma = 0.2 * torch.randn(2, 3, len(POSITIONS), 2, generator=generator)
    return Prediction(mu, sigma.exp() / 3, weight, ErrorDistribution.unknown(2), maps), target, weight


def test_the_loss_is_half_the_mean_square_over_all_maps() -> None:
    prediction, target, weight = case()
    total = 0.0
    for b in range(3):
        for k, place in enumerate(POSITIONS):
            bump, counts = naive(place, (16, 12), 2.0)
            if counts and weight[b, k]:
                total += float(((prediction.maps[b, k].double().numpy() - bump) ** 2).sum())
    expected = 0.5 * total / prediction.maps.numel()
    assert float(HeatmapLoss(2.0).of_prediction(prediction, target, weight)) == pytest.approx(expected, rel=1e-5)
    # Labels without weight have no effect, and those of a third dimension have no map.
    garbage = torch.where(weight[..., None] > 0, target, float("nan"))
    deep = torch.cat([garbage, torch.ones_like(garbage[..., :1])], dim=-1)
    assert float(HeatmapLoss(2.0).of_prediction(prediction, deep, weight)) == pytest.approx(expected, rel=1e-5)
    assert float(HeatmapLoss(2.0).of_prediction(prediction, target, 0 * weight)) == 0


def test_the_loss_of_a_map_equal_to_its_target_is_0() -> None:
    target = torch.tensor([[[0.1, -0.2], [0.0, 0.3]]])
    maps, _ = target_maps(target, (64, 48), 2.0)
    predicted = Prediction(
        target, torch.ones_like(target), torch.ones(1, 2), ErrorDistribution.unknown(2), maps.requires_grad_()
    )
    loss = HeatmapLoss().of_prediction(predicted, target, torch.ones(1, 2))
    assert float(loss.detach()) == 0
    assert float((HeatmapLoss(1.0).of_prediction(predicted, target, torch.ones(1, 2))).detach()) > 0


def test_both_losses_are_the_sum_of_both() -> None:
    torch.manual_seed(0)
    prediction, target, weight = case()
    for inner in (L1Loss(), RLELoss(convention="paper")):
        loss = WithHeatmaps(inner, weight=0.5, sigma=1.0)
        together = float(loss.of_prediction(prediction, target, weight).detach())
        alone = float(inner(prediction.mu, prediction.sigma, target, weight).detach())
        assert together == pytest.approx(
            alone + 0.5 * float(HeatmapLoss(1.0).of_prediction(prediction, target, weight)), rel=1e-5
        )
        assert loss.density is inner
        assert loss.learns_sigma == inner.learns_sigma
        torch.testing.assert_close(loss.error_distribution().std, inner.error_distribution().std, equal_nan=True)


def test_heatmaps_have_no_density_of_errors() -> None:
    loss = HeatmapLoss()
    assert loss.density is None
    assert loss.error_distribution().std.isnan().all()


@pytest.mark.parametrize("make", [HeatmapLoss, lambda: WithHeatmaps(L1Loss())])
def test_a_model_without_maps_is_refused(make: Any) -> None:
    prediction, target, weight = case()
    prediction.maps = None
    with pytest.raises(ValueError, match="heatmaps"):
        make().of_prediction(prediction, target, weight)


@pytest.mark.parametrize(("size", "sigma"), [((64, 48), 2.0), ((96, 72), 3.0), ((32, 32), 1.0)])
def test_a_bump_is_as_wide_as_the_map_is_large(size: tuple[int, int], sigma: float) -> None:
    target = torch.tensor([[[0.1, -0.2]]])
    maps, _ = target_maps(target, size, sigma)
    predicted = Prediction(target, torch.ones_like(target), torch.ones(1, 1), ErrorDistribution.unknown(2), maps)
    assert float(HeatmapLoss().of_prediction(predicted, target, torch.ones(1, 1))) == 0


def test_a_bump_has_a_width() -> None:
    with pytest.raises(ValueError, match="sigma"):
        HeatmapLoss(0)


def test_the_cross_entropy_is_the_naive_loop() -> None:
    """Cross-entropy of the cell that detectron2's `keypoints_to_heatmap` gives, over labelled joints inside the box."""
    torch.manual_seed(0)
    size = (7, 5)
    maps = torch.randn(2, len(POSITIONS), *size, dtype=torch.float64)
    target = torch.tensor([POSITIONS, POSITIONS[::-1]], dtype=torch.float64)
    weight = torch.ones(2, len(POSITIONS))
    weight[0, 1] = weight[1, 0] = 0
    entropies = []
    for i in range(2):
        for k in range(len(POSITIONS)):
            x, y = ((float(target[i, k, axis]) + 0.5) * size[1 - axis] for axis in (0, 1))
            column, row = (int(side) - 1 if at == side else math.floor(at) for at, side in ((x, size[1]), (y, size[0])))
            if weight[i, k] and 0 <= column < size[1] and 0 <= row < size[0]:
                total = sum(math.exp(value) for value in maps[i, k].flatten().tolist())
                entropies.append(math.log(total) - float(maps[i, k, row, column]))
    assert len(entropies) == 7
    nothing = torch.zeros_like(target)
    predicted = Prediction(nothing, nothing + 1, nothing[..., 0], ErrorDistribution.unknown(2), maps)
    assert float(CellLoss().of_prediction(predicted, target, weight)) == pytest.approx(
        sum(entropies) / len(entropies), rel=1e-6
    )
    assert float(CellLoss().of_prediction(predicted, target, 0 * weight)) == 0
    assert float(CellLoss().of_prediction(predicted, target + 3, weight)) == 0
    blind = Prediction(nothing, nothing + 1, nothing[..., 0], ErrorDistribution.unknown(2))
    with pytest.raises(ValueError, match="heatmaps"):
        CellLoss().of_prediction(blind, target, weight)


@pytest.mark.parametrize("shared", [False, True])
def test_the_shared_loss_is_least_where_the_mean_is_the_position(shared: bool) -> None:
    """The loss is least at bilinear weights, whose mean is the joint's position."""
    torch.manual_seed(0)
    size = (6, 5)
    target = torch.tensor([[[0.13, -0.21], [-0.02, 0.3], [0.5, 0.5], [-0.5, -0.48]]], dtype=torch.float64)
    maps = torch.zeros(1, 4, *size, dtype=torch.float64, requires_grad=True)
    weight, nothing = torch.ones(1, 4), torch.zeros_like(target)
    optimiser = torch.optim.LBFGS([maps], max_iter=400, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        predicted = Prediction(nothing, nothing + 1, nothing[..., 0], ErrorDistribution.unknown(2), maps)
        value = CellLoss(shared).of_prediction(predicted, target, weight)
        value.backward()
        return value

    optimiser.step(closure)
    shares = maps.detach().flatten(2).softmax(dim=2).view_as(maps)
    columns = (torch.arange(size[1]) + 0.5) / size[1] - 0.5
    rows = (torch.arange(size[0]) + 0.5) / size[0] - 0.5
    mean = torch.stack([(shares.sum(dim=2) * columns).sum(dim=2), (shares.sum(dim=3) * rows).sum(dim=2)], dim=-1)
    half = torch.tensor([0.5 / size[1], 0.5 / size[0]])
    within = torch.minimum(torch.maximum(target, half - 0.5), 0.5 - half)  # no mean is beyond the outermost middle
    apart = (mean - within).abs().amax(dim=(0, 2))
    if shared:
        assert apart.max() < 2e-3
    else:
        assert apart[:2].min() > 0.02


def test_regression_and_cells_are_the_sum_of_both() -> None:
    torch.manual_seed(0)
    prediction, target, weight = case()
    loss = WithHeatmaps(L1Loss(), weight=0.5, cells=True)
    together = float(loss.of_prediction(prediction, target, weight).detach())
    alone = float(L1Loss()(prediction.mu, prediction.sigma, target, weight).detach())
    cells = float(CellLoss(shared=True).of_prediction(prediction, target, weight))
    assert together == pytest.approx(alone + 0.5 * cells, rel=1e-5)
    again = loss_from_config(loss.config())
    assert isinstance(again, WithHeatmaps)
    assert again.config() == loss.config()
    assert float(again.of_prediction(prediction, target, weight).detach()) == pytest.approx(together)
    with pytest.raises(ValueError, match="sigma"):
        WithHeatmaps(L1Loss(), sigma=1.0, cells=True)
