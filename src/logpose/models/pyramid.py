"""Trunks of detectors of people of several sizes: features of one width at strides of 8, 16 and 32 pixels."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.models.backbone import Backbone, FeatureExtractor

__all__ = ["GROUPS", "FeaturePyramid", "HighResolutionPyramid", "conv_gn", "pyramid_on"]

GROUPS = 32
"""Groups of group normalisation; fewer where the channels do not divide by it."""


def conv_gn(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, which pads for its input's size, group normalisation, a ReLU."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, group_norm(out), nn.ReLU(inplace=True))


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation of 32 groups, or of as many as divide the channels."""
    return nn.GroupNorm(next(groups for groups in range(GROUPS, 0, -1) if channels % groups == 0), channels)


class Pyramid(nn.Module):
    """Base of the pyramids: levels of one width at strides of 8, 16 and 32 pixels.

    Args:
        backbone: with the `stages` that a pyramid needs.
        channels: of every level.
    """

    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)

    def __init__(self, backbone: FeatureExtractor, channels: int) -> None:
        super().__init__()
        self.backbone, self.channels = backbone, channels

    @staticmethod
    def start(*parts: nn.Module) -> None:
        """Initialise convolutions as detectors' codes do: Xavier's weights for these shapes, no bias."""
        for conv in (module for part in parts for module in part.modules()):
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_uniform_(conv.weight, a=1)
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)


class FeaturePyramid(Pyramid):
    """A feature pyramid (Lin et al. 2017) on a backbone's last three stages, of strides 8, 16 and 32."""

    def __init__(self, backbone: FeatureExtractor, channels: int) -> None:
        super().__init__(backbone, channels)
        widths = backbone.stage_channels[-len(self.strides) :]
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in widths)
        self.start(self.lateral, self.output)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Levels of normalised images, finest first."""
        stages = self.backbone.stages(x)[-len(self.strides) :]
        found = [lateral(stage) for lateral, stage in zip(self.lateral, stages, strict=True)]
        for fine in range(len(found) - 2, -1, -1):
            found[fine] = found[fine] + F.interpolate(found[fine + 1], size=found[fine].shape[-2:], mode="nearest")
        return [output(level) for output, level in zip(self.output, found, strict=True)]


class HighResolutionPyramid(Pyramid):
    """The pyramid of HRNets (HRFPN; Sun et al. 2019b), with convolutions of stride 2 as Wei et al. (2020) have them.

    All four branches are brought to the finest one's resolution, stacked and narrowed; the result, averaged over 1, 2
    and 4 cells, is convolved with a stride of 2.
    """

    def __init__(self, backbone: FeatureExtractor, channels: int) -> None:
        super().__init__(backbone, channels)
        self.narrow = conv_gn(sum(backbone.stage_channels), channels, 1)
        self.output = nn.ModuleList(conv_gn(channels, channels, 3, stride=2) for _ in self.strides)
        self.start(self.narrow, self.output)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Levels of normalised images, finest first."""
        branches = self.backbone.stages(x)
        size = branches[0].shape[-2:]
        enlarged = [branches[0], *(F.interpolate(b, size=size, mode="bilinear") for b in branches[1:])]
        merged = self.narrow(torch.cat(enlarged, dim=1))
        levels = [merged if i == 0 else F.avg_pool2d(merged, 2**i, ceil_mode=True) for i in range(len(self.output))]
        return [output(level) for output, level in zip(self.output, levels, strict=True)]


def pyramid_on(backbone: Backbone, channels: int) -> FeaturePyramid | HighResolutionPyramid:
    """The pyramid that goes with a backbone.

    Raises:
        InputError: if the backbone does not give features at several strides.
    """
    if isinstance(backbone, FeatureExtractor):
        if backbone.parallel and len(backbone.stage_channels) == 4:
            return HighResolutionPyramid(backbone, channels)
        if not backbone.parallel and len(backbone.stage_channels) >= len(FeaturePyramid.strides):
            return FeaturePyramid(backbone, channels)
    raise InputError(
        "a pyramid needs features at several strides, as of a ResNet or an HRNet with all branches; "
        f"{getattr(backbone, 'name', type(backbone).__name__)} gives those of one"
    )
