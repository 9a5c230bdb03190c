"""Features of regions of an image: RoIAlign over the levels of a feature pyramid, in plain PyTorch.

Equal to torchvision's operator (`MultiScaleRoIAlign`, `aligned=False`), but that more than a cell beyond a level's
edge, where the compiled one reads 0, the edge is repeated. It needs no compiled operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

__all__ = ["levels_of", "roi_align"]

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
    """Features of boxes, each as a grid of cells: means of bilinear samples.

    Args:
        levels: of the pyramid, the first of stride 4, each next one of twice the stride.
        boxes: of each image, x0, y0, x1, y1 in pixels; image after image they make N.
        size: cells along a side.
        sampling: samples along a side of a cell.
    """
    channels = levels[0].shape[1]
    features = levels[0].new_zeros(sum(map(len, boxes)), channels, size, size)
    # Samples lie at the middles of equal parts of the box.
    parts = (torch.arange(size * sampling, device=features.device) + 0.5) / (size * sampling)
    start = 0
    for image, own in enumerate(boxes):
        which = levels_of(own, len(levels))
        for number, level in enumerate(levels):
            rows = torch.nonzero(which == number)[:, 0]
            if not len(rows):
                continue
            scaled = own[rows] / 2 ** (FINEST + number)
            side = (scaled[:, 2:] - scaled[:, :2]).clamp_min(1)
            at = scaled[:, :2, None] + side[:, :, None] * parts  # n, (x, y), samples
            last = at.new_tensor([level.shape[3] - 1, level.shape[2] - 1]).clamp_min(1)
            at = 2 * at / last[:, None] - 1
            grid = torch.stack(
                [part.expand(-1, at.shape[2], at.shape[2]) for part in (at[:, 0, None, :], at[:, 1, :, None])], dim=-1
            )
            # In half precision positions would come in steps; autocast samples in float32 anyway.
            exact = torch.promote_types(level.dtype, torch.float32)
            whole, grid = level[image, None].to(exact), grid.flatten(0, 1)[None].to(exact)
            sampled = functional.grid_sample(whole, grid, padding_mode="border", align_corners=True)
            cells = functional.avg_pool2d(sampled, sampling).view(channels, len(rows), size, size).transpose(0, 1)
            features = features.index_put((start + rows,), cells.to(features.dtype))
        start += len(own)
    return features
