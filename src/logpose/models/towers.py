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
"""Alpha and gamma of the focal loss (Lin et al. 2017b)."""
SPREAD = 0.1
"""Sigma of an untrained network, in the anchor's unit: about the distance of joints from those of their anchors."""
PRIOR = 0.01
"""Score of every anchor of an untrained network, against the many negatives (Lin et al. 2017b)."""


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
    extent = places.new_tensor([features.shape[3], features.shape[2]])
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
    """The towers of one stage, shared by all levels, with their shape-indexed and last layers.

    Args:
        channels: of levels and towers.
        depth: convolutions of a tower.
        joints: K.
        each: outputs of each joint: 2, or 4 with sigma.
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

    Lin et al. 2017b, Eq. 5.

    Args:
        logits: of a person at the anchor.
        state: 1 where there is one, -1 where not, 0 where the anchor does not count.
    """
    unlikely = torch.sigmoid(-logits * state)
    share = 0.5 + (FOCAL_ALPHA - 0.5) * state
    return (share * unlikely**FOCAL_GAMMA * F.softplus(-logits * state) * state.abs()).sum()
