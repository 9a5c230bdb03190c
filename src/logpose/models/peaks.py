"""Maps of all people's joints in an image, to whose peaks regressed joints are snapped (Wei et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PeakBranch", "peak_losses", "peak_maps", "snapped"]

RADIUS = 3  # cells, to each side of a joint's, that its bump covers; its standard deviation is 1
PRIOR = 0.01  # value of an untrained map
START = 0.01  # standard deviation of initial weights in Wei et al.'s heads
PEAKS, WINDOW = 30, 5  # most peaks of each map, and side of the square of cells of which a peak is the maximum


class PeakBranch(nn.Module):
    """From the finest level to maps, and offsets of joints within their cells, both in (0, 1), at half its stride."""

    def __init__(self, channels: int, joints: int, stride: int) -> None:
        super().__init__()
        self.joints, self.stride = joints, stride // 2
        self.maps, self.offsets = self._layers(channels, joints), self._layers(channels, 2 * joints)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=START)
        for layers, first in ((self.maps, PRIOR), (self.offsets, 0.5)):
            last = layers[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            nn.init.constant_(last.bias, float(torch.tensor(first).logit()))

    @staticmethod
    def _layers(channels: int, out: int) -> nn.Sequential:
        """A 3×3 convolution, a transposed one, and a 1×1 convolution."""
        return nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)),
            *(nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(True)),
            nn.Conv2d(channels, out, 1),
        )

    def forward(
        self, level: Float[Tensor, "B C h w"]
    ) -> tuple[Float[Tensor, "B K h2 w2"], Float[Tensor, "B K 2 h2 w2"]]:
        """Maps and offsets."""
        maps, offsets = self.maps(level), self.offsets(level)
        return maps.float().sigmoid(), offsets.float().sigmoid().view(len(level), self.joints, 2, *offsets.shape[2:])


def cells_of(
    keypoints: Float[Tensor, "M K 2"], weight: Float[Tensor, "M K"], size: tuple[int, int], stride: int
) -> tuple[Float[Tensor, "M K 2"], Float[Tensor, "M K 2"], Bool[Tensor, "M K"]]:
    """Column and row of each joint's cell, its position in it, and whether it is labelled and in the maps."""
    places = torch.where(weight[..., None] > 0, keypoints, -1.0) / stride
    cells = places.floor()
    there = ((cells >= 0) & (cells < cells.new_tensor(size[::-1]))).all(dim=-1)
    return cells, places - cells, there


def peak_maps(
    keypoints: Float[Tensor, "M K 2"], weight: Float[Tensor, "M K"], size: tuple[int, int], stride: int
) -> Float[Tensor, "K h w"]:
    """Target maps, of (h, w) cells of `stride` pixels: of every labelled joint a bump of height 1 at its cell."""
    cells, _, there = cells_of(keypoints, weight, size, stride)
    maps = keypoints.new_zeros(keypoints.shape[1], *size)
    for cell, labelled in zip(cells, there, strict=True):
        across, down = (
            torch.exp(-apart.square() / 2) * (apart.abs() <= RADIUS)
            for axis in (0, 1)
            for apart in (torch.arange(size[1 - axis], device=maps.device) - cell[:, axis, None],)
        )
        maps = torch.maximum(maps, down[:, :, None] * (across * labelled[:, None])[:, None, :])
    return maps


def peak_losses(
    maps: Float[Tensor, "B K h w"],
    offsets: Float[Tensor, "B K 2 h w"],
    people: Sequence[tuple[Tensor, Tensor]],
    stride: int,
    background: float = 0.1,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Squared difference of maps from their targets, summed, and mean absolute difference of offsets at joints' cells.

    People are labels (M, K, 2), pixels, and their weights (M, K), of each image; cells outside all bumps have the
    weight `background`.
    """
    size = (maps.shape[2], maps.shape[3])
    apart, wrong, count = maps.new_zeros(()), offsets.new_zeros(()), 0
    for predicted, predicted_offsets, (keypoints, weight) in zip(maps, offsets, people, strict=True):
        target = peak_maps(keypoints, weight, size, stride)
        apart = apart + ((predicted - target).square() * torch.where(target > 0, 1.0, background)).sum()
        cells, within, there = cells_of(keypoints, weight, size, stride)
        joint = torch.arange(keypoints.shape[1], device=maps.device).expand_as(there)[there]
        column, row = cells[there].long().unbind(dim=-1)
        wrong = wrong + (predicted_offsets[joint, :, row, column] - within[there]).abs().sum()
        count += 2 * int(there.sum())
    return apart, wrong / max(count, 1)


def snapped(
    poses: Float[Tensor, "N K 2"],
    maps: Float[Tensor, "K h w"],
    offsets: Float[Tensor, "K 2 h w"],
    stride: int,
    peaks: int = PEAKS,
    least: float = 0.0,
    farthest: Float[Tensor, "N"] | None = None,
) -> Float[Tensor, "N K 2"]:
    """Every joint of poses, pixels, at the nearest of the greatest peaks of its map, or unchanged, where there is none.

    Maps and offsets are those of one image, with `stride` pixels to a cell. Peaks are at least `least` high and at most
    `farthest` pixels away, if given.
    """
    highest = F.max_pool2d(maps[None], WINDOW, 1, WINDOW // 2)[0]
    heights, at = F.pad(torch.where(maps == highest, maps, -1.0).flatten(1), (0, peaks), value=-1.0).topk(peaks, dim=1)
    at = at.clamp_max(maps[0].numel() - 1)
    rows, columns = (torch.arange(side, device=maps.device) for side in maps.shape[1:])
    cells = torch.cartesian_prod(rows, columns).flip(-1)[at]
    places = (cells + offsets.flatten(2).gather(2, at[:, None].expand(-1, 2, -1)).transpose(1, 2)) * stride  # K P 2
    apart = (poses[:, :, None] - places).square().sum(dim=-1).masked_fill(heights < max(least, 0), torch.inf)  # N K P
    distance, nearest = apart.min(dim=-1)
    taken = places.expand(len(poses), -1, -1, -1).gather(2, nearest[..., None, None].expand(-1, -1, -1, 2))[:, :, 0]
    near = distance.isfinite()
    if farthest is not None:
        near &= distance <= farthest[:, None].square()
    return torch.where(near[..., None], taken, poses)
