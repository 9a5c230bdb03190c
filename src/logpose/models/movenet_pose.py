"""MoveNet for one person (Google, 2021), as it was published: heatmaps read near a regressed place."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from logpose.core.geometry import PADDING
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.models.movenet import HIDDEN, PYRAMID, MoveNetTrunk, Separable
from logpose.models.pose_model import PoseModel

__all__ = ["MoveNet"]

NEAR = 1.8
"""Cells added to a distance before a map is divided by it."""


class MoveNet(PoseModel):
    """MoveNet as it was published: COCO's joints, of the person closest to the middle of the crop.

    The person is where the map of centres, divided by the distance from the middle, is greatest. Each joint is where
    its heatmap, divided by the distance from the place that a regression from there predicts, is greatest, moved by
    the offset predicted there. Its confidence is the heatmap's value; it has no sigma.

    Args:
        backbone: its network.
        skeleton, size, padding, pixel_mean, pixel_std: see `PoseModel`.
    """

    kind = "movenet"
    HEADS: ClassVar[tuple[str, ...]] = ("kpt_heatmap", "center", "kpt_regress", "kpt_offset")

    def __init__(
        self,
        backbone: MoveNetTrunk,
        skeleton: Skeleton,
        size: tuple[int, int],
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = MoveNetTrunk.pixel_mean,
        pixel_std: tuple[float, float, float] = MoveNetTrunk.pixel_std,
    ) -> None:
        super().__init__(skeleton, size, 2, padding, pixel_mean, pixel_std)
        self._check_divisible()
        self.backbone, self.output_type = backbone, "heatmaps"
        self.kpt_heatmap = nn.ModuleDict({"conv2d": nn.Conv2d(HIDDEN, len(skeleton), 1)})
        for name, outputs in zip(self.HEADS[1:], (1, 2 * len(skeleton), 2 * len(skeleton)), strict=True):
            parts = {"separable_conv2d": Separable(PYRAMID[-1], HIDDEN), "conv2d": nn.Conv2d(HIDDEN, outputs, 1)}
            self.add_module(name, nn.ModuleDict(parts))

    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop, in crop coordinates."""
        fine, _ = self.backbone.pyramid(self.normalised(images))
        maps = self.kpt_heatmap["conv2d"](self.backbone.kpt_heatmap["separable_conv2d"](fine)).sigmoid()
        heads = (getattr(self, name) for name in self.HEADS[1:])
        center, regression, offset = (head["conv2d"](head["separable_conv2d"](fine)) for head in heads)
        height, width = maps.shape[2:]
        cells = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).to(maps)  # (y, x)

        def greatest(value: Float[Tensor, "B K h w"], near: Float[Tensor, "*B K 2"]) -> Int64[Tensor, "B K"]:
            apart = (cells - near[..., None, None]).square().sum(dim=-3).sqrt()
            return (value / (apart + NEAR)).flatten(2).argmax(dim=2)

        def moved(outputs: Float[Tensor, "B K2 h w"], cell: Int64[Tensor, "B K"]) -> Float[Tensor, "B K 2"]:
            by = outputs.flatten(2).gather(2, cell.repeat_interleave(2, dim=1)[..., None]).view(*cell.shape, 2)
            return torch.stack([cell // width, cell % width], dim=-1) + by

        middle = greatest(center.sigmoid(), cells.new_tensor([[height // 2, width // 2]]))
        joints = greatest(maps, moved(regression, middle.expand(-1, len(self.skeleton))))
        mu = (moved(offset, joints) / cells.new_tensor([height, width]) - 0.5).flip(-1)
        peak = maps.flatten(2).gather(2, joints[..., None])[..., 0]
        return Prediction(mu, torch.ones_like(mu), peak, self.error_distribution, maps)
