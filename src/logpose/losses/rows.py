"""The loss of boundaries as a softmax over rows: He et al. 2019, "Fully convolutional boundary regression" (MICCAI).

In each column a softmax over rows is the probability of the boundary in each; its mean is the predicted position. Both
have a loss term: the softmax cross-entropy, and its mean smooth L1, or a likelihood such as RLE where sigma is
predicted too.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from logpose.core.structures import OutputType, Prediction
from logpose.losses.base import LikelihoodLoss, OuterLoss
from logpose.losses.fixed import L1Loss
from logpose.losses.numerics import autocast_disabled

__all__ = ["RowsLoss"]


class RowsLoss(OuterLoss):
    """Sum of the cross-entropy of rows and the smooth L1 of positions, each a mean over labelled boundaries.

    He et al. define no density of errors; here it is a Laplace density of constant scale, as of `L1Loss`.

    Args:
        dim: D boundaries.
        weight: of the loss of positions, relative to cross-entropy; smooth L1 is in rows of the crop.
        loss: of positions, of D dimensions, instead of smooth L1; it defines the density of errors.

    Raises:
        ValueError: if the weight is below 0, or the loss has other dimensions.
    """

    output_type: ClassVar[OutputType] = "row logits"

    def __init__(self, dim: int = 8, weight: float = 1.0, loss: LikelihoodLoss | None = None) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight must be 0 or more, got {weight:g}")
        if loss is not None and loss.dim != dim:
            raise ValueError(f"the loss of {dim} boundaries must have dim={dim}, got {loss.dim}")
        self.dim, self.weight, self.published = dim, weight, loss is None
        self.loss: LikelihoodLoss = L1Loss(dim) if loss is None else loss

    @property
    def needs_all_dimensions(self) -> bool:  # type: ignore[override]  # of the one inside
        """Whether a column is trained only where all its boundaries are labelled."""
        return not self.published and self.loss.needs_all_dimensions

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch; 0 when nothing is labelled. Boundaries outside the crop count at its closest row.

        Raises:
            ValueError: if the model predicts no logits of rows.
        """
        if prediction.maps is None:
            raise ValueError("RowsLoss needs a model that predicts logits of rows, this one has none")
        with autocast_disabled(target.device):
            mu, target = prediction.mu.float(), target.float()
            log_p = prediction.maps.float().log_softmax(dim=-1)
            labelled = target.isfinite() & (weight > 0)[..., None]
            share = labelled.to(mu.dtype) * weight[..., None]
            share = share / share.sum().clamp_min(torch.finfo(mu.dtype).tiny)
            rows = log_p.shape[-1]
            position = torch.where(labelled, (target + 0.5) * rows, 0).clamp(0, rows - 1)
            below = position.floor().long().clamp_max(rows - 2)
            part = position - below  # a label between two rows is shared between both
            both = log_p.gather(-1, torch.stack([below, below + 1], dim=-1))
            entropy = -(share * (both[..., 0] * (1 - part) + both[..., 1] * part)).sum()
            if not isinstance(self.loss, L1Loss) or not self.published:
                return entropy + self.weight * self.loss.of_prediction(prediction, target, weight)
            if self.training:
                self.loss.of_each(mu.detach(), target, labelled * weight[..., None])  # updates the scale of errors
            at = torch.where(labelled, position, ((mu + 0.5) * rows).detach())
            apart = functional.smooth_l1_loss((mu + 0.5) * rows, at, reduction="none")
            return entropy + self.weight * (share * apart).sum()

    def argument(self, name: str) -> Any:
        """The value of a constructor argument; of `loss` None where it is smooth L1."""
        return None if name == "loss" and self.published else getattr(self, name)
