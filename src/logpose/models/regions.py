"""Regions of an image: their features, and the joints in them as heatmaps (Mask R-CNN's) or mu and sigma (Table 2c).

RoIAlign is in plain PyTorch. It is equal to torchvision's operator (`MultiScaleRoIAlign`, `aligned=False`), but that
more than a cell beyond a level's edge, where the compiled one reads 0, the edge is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.structures import ErrorDistribution, Prediction
from logpose.models.heads import SigmaHead, exactly, prediction_of, small_start
from logpose.models.heatmap import expected
from logpose.models.options import Coordinates

__all__ = ["HeatmapHead", "RegressionHead", "levels_of", "peaks_in_boxes", "roi_align"]

NEAR = 2  # cells on either side of a position that count as being there
FINEST = 2  # the pyramid's first level is that of stride 2²
CANONICAL_SIZE, CANONICAL_LEVEL = 224.0, 4  # a box of ImageNet's size is read from the fourth level (FPN, Eq. 1)


def levels_of(boxes: Float[Tensor, "N 4"], count: int) -> Int64[Tensor, "N"]:
    """Level of each box x0, y0, x1, y1 (pixels), by its size, of `count` levels, the first of stride 4."""
    side = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(dim=1).sqrt()
    level = (CANONICAL_LEVEL + (side / CANONICAL_SIZE).clamp_min(1e-9).log2() + 1e-6).floor().long()
    return level.clamp(FINEST, FINEST + count - 1) - FINEST


def roi_align(
    levels: Sequence[Float[Tensor, "B C _h _w"]], boxes: Sequence[Float[Tensor, "_n 4"]], size: int, sampling: int = 2
) -> Float[Tensor, "N C s s"]:
    """Features of each image's boxes (x0, y0, x1, y1 in pixels) as grids of cells: means of bilinear samples.

    The first level has stride 4, each next one twice the stride; a cell has `sampling` samples along a side.
    """
    # In half precision positions would come in steps; autocast samples in float32 anyway.
    exact = torch.promote_types(levels[0].dtype, torch.float32)
    # Levels lie below each other in one map, so that no shape depends on how many boxes are read from which.
    width = levels[0].shape[3]
    extents = torch.tensor([level.shape[:1:-1] for level in levels], dtype=exact, device=levels[0].device)
    whole = torch.cat([F.pad(level, (0, width - level.shape[3])) for level in levels], dim=2).to(exact)
    first = F.pad(extents[:, 1].cumsum(0)[:-1], (1, 0))  # row of each level
    far = torch.tensor([whole.shape[3] - 1, whole.shape[2] - 1], dtype=exact, device=whole.device).clamp_min(1)
    # Samples lie at the middles of equal parts of the box.
    parts = (torch.arange(size * sampling, device=whole.device) + 0.5) / (size * sampling)
    found = []
    for image, own in enumerate(boxes):
        which = levels_of(own, len(levels))
        scaled = own / (2.0 ** (FINEST + which))[:, None]
        side = (scaled[:, 2:] - scaled[:, :2]).clamp_min(1)
        at = scaled[:, :2, None] + side[:, :, None] * parts  # n, (x, y), samples
        at = at.clamp_min(0).minimum((extents[which] - 1)[..., None])
        across, down = (2 * at / far[:, None] - 1).unbind(dim=1)
        down = down + (2 * first[which] / far[1])[:, None]
        both = (across[:, None, :].expand(-1, len(parts), -1), down[:, :, None].expand(-1, -1, len(parts)))
        grid = torch.stack(both, dim=-1).flatten(0, 1)[None].to(exact)
        sampled = F.grid_sample(whole[image, None], grid, padding_mode="border", align_corners=True)
        cells = sampled.view(whole.shape[1], len(own), size, sampling, size, sampling).mean(dim=(3, 5))
        found.append(cells.transpose(0, 1))
    return torch.cat(found).to(levels[0].dtype)


def _deconvolution(channels: int, joints: int) -> nn.ConvTranspose2d:
    """A layer from features to maps twice as fine; heads give it torchvision's name, whose weights it takes."""
    layer = nn.ConvTranspose2d(channels, joints, 4, stride=2, padding=1)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _drawn(layer: nn.ConvTranspose2d, features: Float[Tensor, "N C s s"]) -> Float[Tensor, "N K h w"]:
    """Maps four times as fine as features: twice by the layer, in full precision, and twice by interpolation."""
    return F.interpolate(exactly(layer, features), scale_factor=2.0, mode="bilinear", align_corners=False)


