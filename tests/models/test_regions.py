"""RoIAlign over a pyramid, against a loop that samples point by point; the heads of regions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from logpose.core.structures import ErrorDistribution
from logpose.models.regions import HeatmapHead, RegressionHead, levels_of, peaks_in_boxes, roi_align


def bilinear(level: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Features (C,) between cells, those at the rim as far as one likes."""
    height, width = level.shape[1:]
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    a, b = x - left, y - top
    upper = level[:, top, left] * (1 - a) + level[:, top, right] * a
    lower = level[:, bottom, left] * (1 - a) + level[:, bottom, right] * a
    return upper * (1 - b) + lower * b


def by_loop(level: torch.Tensor, box: list[float], stride: int, size: int, sampling: int) -> torch.Tensor:
    x0, y0, x1, y1 = (value / stride for value in box)
    wide, high = max(x1 - x0, 1.0) / size, max(y1 - y0, 1.0) / size
    cells = torch.zeros(level.shape[0], size, size, dtype=level.dtype)
    for row in range(size):
        for column in range(size):
            for i in range(sampling):
                for j in range(sampling):
                    x = x0 + (column + (i + 0.5) / sampling) * wide
                    y = y0 + (row + (j + 0.5) / sampling) * high
                    cells[:, row, column] += bilinear(level, x, y) / sampling**2
    return cells


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_features_are_those_of_a_loop(seed, sampling):
    generator = torch.Generator().manual_seed(seed)
    levels = [torch.rand(2, 3, 64 >> i, 48 >> i, generator=generator, dtype=torch.float64) for i in range(4)]
    boxes = []
    for count in (2, 0) if seed % 2 else (1, 2):
        corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * torch.tensor([192.0, 256.0])
        size = torch.rand(count, 1, generator=generator, dtype=torch.float64) ** 3  # some are tiny
        low = corners.amin(dim=1)
        boxes.append(torch.cat([low, low + (corners.amax(dim=1) - low) * size], dim=1))
    found = roi_align(levels, boxes, 3, sampling)
    assert found.shape == (sum(map(len, boxes)), 3, 3, 3)
    row = 0
    for image, own in enumerate(boxes):
        for box in own.tolist():
            side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
            level = min(max(math.floor(4 + math.log2(max(side, 1e-9) / 224) + 1e-6), 2), 5) - 2
            expected = by_loop(levels[level][image], box, 4 << level, 3, sampling)
            assert torch.allclose(found[row], expected, atol=1e-9)
            row += 1


@pytest.mark.parametrize(
    ("side", "level"), [(1, 0), (56, 0), (111, 0), (112, 1), (224, 2), (448, 3), (4000, 3), (0, 0)]
)
def test_larger_boxes_are_read_from_coarser_levels(side, level):
    box = torch.tensor([[10.0, 20.0, 10.0 + side, 20.0 + side]])
    assert levels_of(box, 4).tolist() == [level]


def test_a_gradient_reaches_the_features():
    levels = [torch.rand(1, 2, 16 >> i, 16 >> i, requires_grad=True) for i in range(2)]
    roi_align(levels, [torch.tensor([[0.0, 0.0, 60.0, 60.0]])], 2).sum().backward()
    assert levels[0].grad.sum() == pytest.approx(8.0, abs=1e-4)  # each of 8 cells is a mean
    assert not levels[1].grad.any()


@pytest.mark.parametrize("autocast", [True, False])
def test_places_are_exact_in_half_precision(autocast):
    # In bfloat16 columns from 128 on would be a cell apart at best; these features are the column.
    level = (torch.arange(200) % 16).expand(1, 1, 200, 200).bfloat16()
    boxes = [torch.tensor([[4 * 131.0, 40.0, 4 * 139.0, 72.0]])]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = roi_align([level], boxes, 4)
    assert found.dtype == torch.bfloat16
    assert found[0, 0, 0].tolist() == pytest.approx([4.0, 6.0, 8.0, 10.0])  # 131 % 16 = 3, cells are 2 wide


