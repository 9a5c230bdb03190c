"""RoIAlign over a pyramid, against a loop that samples point by point."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from logpose.models.regions import levels_of, roi_align


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
    for picture, own in enumerate(boxes):
        for box in own.tolist():
            side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
            level = min(max(math.floor(4 + math.log2(max(side, 1e-9) / 224) + 1e-6), 2), 5) - 2
            expected = by_loop(levels[level][picture], box, 4 << level, 3, sampling)
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
    assert levels[1].grad is None


@pytest.mark.parametrize("autocast", [True, False])
def test_places_are_exact_in_half_precision(autocast):
    # In bfloat16 columns from 128 on would be a cell apart at best; these features tell the column.
    level = (torch.arange(200) % 16).expand(1, 1, 200, 200).bfloat16()
    boxes = [torch.tensor([[4 * 131.0, 40.0, 4 * 139.0, 72.0]])]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = roi_align([level], boxes, 4)
    assert found.dtype == torch.bfloat16
    assert found[0, 0, 0].tolist() == pytest.approx([4.0, 6.0, 8.0, 10.0])  # 131 % 16 = 3, cells are 2 wide
