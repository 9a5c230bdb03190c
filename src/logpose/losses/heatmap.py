"""Losses on maps: what heatmap models are trained by, alone or beside a regression loss (the paper's Table 14)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.core.structures import ErrorDistribution, OutputType, Prediction
from logpose.losses.likelihood import LikelihoodLoss, PoseLoss
from logpose.losses.numerics import exact, joint_weight

__all__ = ["CellLoss", "HeatmapLoss", "WithHeatmaps", "target_maps"]

REACH = 3  # standard deviations; farther from its centre a target map is 0


def target_maps(
    target: Float[Tensor, "B K 2"], size: tuple[int, int], sigma: float
) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B K"]]:
    """The map that each joint should have: a Gaussian bump of height 1 around the nearest cell, in a square window.

    Cells, windows and weights are those of SimplePose's code, at the edges too (there a window is counted as one cell
    wider on its far side than it is drawn).

    Args:
        target: places in crop coordinates, finite.
        size: (h, w) of the maps.
        sigma: of the bump, in cells.

    Returns:
        the maps, and of each joint 1, or 0 if its window lies wholly outside.
    """
    height, width = size
    cells = torch.tensor([width, height], device=target.device, dtype=target.dtype)
    centre = ((target + 0.5) * cells + 0.5).trunc()
    reach = REACH * sigma
    sides = []
    for axis, count in enumerate((width, height)):
        apart = torch.arange(count, device=target.device, dtype=target.dtype) - centre[..., axis, None]
        sides.append(torch.exp(-apart.square() / (2 * sigma**2)) * (apart.abs() <= reach))
    inside = ((centre + reach + 1 >= 0) & (centre - reach < cells)).all(dim=-1)
    return sides[1][..., :, None] * sides[0][..., None, :], inside.to(target.dtype)


class HeatmapLoss(PoseLoss):
    """Half the mean squared difference of maps from their targets; joints without a label count as met.

    Args:
        sigma: of the bump around a joint, in cells of the map; when None a 32nd of the map's height, as in Xiao et al.
            (2018): 2 for maps of 64×48, 3 for 96×72.

    Raises:
        ValueError: if sigma is not above 0.
    """

    learns_sigma: ClassVar[bool] = False
    output_type: ClassVar[OutputType] = "heatmaps"

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        if sigma is not None and not sigma > 0:
            raise ValueError(f"sigma must be above 0, got {sigma}")
        self.sigma = sigma

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch; 0 when nothing is labelled.

        Raises:
            ValueError: if the model draws no maps.
        """
        if prediction.maps is None:
            raise ValueError("the heatmap loss is for models that draw maps, and this one draws none")
        with exact(target.device):
            maps, target = prediction.maps.float(), target[..., :2].float()
            weight = joint_weight(target, weight).to(maps.dtype)
            labelled = torch.where(weight[..., None] > 0, target, 0)
            sigma = maps.shape[2] / 32 if self.sigma is None else self.sigma
            wanted, inside = target_maps(labelled, (maps.shape[2], maps.shape[3]), sigma)
            counted = (weight * inside)[..., None, None]
            # The mean is over all maps, as in SimplePose's code: what is not labelled has nothing to differ from.
            return 0.5 * (counted * (maps - wanted)).square().sum() / max(maps.numel(), 1)

    def error_distribution(self) -> ErrorDistribution:
        """Unknown: nothing is claimed of errors."""
        return ErrorDistribution.unknown(2)

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"sigma": self.sigma}


