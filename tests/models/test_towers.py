"""Layers of point-set anchors: towers, features read at an anchor's own points, pyramids."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.models import HRNet, ResNet, create_backbone
from logpose.models.towers import ShapeIndexed, Stage, conv_gn, focal_loss, pyramid_on, read_at


def naive_read(features: Tensor, x: float, y: float) -> Tensor:
    """Bilinear interpolation between cells, one corner at a time."""
    channels, height, width = features.shape
    total = torch.zeros(channels)
    for column in (math.floor(x), math.floor(x) + 1):
        for row in (math.floor(y), math.floor(y) + 1):
            if 0 <= column < width and 0 <= row < height:
                total += features[:, row, column] * (1 - abs(x - column)) * (1 - abs(y - row))
    return total


@given(seed=st.integers(0, 10_000), size=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_features_are_read_as_a_loop_reads_them(seed: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, *size, generator=generator)
    places = torch.rand(2, 4, 9, 2, generator=generator) * 8 - 2  # some outside
    found = read_at(features, places)
    for image in range(2):
        for anchor in range(4):
            for point in range(9):
                x, y = places[image, anchor, point].tolist()
                assert torch.allclose(found[image, :, anchor, point], naive_read(features[image], x, y), atol=1e-4)


def test_taps_at_their_own_cells_are_a_convolution() -> None:
    torch.manual_seed(0)
    layer = ShapeIndexed(4)
    features = torch.randn(1, 4, 5, 6)
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    taps = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    places = torch.stack([torch.stack([columns + dx, rows + dy], dim=-1) for dx, dy in taps], dim=2)
    found = layer.conv(read_at(features, places.reshape(1, 30, 9, 2)))[..., 0]
    kernel = layer.conv.weight[:, :, 0].reshape(4, 4, 3, 3)
    assert torch.allclose(found.view(1, 4, 5, 6), F.conv2d(features, kernel, padding=1), atol=1e-6)


def test_a_stage_has_outputs_of_every_anchor_of_every_level() -> None:
    torch.manual_seed(0)
    stage = Stage(channels=8, depth=1, joints=5, each=4)
    levels = [torch.randn(2, 8, 4, 3), torch.randn(2, 8, 2, 2)]
    places = [torch.rand(2, 12, 9, 2), torch.rand(2, 4, 9, 2)]
    with torch.no_grad():
        output, alone = stage(levels, places), stage(levels[1:], places[1:])
    assert output.logits.shape == (2, 16)
    assert output.poses.shape == (2, 16, 5, 4)
    assert output.boxes.shape == (2, 16, 4)
    # An untrained network is 1 % sure of everybody.
    assert float(output.logits.sigmoid().mean()) == pytest.approx(0.01, rel=0.3)
    # Outputs of one level does not depend on the others.
    assert torch.allclose(output.poses[:, 12:], alone.poses, atol=1e-6)


def test_the_focal_loss_is_its_formula() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, 3.0]])
    state = torch.tensor([[1.0, 1.0, -1.0, 0.0]])
    expected = 0.0
    for logit, truth in ((2.0, 1), (-1.0, 1), (0.5, -1)):
        p = 1 / (1 + math.exp(-logit))
        right, share = (p, 0.25) if truth == 1 else (1 - p, 0.75)
        expected -= share * (1 - right) ** 2 * math.log(right)
    assert float(focal_loss(logits, state)) == pytest.approx(expected, rel=1e-5)


def test_the_focal_loss_of_extreme_logits_is_finite() -> None:
    logits = torch.tensor([[-500.0, 500.0, -500.0, 500.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([[1.0, -1.0, -1.0, 1.0]]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(500 * 0.25 + 500 * 0.75)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("backbone", ["resnet18", "hrnet_w32"])
def test_levels_have_the_strides_of_their_description(backbone: str) -> None:
    torch.manual_seed(0)
    trunk = pyramid_on(create_backbone(backbone, (64, 96), neck=False, all_branches=True), 16).eval()
    with torch.no_grad():
        levels = trunk(torch.randn(1, 3, 64, 96))
    assert [level.shape for level in levels] == [(1, 16, 64 // s, 96 // s) for s in trunk.strides]
    assert trunk.strides == (8, 16, 32)


@pytest.mark.parametrize("backbone", ["resnet18", "hrnet_w32"])
def test_a_gradient_reaches_every_parameter_of_a_pyramid(backbone: str) -> None:
    torch.manual_seed(0)
    trunk = pyramid_on(create_backbone(backbone, (64, 64), neck=False, all_branches=True), 16)
    sum(level.square().sum() for level in trunk(torch.randn(2, 3, 64, 64))).backward()
    inapplicable = [name for name, p in trunk.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not inapplicable


def test_a_change_far_away_reaches_the_finest_level_through_the_coarse_ones() -> None:
    torch.manual_seed(0)
    trunk = pyramid_on(ResNet(18), 8).eval()
    one = torch.randn(1, 3, 64, 64)
    levels = trunk(one)
    # What the coarsest lateral adds is in all of them.
    assert trunk.lateral[2].bias is not None
    with torch.no_grad():
        trunk.lateral[2].bias += 1  # type: ignore[operator]
    assert all(not torch.allclose(a, b) for a, b in zip(levels, trunk(one), strict=True))


def test_backbones_of_one_stride_are_refused() -> None:
    class Plain(nn.Module):
        channels = 3

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    for backbone in (Plain(), HRNet(32, neck=False)):
        with pytest.raises(InputError, match="strides"):
            pyramid_on(backbone, 8)


def test_groups_divide_any_width() -> None:
    for channels, groups in ((256, 32), (48, 24), (7, 7), (64, 32), (33, 11)):
        norm = conv_gn(3, channels, 3)[1]
        assert isinstance(norm, nn.GroupNorm)
        assert norm.num_groups == groups