class RegressionHead(nn.Module):
    """Mu and, if wanted, sigma of every joint relative to a region's box.

    Args:
        channels: of the features of a region.
        joints: K.
        predicts_sigma: whether sigma is predicted, from averaged features.
        coordinates: what mu is read from. "average", the paper's: average pooling, and a linear layer to 4K numbers.
            "cells": the mean of cells, weighted by the softmax of a map of each joint, as in HRNet + RLE (the paper's
            supplement). "maps": the same of the heatmap head's own maps, four times as fine.
        sharpness: power of a map's probabilities by which cells are weighted. 1: the mean itself, which of a bimodal
            map lies between the modes; the greater, the closer to the likelier one.
    """

    def __init__(
        self,
        channels: int,
        joints: int,
        predicts_sigma: bool,
        coordinates: Coordinates = "average",
        sharpness: float = 1.0,
    ) -> None:
        super().__init__()
        self.sharpness, self.coordinates = sharpness, coordinates
        if coordinates == "average":
            self.fc_mu: nn.Module = nn.Linear(channels, joints * 2)
            small_start(self.fc_mu)
        elif coordinates == "cells":
            self.fc_mu = nn.Conv2d(channels, joints, 1)
        else:
            self.kps_score_lowres = _deconvolution(channels, joints)
        self.fc_sigma = SigmaHead(channels, joints, 2) if predicts_sigma else None

    def forward(self, features: Float[Tensor, "N C s s"], error_distribution: ErrorDistribution) -> Prediction:
        """Mu and sigma of each region, in coordinates of its box; and the maps of cells, if there are any."""
        pooled, maps = features.float().mean(dim=(2, 3)), None
        if self.coordinates == "average":
            mu = exactly(self.fc_mu, pooled).unflatten(1, (-1, 2))
        else:
            fine = self.coordinates == "maps"
            maps = _drawn(self.kps_score_lowres, features) if fine else exactly(self.fc_mu, features)
            share = (self.sharpness * maps).flatten(2).softmax(dim=2).view_as(maps)
            mu = expected(share) + 0.5 / maps.shape[3]  # a cell stands for its middle
        sigma = None if self.fc_sigma is None else exactly(self.fc_sigma, pooled)
        return prediction_of(mu, sigma, error_distribution, maps)


class HeatmapHead(nn.Module):
    """Maps of each joint over the region's box, four times as fine as its features (`losses.CellLoss` trains them)."""

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__()
        self.kps_score_lowres = _deconvolution(channels, joints)

    def forward(self, features: Float[Tensor, "N C s s"], error_distribution: ErrorDistribution) -> Prediction:
        """Maps, and the cells of their maxima; `peaks_in_boxes` refines these."""
        maps = _drawn(self.kps_score_lowres, features)
        at, width = maps.detach().flatten(2).argmax(dim=2), maps.shape[3]
        mu = (torch.stack([at % width, at // width], dim=-1) + 0.5) / width - 0.5
        return Prediction(mu, torch.ones_like(mu), _mass_around(maps.detach(), mu), error_distribution, maps)


def _mass_around(maps: Float[Tensor, "N K s s"], places: Float[Tensor, "N K 2"]) -> Float[Tensor, "N K"]:
    """Probability of joints near positions: the softmax of maps, summed over the `NEAR` cells on either side."""
    side, reach = maps.shape[-1], 2 * NEAR + 1
    share = maps.flatten(2).softmax(dim=2).view_as(maps)
    around = F.avg_pool2d(share, reach, stride=1, padding=NEAR) * reach**2
    cell = ((places + 0.5) * side).long().clamp(0, side - 1)
    return around.flatten(2).gather(2, (cell[..., 1] * side + cell[..., 0])[..., None])[..., 0].clamp(max=1)


def peaks_in_boxes(
    maps: Float[Tensor, "N K s s"], boxes: Float[Tensor, "N 4"], min_map_size: int = 0
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
    """Maximum of each map once it is as large as its box, in the box's crop coordinates, and the confidence.

    Maps of logits are enlarged bicubically to a cell for each pixel, `min_map_size` to a side at least; a joint lies in
    the middle of its pixel (detectron2's `heatmaps_to_keypoints`). The confidence is the softmax among the map's own
    cells, summed near the peak.
    """
    places = maps.new_zeros(*maps.shape[:2], 2)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp_min(max(1, min_map_size)).ceil().long().tolist()
    for i, (width, height) in enumerate(sides):
        large = F.interpolate(maps[i, None], (height, width), mode="bicubic", align_corners=False)[0]
        at = large.flatten(1).argmax(dim=1)
        cell = torch.stack([at % width, at // width], dim=-1) + 0.5
        places[i] = cell / maps.new_tensor([width, height]) - 0.5
    return places, _mass_around(maps, places)
