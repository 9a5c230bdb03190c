"""Losses on heatmaps, alone or beside a regression loss (the paper's Table 14)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.core.structures import ErrorDistribution, OutputType, Prediction
from logpose.losses.base import LikelihoodLoss, OuterLoss, PoseLoss
from logpose.losses.numerics import autocast_disabled, joint_weight, weighted_mean

__all__ = ["CellLoss", "HeatmapLoss", "WithHeatmaps", "target_maps"]

REACH = 3
"""Standard deviations from its centre beyond which a target map is 0."""


def target_maps(
    target: Float[Tensor, "B K 2"], size: tuple[int, int], sigma: float
) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B K"]]:
    """Target heatmap of each joint: a Gaussian bump of height 1 around the closest pixel, in a square window.

    Pixels, windows and weights are those of SimplePose's code, at the edges too (where a window counts as one pixel
    wider on its right and lower side than the bump in it).

    Args:
        target: positions in crop coordinates, finite.
        size: (h, w) of the maps.
        sigma: standard deviation of the bump, in pixels of the map.

    Returns:
        the maps, and whether each joint's window lies within, at least in part.
    """
    height, width = size
    pixels = torch.tensor([width, height], device=target.device, dtype=target.dtype)
    centre = ((target + 0.5) * pixels + 0.5).trunc()
    reach = REACH * sigma
    sides = []
    for axis, count in enumerate((width, height)):
        apart = torch.arange(count, device=target.device, dtype=target.dtype) - centre[..., axis, None]
        sides.append(torch.exp(-apart.square() / (2 * sigma**2)) * (apart.abs() <= reach))
    inside = ((centre + reach + 1 >= 0) & (centre - reach < pixels)).all(dim=-1)
    return sides[1][..., :, None] * sides[0][..., None, :], inside.to(target.dtype)


class MapLoss(PoseLoss):
    """A loss on heatmaps alone."""

    learns_sigma: ClassVar[bool] = False

    @abstractmethod
    def of_maps(
        self, maps: Float[Tensor, "B K h w"], target: Float[Tensor, "B K 2"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch, in float32; labels of weight 0 may be NaN."""

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch; 0 when nothing is labelled.

        Raises:
            ValueError: if the model has no heatmaps.
        """
        if prediction.maps is None:
            raise ValueError(f"{type(self).__name__} needs a model with heatmaps, this one has none")
        with autocast_disabled(target.device):
            maps, target = prediction.maps.float(), target[..., :2].float()
            return self.of_maps(maps, target, joint_weight(target, weight).to(maps.dtype))

    def error_distribution(self) -> ErrorDistribution:
        """Unknown: heatmaps define no density of errors."""
        return ErrorDistribution.unknown(2)


class HeatmapLoss(MapLoss):
    """Half the mean squared error of heatmaps; that of joints without a label counts as 0.

    Args:
        sigma: standard deviation of the bump around a joint, in pixels of the map; when None a 32nd of the map's
            height, as in Xiao et al. (2018): 2 for maps of 64×48, 3 for 96×72.

    Raises:
        ValueError: if sigma is not above 0.
    """

    output_type: ClassVar[OutputType] = "heatmaps"

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        if sigma is not None and not sigma > 0:
            raise ValueError(f"sigma must be above 0, got {sigma}")
        self.sigma = sigma

    def of_maps(
        self, maps: Float[Tensor, "B K h w"], target: Float[Tensor, "B K 2"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The mean over all maps, as in SimplePose's code; those without a label are 0."""
        labelled = torch.where(weight[..., None] > 0, target, 0)
        sigma = maps.shape[2] / 32 if self.sigma is None else self.sigma
        wanted, inside = target_maps(labelled, (maps.shape[2], maps.shape[3]), sigma)
        counted = (weight * inside)[..., None, None]
        return 0.5 * (counted * (maps - wanted)).square().sum() / max(maps.numel(), 1)


class CellLoss(MapLoss):
    """Cross-entropy of the pixel of the heatmap that a joint lies in: Mask R-CNN's heatmap loss.

    A joint on the map's right or lower edge is in the last pixel (detectron2).

    Args:
        shared: whether the target of a joint is shared between the four pixels around it, by bilinear weights: then the
            mean of the softmax is the joint's position, within the outermost centres, not the centre of its pixel. In
            crop coordinates, which are of pixels' centres, it is half a pixel of the crop off.
    """

    output_type: ClassVar[OutputType] = "heatmap logits"

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared

    def of_maps(
        self, maps: Float[Tensor, "B K h w"], target: Float[Tensor, "B K 2"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The mean over labelled joints within the map; 0 when there are none."""
        inside = (weight > 0) & (target >= -0.5).all(dim=-1) & (target <= 0.5).all(dim=-1)
        height, width = maps.shape[2:]
        pixels = target.new_tensor([width, height])
        position = (torch.where(inside[..., None], target, 0) + 0.5) * pixels
        position = (position - 0.5).clamp_min(0) if self.shared else position.floor()
        low = position.floor().minimum(pixels - 1)
        high, part = (low + 1).minimum(pixels - 1), (position - low).clamp_max(1) * self.shared
        nll = -maps.flatten(2).log_softmax(dim=2)
        entropy = torch.zeros_like(weight)
        around = ((low, 1 - part), (high, part)) if self.shared else ((low, 1 - part),)
        for column, share_x in around:
            for row, share_y in around:
                at = (row[..., 1] * width + column[..., 0]).long()[..., None]
                entropy = entropy + share_x[..., 0] * share_y[..., 1] * nll.gather(2, at)[..., 0]
        return weighted_mean(entropy, weight * inside)


class WithHeatmaps(OuterLoss):
    """A regression loss and a heatmap loss on the maps of an auxiliary head (Table 14).

    Or on the maps that coordinates are decoded from, as the mean of a softmax: these learn much faster so.

    Args:
        loss: of regression; defines the density of errors.
        weight: of the heatmap loss; both are means, per joint and per pixel (the paper does not give its units).
        sigma: of the bump around a joint, see `HeatmapLoss`.
        cells: whether maps are logits, with the loss `CellLoss(shared=True)`, and not bumps.

    Raises:
        ValueError: if sigma is not above 0, or given although maps are logits.
    """

    def __init__(
        self, loss: LikelihoodLoss, weight: float = 1.0, sigma: float | None = None, cells: bool = False
    ) -> None:
        super().__init__()
        if cells and sigma is not None:
            raise ValueError("sigma is of bumps; with cells=True maps are logits and have none")
        self.heatmaps = CellLoss(shared=True) if cells else HeatmapLoss(sigma)
        self.loss, self.weight, self.sigma, self.cells = loss, weight, sigma, cells

    @property
    def output_type(self) -> OutputType:  # type: ignore[override]  # of the one inside
        """What a model must predict: mu and sigma, and the maps of the heatmap loss."""
        return "coordinates and heatmap logits" if self.cells else "coordinates and heatmaps"

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The sum of both."""
        regression = self.loss.of_prediction(prediction, target, weight)
        return regression + self.weight * self.heatmaps.of_prediction(prediction, target, weight)
