"""Predictions for pose anchors: towers of convolutions, and layers that read them at the anchors' own points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.models.anchors import POINTS
from logpose.models.peaks import START
from logpose.models.pose_model import exactly
from logpose.models.pyramid import conv_gn, group_norm

__all__ = ["ShapeIndexed", "Stage", "StageOutput", "focal_loss", "read_at"]

TOWERS = ("classification", "pose", "box")
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
"""Of the focal loss: the share of positives, and how little what is known already counts (Lin et al. 2017b)."""
SPREAD = 0.1
"""Sigma of an untrained network, in the anchor's unit: about as far as joints are from those of the anchors that are
given to them. Of half a unit, as other networks begin, the pull on mu would be weak until sigma has come down."""
PRIOR = 0.01
"""Score of every anchor of an untrained network: else the many negatives' loss is all there is (the same)."""


class ShapeIndexed(nn.Module):
    """A 3×3 convolution whose nine taps read features at nine given points, group normalisation, a ReLU.

    It is what a deformable convolution computes whose offsets lead to these places: features are interpolated between
    cells, and 0 outside.

    Args:
        channels: of features, and of what comes out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (1, POINTS), bias=False)
        self.norm = group_norm(channels)
        nn.init.normal_(self.conv.weight, std=START)

    def forward(self, features: Float[Tensor, "B C h w"], places: Float[Tensor, "B A P 2"]) -> Float[Tensor, "B C A"]:
        """New features of every anchor.

        Args:
            features: of a level.
            places: (x, y) in cells of the level.
        """
        return F.relu(self.norm(self.conv(read_at(features, places))[..., 0]))


def read_at(features: Float[Tensor, "B C h w"], places: Float[Tensor, "B A P 2"]) -> Float[Tensor, "B C A P"]:
    """Features at any places, (x, y) in cells: between cells interpolated bilinearly, 0 outside.

    In single precision always: half precision has positions to a quarter of a cell only.
    """
    extent = places.new_tensor([features.shape[3], features.shape[2]])
    with torch.autocast(features.device.type, enabled=False):
        return F.grid_sample(features.float(), (2 * places.float() + 1) / extent - 1, align_corners=False)


class StageOutput(NamedTuple):
    """Output of a stage for all anchors of all levels."""

    logits: Float[Tensor, "B A"]
    poses: Float[Tensor, "B A K E"]
    """Along E how far x and y are from the anchor's, and if sigma is predicted the logits of those of both."""
    boxes: Float[Tensor, "B A 4"]


class Stage(nn.Module):
    """The towers of one stage, shared by all levels, with their shape-indexed and last layers.

    Args:
        channels: of levels and towers.
        depth: convolutions of a tower.
        joints: K.
        each: outputs for each joint: 2, or 4 with sigma.
    """

    def __init__(self, channels: int, depth: int, joints: int, each: int) -> None:
        super().__init__()
        self.each = each
        outputs = dict(zip(TOWERS, (1, joints * each, 4), strict=True))
        self.towers = nn.ModuleDict(
            {name: nn.Sequential(*(conv_gn(channels, channels, 3) for _ in range(depth))) for name in TOWERS}
        )
        self.indexed = nn.ModuleDict({name: ShapeIndexed(channels) for name in TOWERS})
        self.last = nn.ModuleDict({name: nn.Linear(channels, count) for name, count in outputs.items()})
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=START)
        for layer in self.last.values():
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.bias)
            if layer is self.last["pose"] and each == 4:
                nn.init.constant_(layer.bias.view(joints, each)[:, 2:], float(torch.tensor(SPREAD).logit()))
        last = self.last["classification"]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, float(torch.tensor(PRIOR).logit()))

    def forward(self, levels: Sequence[Tensor], places: Sequence[Tensor]) -> StageOutput:
        """Outputs for the anchors of all levels, joined.

        Args:
            levels: of features, (B, C, h, w) each.
            places: of each level where its anchors' features are read, (B, h w, 9, 2), in its cells.
        """
        found: dict[str, list[Tensor]] = {name: [] for name in TOWERS}
        for level, where in zip(levels, places, strict=True):
            for name in TOWERS:
                features = self.indexed[name](self.towers[name](level), where).transpose(1, 2)
                found[name].append(exactly(self.last[name], features))
        logits, poses, boxes = (torch.cat(found[name], dim=1) for name in TOWERS)
        return StageOutput(logits[..., 0], poses.view(*poses.shape[:2], -1, self.each), boxes)


def focal_loss(logits: Float[Tensor, "B A"], state: Float[Tensor, "B A"]) -> Float[Tensor, ""]:
    """Sum over anchors of -alpha (1 - p)^gamma log p, p being how likely was what is right (Lin et al. 2017b, Eq. 5).

    Args:
        logits: of a person at the anchor.
        state: 1 where there is, -1 where not, 0 where neither is right.
    """
    unlikely = torch.sigmoid(-logits * state)
    share = 0.5 + (FOCAL_ALPHA - 0.5) * state
    return (share * unlikely**FOCAL_GAMMA * F.softplus(-logits * state) * state.abs()).sum()
