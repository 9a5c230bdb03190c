"""Trunks with features at three strides."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from logpose.core.errors import InputError
from logpose.models import HRNet, ResNet, create_backbone
from logpose.models.pyramid import conv_gn, pyramid_on


@pytest.mark.parametrize("backbone", ["resnet18", "hrnet_w32"])
def test_levels_have_the_strides_that_they_are_said_to_have(backbone: str) -> None:
    torch.manual_seed(0)
    trunk = pyramid_on(create_backbone(backbone, (64, 96), neck=False, all_branches=True), 16).eval()
    with torch.no_grad():
        levels = trunk(torch.randn(1, 3, 64, 96))
    assert [level.shape for level in levels] == [(1, 16, 64 // s, 96 // s) for s in trunk.strides]
    assert trunk.strides == (8, 16, 32)


@pytest.mark.parametrize("backbone", ["resnet18", "hrnet_w32"])
def test_a_gradient_reaches_every_parameter(backbone: str) -> None:
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
