"""Layers of point-set anchors: pyramids of features, and towers read at the anchors' own points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.models.anchors import POINTS
from logpose.models.backbone import Backbone, FeatureExtractor
from logpose.models.heads import exactly
from logpose.models.peaks import START

__all__ = ["FeaturePyramid", "HighResolutionPyramid", "ShapeIndexed", "Stage", "focal_loss", "pyramid_on", "read_at"]

TOWERS = ("classification", "pose", "box")
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # alpha and gamma of the focal loss (Lin et al. 2017b)
SPREAD = 0.1
"""Sigma of an untrained network, in the anchor's unit: about the distance of joints from those of their anchors."""
PRIOR = 0.01  # score of every anchor of an untrained network, against the many negatives (Lin et al. 2017b)
GROUPS = 32  # groups of group normalisation; fewer where the channels do not divide by it


def conv_gn(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, which pads for its input's size, group normalisation, a ReLU."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, group_norm(out), nn.ReLU(inplace=True))


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation of 32 groups, or of as many as divide the channels."""
    return nn.GroupNorm(next(groups for groups in range(GROUPS, 0, -1) if channels % groups == 0), channels)


class Pyramid(nn.Module):
    """Base of the pyramids: levels of one width at strides of 8, 16 and 32 pixels, from a backbone's `stages`."""

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


class ShapeIndexed(nn.Module):
    """A deformable 3×3 convolution, whose taps read features at nine given points, group normalisation, a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (1, POINTS), bias=False)
        self.norm = group_norm(channels)
        nn.init.normal_(self.conv.weight, std=START)

    def forward(self, features: Float[Tensor, "B C h w"], places: Float[Tensor, "B A P 2"]) -> Float[Tensor, "B C A"]:
        """New features of every anchor, from those of a level at (x, y) in its cells."""
        return F.relu(self.norm(self.conv(read_at(features, places))[..., 0]))


def read_at(features: Float[Tensor, "B C h w"], places: Float[Tensor, "B A P 2"]) -> Float[Tensor, "B C A P"]:
    """Features at any (x, y) in cells: between cells interpolated bilinearly, 0 outside."""
    extent = torch.tensor([features.shape[3], features.shape[2]], device=places.device)
    # In single precision always: half precision has positions to a quarter of a cell only.
    with torch.autocast(features.device.type, enabled=False):
        return F.grid_sample(features.float(), (2 * places.float() + 1) / extent - 1, align_corners=False)


class StageOutput(NamedTuple):
    """Output of a stage for all anchors of all levels."""

    logits: Float[Tensor, "B A"]
    poses: Float[Tensor, "B A K E"]
    """Along E the distances of x and y from the anchor's, and if sigma is predicted its logits for both."""
    boxes: Float[Tensor, "B A 4"]


class Stage(nn.Module):
    """The towers of one stage, `depth` convolutions each, shared by all levels, with shape-indexed and last layers.

    There are `each` outputs of a joint: 2, or 4 with sigma.
    """

    def __init__(self, channels: int, depth: int, joints: int, each: int) -> None:
        super().__init__()
        self.each = each
        counts = zip(TOWERS, (1, joints * each, 4), strict=True)
        towers = (nn.Sequential(*(conv_gn(channels, channels, 3) for _ in range(depth))) for _ in TOWERS)
        self.towers = nn.ModuleDict(dict(zip(TOWERS, towers, strict=True)))
        self.indexed = nn.ModuleDict({name: ShapeIndexed(channels) for name in TOWERS})
        self.last = nn.ModuleDict({name: nn.Linear(channels, count) for name, count in counts})
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=START)
        for name, layer in self.last.items():
            assert isinstance(layer, nn.Linear)
            nn.init.constant_(layer.bias, _logit(PRIOR) if name == "classification" else 0)
            if name == "pose" and each == 4:
                nn.init.constant_(layer.bias.view(joints, each)[:, 2:], _logit(SPREAD))

    def forward(self, levels: Sequence[Tensor], places: Sequence[Tensor]) -> StageOutput:
        """Outputs for the anchors of all levels (B, C, h, w), whose features are read at (B, h w, 9, 2), in cells."""
        found: dict[str, list[Tensor]] = {name: [] for name in TOWERS}
        for level, where in zip(levels, places, strict=True):
            for name in TOWERS:
                features = self.indexed[name](self.towers[name](level), where).transpose(1, 2)
                found[name].append(exactly(self.last[name], features))
        logits, poses, boxes = (torch.cat(found[name], dim=1) for name in TOWERS)
        return StageOutput(logits[..., 0], poses.view(*poses.shape[:2], -1, self.each), boxes)


def _logit(share: float) -> float:
    return float(torch.tensor(share).logit())


def focal_loss(logits: Float[Tensor, "B A"], state: Float[Tensor, "B A"]) -> Float[Tensor, ""]:
    """Sum over anchors of -alpha (1 - p)^gamma log p, with p the predicted probability of the true class.

    Lin et al. 2017b, Eq. 5. The state is 1 where a person is, -1 where not, 0 where the anchor does not count.
    """
    unlikely = torch.sigmoid(-logits * state)
    share = 0.5 + (FOCAL_ALPHA - 0.5) * state
    return (share * unlikely**FOCAL_GAMMA * F.softplus(-logits * state) * state.abs()).sum()