def counted(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_heads_have_the_published_numbers_of_parameters():
    assert counted(RegressionHead(512, 17, predicts_sigma=True)) == 34_884
    assert counted(RegressionHead(512, 17, predicts_sigma=False)) == 34_884 / 2
    assert counted(HeatmapHead(512, 17)) == 139_281


def test_a_regression_head_begins_in_the_middle_of_the_box():
    output = RegressionHead(64, 17, predicts_sigma=True)(torch.rand(3, 64, 14, 14), ErrorDistribution.unknown(2))
    assert output.mu.abs().max() < 0.1
    assert (output.sigma - 0.5).abs().max() < 0.1
    assert torch.allclose(output.confidence, 1 - output.sigma.mean(dim=-1))


def test_places_are_the_mean_of_cells():
    torch.manual_seed(0)
    head, features = RegressionHead(6, 3, True, "cells"), torch.randn(2, 6, 14, 14)
    with torch.no_grad():
        output = head(features, ErrorDistribution.unknown(2))
    logits = torch.einsum("kc,nchw->nkhw", head.fc_mu.weight[..., 0, 0].detach(), features)
    logits = logits + head.fc_mu.bias.detach()[:, None, None]
    for image in range(2):
        for joint in range(3):
            share = logits[image, joint].exp() / logits[image, joint].exp().sum()
            x = sum(float(share[:, i].sum()) * ((i + 0.5) / 14 - 0.5) for i in range(14))
            y = sum(float(share[i].sum()) * ((i + 0.5) / 14 - 0.5) for i in range(14))
            assert output.mu[image, joint].tolist() == pytest.approx([x, y], abs=1e-5)
    assert ((output.sigma > 0) & (output.sigma < 1)).all()


def test_places_are_the_mean_of_what_the_heatmap_head_draws():
    """The same weights in both: of a map that is nowhere but at one cell, the mean lies where its peak is."""
    torch.manual_seed(0)
    head, drawing, features = RegressionHead(6, 3, True, "maps"), HeatmapHead(6, 3), torch.randn(2, 6, 14, 14)
    drawing.load_state_dict({k: v for k, v in head.state_dict().items() if k.startswith("kps_score_lowres.")})
    with torch.no_grad():
        output, drawn = (module(features, ErrorDistribution.unknown(2)) for module in (head, drawing))
    assert torch.equal(output.maps, drawn.maps)
    share = output.maps.exp() / output.maps.exp().sum(dim=(2, 3), keepdim=True)
    middles = (torch.arange(56) + 0.5) / 56 - 0.5
    x, y = (share.sum(dim=2) * middles).sum(dim=2), (share.sum(dim=3) * middles).sum(dim=2)
    torch.testing.assert_close(output.mu, torch.stack([x, y], dim=-1), atol=1e-5, rtol=0)
    assert counted(head) == counted(drawing) + 6 * 3 * 2 + 3 * 2


def test_sharper_means_lie_closer_to_the_likelier_of_two_places():
    """A joint at -.25 with three times the odds of +.25: by the p-th power of probabilities the odds are 3^p."""
    head = RegressionHead(1, 1, False, "cells", sharpness=2.0)
    torch.nn.init.ones_(head.fc_mu.weight)
    torch.nn.init.zeros_(head.fc_mu.bias)
    features = torch.full((1, 1, 14, 14), -50.0)
    features[..., 7, 3], features[..., 7, 10] = math.log(3.0), 0.0
    for sharpness in (1.0, 2.0, 4.0):
        head.sharpness = sharpness
        share = 3**sharpness / (3**sharpness + 1)
        x = share * (3.5 / 14 - 0.5) + (1 - share) * (10.5 / 14 - 0.5)
        output = head(features, ErrorDistribution.unknown(2))
        assert output.mu[0, 0].tolist() == pytest.approx([x, 7.5 / 14 - 0.5], abs=1e-6)
        assert torch.equal(output.maps, features)


def test_four_convolutions_and_an_average_are_blind_to_places_and_cells_are_not():
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU())]
    stack, one, other = torch.nn.Sequential(*layers), torch.zeros(1, 4, 14, 14), torch.zeros(1, 4, 14, 14)
    one[..., 6, 5] = other[..., 7, 8] = 3.0
    for places, moves in (("average", False), ("cells", True), ("maps", True)):
        head = RegressionHead(4, 2, True, places)
        apart = (
            (head(stack(one), ErrorDistribution.unknown(2)).mu - head(stack(other), ErrorDistribution.unknown(2)).mu)
            .abs()
            .max()
        )
        assert (apart > 1e-5) == moves