class CellLoss(PoseLoss):
    """Cross-entropy of the cell that a joint lies in, among all cells of its map: Mask R-CNN's heatmap loss.

    The mean over labelled joints that lie within the map; one on its far edge is in the last cell (detectron2).

    Args:
        shared: whether a joint between the middles of cells is in each of the four, in proportion to how near it is, so
            that the mean of what is learned is its place, and not the middle of its cell; between the map's rim and the
            outermost middle it is that middle, as no mean lies beyond.
    """

    learns_sigma: ClassVar[bool] = False
    output_type: ClassVar[OutputType] = "heatmap logits"

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch; 0 when nothing is labelled, or all of it lies outside.

        Raises:
            ValueError: if the model draws no maps.
        """
        if prediction.maps is None:
            raise ValueError("the loss of cells is for models that draw maps, and this one draws none")
        with exact(target.device):
            maps, target = prediction.maps.float(), target[..., :2].float()
            weight = joint_weight(target, weight).to(maps.dtype)
            inside = (weight > 0) & (target >= -0.5).all(dim=-1) & (target <= 0.5).all(dim=-1)
            height, width = maps.shape[2:]
            cells = target.new_tensor([width, height])
            place = (torch.where(inside[..., None], target, 0) + 0.5) * cells
            place = (place - 0.5).clamp_min(0) if self.shared else place.floor()
            low = place.floor().minimum(cells - 1)
            high, part = (low + 1).minimum(cells - 1), (place - low).clamp_max(1) * self.shared
            standardised_nll = -maps.flatten(2).log_softmax(dim=2)
            charge = torch.zeros_like(weight)
            near = ((low, 1 - part), (high, part)) if self.shared else ((low, 1 - part),)
            for column, share_x in near:
                for row, share_y in near:
                    at = (row[..., 1] * width + column[..., 0]).long()[..., None]
                    charge = charge + share_x[..., 0] * share_y[..., 1] * standardised_nll.gather(2, at)[..., 0]
            weight = weight * inside
            return (charge * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)

    def error_distribution(self) -> ErrorDistribution:
        """Unknown: nothing is claimed of errors."""
        return ErrorDistribution.unknown(2)

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"shared": self.shared}


class WithHeatmaps(PoseLoss):
    """A regression loss and, beside it, a heatmap loss on what an auxiliary head draws while training (Table 14).

    Or on the cells that places are read from themselves, where these are the mean of a softmax: of the cell that a
    joint lies in they learn far sooner by its cross-entropy than by their mean.

    Args:
        loss: of regression; what is claimed is what it claims.
        weight: of the heatmap loss. The paper does not say in what units: its regression loss is summed, and maps
            are averaged. Here both are means, per joint and per cell.
        sigma: of the bump around a joint, see `HeatmapLoss`.
        cells: whether maps are logits of cells, charged by `CellLoss(shared=True)`, and not bumps.

    Raises:
        ValueError: if sigma is not above 0, or told of cells.
    """

    def __init__(
        self, loss: LikelihoodLoss, weight: float = 1.0, sigma: float | None = None, cells: bool = False
    ) -> None:
        super().__init__()
        if cells and sigma is not None:
            raise ValueError("cells have no bumps, and so no sigma")
        self.heatmaps = CellLoss(shared=True) if cells else HeatmapLoss(sigma)
        self.loss, self.weight = loss, weight

    @property
    def output_type(self) -> OutputType:  # type: ignore[override]  # of the one inside
        """What a model must give: mu and sigma, and what the heatmap loss learns from."""
        return "coordinates and heatmap logits" if isinstance(self.heatmaps, CellLoss) else "coordinates and heatmaps"

    @property
    def learns_sigma(self) -> bool:  # type: ignore[override]  # of the one inside
        """Whether sigma matters to the regression loss."""
        return self.loss.learns_sigma

    @property
    def density(self) -> LikelihoodLoss:
        """The regression loss."""
        return self.loss

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The sum of both.

        Raises:
            ValueError: if the model draws no maps.
        """
        regression = self.loss.of_prediction(prediction, target, weight)
        return regression + self.weight * self.heatmaps.of_prediction(prediction, target, weight)

    def error_distribution(self) -> ErrorDistribution:
        """That of the regression loss."""
        return self.loss.error_distribution()

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {
            "loss": {"kind": type(self.loss).__name__, **self.loss.config()},
            "weight": self.weight,
            "sigma": getattr(self.heatmaps, "sigma", None),
            "cells": isinstance(self.heatmaps, CellLoss),
        }
