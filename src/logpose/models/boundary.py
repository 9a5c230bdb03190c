"""Boundaries in B-scans: in every column of a flattened window, the rows of D boundaries from the top down.

A column takes the place of a joint and its boundaries that of a joint's dimensions: predictions are (B, K, D) with K
columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.data.flattening import cleaned, flatten
from logpose.data.oct import check_height
from logpose.data.scans import Scans
from logpose.models.heads import exactly, prediction_of, sigma_of, small_start
from logpose.models.pose_model import KeypointModel

__all__ = ["BoundaryHead", "BoundaryModel", "ResidualUNet", "ordered"]

BoundaryHead = Literal["column", "full", "rows"]
"""column: features pooled over rows, and a linear layer shared by all columns (the paper's); full: features pooled over
everything, and a linear layer to all columns at once, as "a fully-connected layer" may also be read; rows: a softmax
over the rows of each column, and its mean (He et al. 2019)."""

LOOKED_AT = 64  # most scans, spread over all, whose labels the first predictions are taken from
LEAST_SPREAD = 1e-3  # of the window's height


def ordered(rows: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """Boundaries of which none is above the one before: s_i <- s_(i-1) + ReLU(s_i - s_(i-1)) (He et al. 2019)."""
    found: list[Tensor] = []
    for row in rows.unbind(dim=-1):  # not cummax, which ONNX does not have
        found.append(torch.maximum(found[-1], row) if found else row)
    return torch.stack(found, dim=-1)


class _Block(nn.Module):
    """A residual block of two 3×3 convolutions."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.around = nn.Identity() if inputs == channels else nn.Conv2d(inputs, channels, 1)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B C H W"]:
        h = functional.relu(self.first_norm(self.first(x)), inplace=True)
        return functional.relu(self.second_norm(self.second(h)) + self.around(x), inplace=True)


class ResidualUNet(nn.Module):
    """Residual U-Net, all of whose maps have `channels`; rows and columns are halved `depth` times by max-pooling."""

    def __init__(self, channels: int = 64, depth: int = 4) -> None:
        super().__init__()
        self.down = nn.ModuleList([_Block(1, channels), *(_Block(channels, channels) for _ in range(depth))])
        self.up = nn.ModuleList(_Block(2 * channels, channels) for _ in range(depth))

    def forward(self, images: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B C H W"]:
        """Features of every pixel."""
        x, kept = images, list[Tensor]()
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for block, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), beside], dim=1))
        return x