def test_peaks_are_where_the_enlarged_map_is_greatest():
    torch.manual_seed(1)
    maps = 5 * torch.randn(2, 3, 8, 8)
    boxes = torch.tensor([[10.0, 20.0, 33.5, 60.0], [0.0, 0.0, 4.0, 0.5]])
    places, sure = peaks_in_boxes(maps, boxes)
    for i, (width, height) in enumerate([(24, 40), (4, 1)]):
        large = F.interpolate(maps[i, None], (height, width), mode="bicubic")[0]
        for k in range(3):
            best = max(((y, x) for y in range(height) for x in range(width)), key=lambda at: float(large[k][at]))
            assert places[i, k].tolist() == pytest.approx(
                [(best[1] + 0.5) / width - 0.5, (best[0] + 0.5) / height - 0.5]
            )
            # The cells of the map itself, two on either side of the one that the place lies in.
            x, y = math.floor((best[1] + 0.5) / width * 8), math.floor((best[0] + 0.5) / height * 8)
            near = maps[i, k, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].flatten().tolist()
            share = sum(map(math.exp, near)) / sum(map(math.exp, maps[i, k].flatten().tolist()))
            assert float(sure[i, k]) == pytest.approx(share, rel=1e-4)


def test_a_joint_between_two_places_is_half_sure():
    """However fine the cells are that its probability is spread over."""
    cells = (torch.arange(56) + 0.5) / 56 - 0.5
    one, other = (
        torch.exp(-(((cells[None, :] - x) ** 2 + (cells[:, None] - y) ** 2) / (2 * 0.01**2)))
        for x, y in ((-0.3, -0.2), (0.25, 0.4))
    )
    maps = (torch.stack([one, one + 0.999 * other]) + 1e-9).log()[None]
    box = torch.tensor([[0.0, 0.0, 100.0, 100.0]])
    (sure,) = peaks_in_boxes(maps, box)[1]
    assert sure.tolist() == pytest.approx([1.0, 0.5], abs=0.03)
    head = HeatmapHead(4, 2)
    torch.nn.init.zeros_(head.kps_score_lowres.weight)
    assert head(torch.rand(1, 4, 14, 14), ErrorDistribution.unknown(2)).confidence.max() <= 25 / 56**2 + 1e-6


def test_no_peaks_of_nobody():
    places, sure = peaks_in_boxes(torch.zeros(0, 17, 56, 56), torch.zeros(0, 4))
    assert places.shape == (0, 17, 2)
    assert sure.shape == (0, 17)


def test_maps_of_small_boxes_are_read_as_finely_as_they_are_drawn():
    """A box of 10 pixels has 56 cells a side: at a cell for each pixel places come in tenths of it."""
    at = torch.tensor([0.237, -0.181])
    cells = (torch.arange(56) + 0.5) / 56 - 0.5
    maps = -(((cells[None, :] - at[0]) ** 2 + (cells[:, None] - at[1]) ** 2) / (2 * 0.03**2))[None, None]
    box = torch.tensor([[3.0, 4.0, 13.0, 14.0]])
    coarse, fine = (peaks_in_boxes(maps, box, finest)[0][0, 0] for finest in (0, 112))
    assert (coarse - torch.tensor([0.25, -0.15])).abs().max() < 1e-6
    assert (fine - at).abs().max() < 1 / 112
    large = torch.tensor([[0.0, 0.0, 300.0, 200.0]])
    assert torch.equal(peaks_in_boxes(maps, large, 0)[0], peaks_in_boxes(maps, large, 112)[0])