class BoundaryModel(KeypointModel):
    """Windows of B-scans in, the row of every boundary in every column out. At inference boundaries keep their order.

    Args:
        skeleton: the boundaries from the top down, in the place of joints.
        size: (H, W) of the windows, rows and columns.
        head: see `BoundaryHead`.
        predicts_sigma: whether sigma is predicted; where not, it is 1 everywhere.
        channels, depth: of the trunk, see `ResidualUNet`.
        cells: of "column", and of the sigma of "rows": parts of the rows whose features are averaged apart.
        shown: rows of a scan that a window shows, unless the retina is thicker; as many as it has when None.
        learned_from: fingerprints of the scans that it was trained on, so that it can be evaluated on others.
        um_per_px: height of their pixels in micrometres, if it was the same of all: the default of other scans.

    Raises:
        InputError: if there can be no such windows or no such network.
    """

    unit = "window_px"
    kind = "boundary"
    task = "boundaries"
    keeps_bands = True

    def __init__(
        self,
        skeleton: Skeleton,
        size: tuple[int, int] = (224, 768),
        head: str = "column",
        predicts_sigma: bool = True,
        channels: int = 64,
        depth: int = 4,
        cells: int = 14,
        shown: int | None = None,
        learned_from: Sequence[str] = (),
        um_per_px: float | None = None,
    ) -> None:
        super().__init__(skeleton, dim=len(skeleton))
        if head not in get_args(BoundaryHead):
            raise InputError(f"heads of boundaries are {', '.join(get_args(BoundaryHead))}, not {head!r}")
        if not (1 <= channels <= 1024 and 0 <= depth <= 8 and (shown is None or 1 <= shown <= 8192)):
            raise InputError("a network of boundaries takes 1 to 1,024 channels, a depth of 0 to 8, 1 to 8,192 rows")
        least = 2**depth
        if len(size) != 2 or not all(least <= side <= 8192 and side % least == 0 for side in size):
            raise InputError(f"with a depth of {depth} windows have multiples of {least} rows and columns, not {size}")
        pools = head == "column" or (head == "rows" and predicts_sigma)
        if pools and (not 1 <= cells <= size[0] or size[0] % cells):
            raise InputError(f"{size[0]} rows cannot be split into {cells} cells alike (--cells)")
        self.size = (int(size[0]), int(size[1]))
        self.head, self.predicts_sigma, self.shown = head, predicts_sigma, shown
        self.channels, self.depth, self.cells = channels, depth, cells
        check_height(um_per_px)
        self.learned_from, self.um_per_px = tuple(learned_from), um_per_px
        self.output_type = "row logits" if head == "rows" else "coordinates"
        self.trunk = ResidualUNet(channels, depth)
        parts = 2 if predicts_sigma else 1
        outputs = {"column": parts * self.dim, "full": parts * self.dim * size[1], "rows": (parts - 1) * self.dim}[head]
        self.output = nn.Linear(channels if head == "full" else cells * channels, outputs) if outputs else None
        if self.output is not None:
            small_start(self.output)
        self.choice = nn.Conv2d(channels, self.dim, 1) if head == "rows" else nn.Identity()

    def forward(self, images: UInt8[Tensor, "B 1 H W"] | Float[Tensor, "B 1 H W"]) -> Prediction:
        """Predict every boundary in every column, from 8-bit values or floats in [0, 1]."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        features, maps, found = self.trunk(pixels.to(self.dtype)), None, None
        if self.output is not None and self.head == "full":
            found = exactly(self.output, features.float().mean(dim=(2, 3))).unflatten(1, (self.size[1], -1))
        elif self.output is not None:
            parts = features.float().unflatten(2, (self.cells, -1)).mean(dim=3)
            found = exactly(self.output, parts.flatten(1, 2).transpose(1, 2))
        if self.head == "rows":
            maps = exactly(self.choice, features).permute(0, 3, 1, 2)  # (B, columns, boundaries, rows)
            rows = torch.arange(self.size[0], device=maps.device, dtype=maps.dtype) / self.size[0] - 0.5
            mu, spread = ordered((maps.softmax(dim=-1) * rows).sum(dim=-1)), found
        else:
            assert found is not None
            mu, spread = found[..., : self.dim], found[..., self.dim :]
            mu = mu if self.training else ordered(mu)
        sigma = sigma_of(spread) if self.predicts_sigma and spread is not None else None
        return prediction_of(mu, sigma, self.error_distribution, maps)

    @torch.no_grad()
    def prepare(self, data: Scans) -> None:
        """Start from the labels of the training data: mu at each boundary's mean, sigma at the spread about it.

        The scans' fingerprints and the height of their pixels are kept.
        """
        scans = [data[i] for i in range(len(data))]  # each once: synthetic ones are computed at every access
        self.learned_from = tuple(dict.fromkeys(scan.fingerprint for scan in scans))
        heights = {scan.um_per_px for scan in scans}
        self.um_per_px = heights.pop() if len(heights) == 1 else None
        if self.output is None:
            return
        shown = scans[:: -(-len(scans) // LOOKED_AT)]
        flat = (flatten(cleaned(scan.image), self.size[0], self.shown, scan.um_per_px) for scan in shown)
        in_crops = [crop.to_crop(scan.rows) for crop, scan in zip(flat, shown, strict=True)]
        places = torch.from_numpy(np.concatenate(in_crops, axis=1)).float()
        known = places.isfinite()
        count = known.sum(dim=1)
        mean = places.nansum(dim=1) / count.clamp_min(1)
        spread = ((places - mean[:, None]).square().nansum(dim=1) / count.clamp_min(1)).sqrt()
        spread = spread.where(count > 1, 0.5).clamp(LEAST_SPREAD, 0.5)
        start = [*([] if self.head == "rows" else [mean]), *([spread.logit()] if self.predicts_sigma else [])]
        self.output.bias.view(-1, len(start) * self.dim).copy_(torch.cat(start))

    @property
    def input_spec(self) -> str:
        """The size of its windows."""
        return f"windows of {self.size[0]}×{self.size[1]}"

    def example_input(self) -> UInt8[Tensor, "1 1 H W"]:
        """A black window."""
        return torch.zeros(1, 1, *self.size, dtype=torch.uint8, device=self.error_mean.device)

    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """The mean of a prediction and of that on mirrored windows, mirrored back."""
        average = prediction.about(
            ordered((prediction.mean + mirrored.mean.flip(1)) / 2),
            (prediction.sigma + mirrored.sigma.flip(1)) / 2,
            (prediction.confidence + mirrored.confidence.flip(1)) / 2,
        )
        return replace(average, maps=None)

    def distance(self, mu: Float[Tensor, "B K D"], target: Float[Tensor, "B K D"]) -> Float[Tensor, "B K"]:
        """Mean distance of boundaries from their labels in each column, in rows of the window."""
        return (mu - target).abs().nanmean(dim=-1) * self.size[0]
