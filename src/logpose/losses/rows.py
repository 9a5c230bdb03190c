"""The loss of boundaries that are read off rows: He et al. 2019, "Fully convolutional boundary regression" (MICCAI).

In each column a softmax over rows says how likely each is to hold the boundary; its mean is where the boundary is put.
Both are charged: the first by cross-entropy, the second by smooth L1; or, where sigma is predicted beside it, by a
likelihood such as RLE.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from logpose.core.structures import ErrorDistribution, OutputType, Prediction
from logpose.losses.fixed import L1Loss
from logpose.losses.likelihood import LikelihoodLoss, PoseLoss
from logpose.losses.numerics import exact

__all__ = ["RowsLoss"]


class RowsLoss(PoseLoss):
    """Cross-entropy of rows and smooth L1 of positions, each a mean over labelled boundaries, added up.

    Nothing is claimed of errors by He et al.; so that their likelihood can be compared, a Laplace density of constant
    scale is claimed, as by `L1Loss`, whose scale is the mean error seen in training.

    Args:
        dim: D boundaries.
        weight: of what positions are charged, beside cross-entropy; smooth L1 is in rows of the crop.
        loss: what positions are charged by instead of smooth L1, and what is claimed: of D dimensions.

    Raises:
        ValueError: if the weight is below 0, or the loss of other dimensions.
    """

    output_type: ClassVar[OutputType] = "row logits"

    def __init__(self, dim: int = 8, weight: float = 1.0, loss: LikelihoodLoss | None = None) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight must be 0 or more, got {weight:g}")
        if loss is not None and loss.dim != dim:
            raise ValueError(f"the loss of {dim} boundaries has as many dimensions, not {loss.dim}")
        self.weight, self.published = weight, loss is None
        self.loss: LikelihoodLoss = L1Loss(dim) if loss is None else loss

    @property
    def learns_sigma(self) -> bool:  # type: ignore[override]  # of the one inside
        """Whether sigma matters to what positions are charged by."""
        return self.loss.learns_sigma

    @property
    def needs_all_dimensions(self) -> bool:  # type: ignore[override]  # of the one inside
        """Whether a column is trained only where all its boundaries are labelled."""
        return not self.published and self.loss.needs_all_dimensions

    @property
    def density(self) -> LikelihoodLoss:
        """What is claimed of positions."""
        return self.loss

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch; 0 when nothing is labelled. Boundaries outside the crop count at its nearest row.

        Raises:
            ValueError: if the model has no rows to choose from.
        """
        if prediction.maps is None:
            raise ValueError("this loss is for models that choose among rows, and this one does not")
        with exact(target.device):
            mu, target = prediction.mu.float(), target.float()
            log_p = prediction.maps.float().log_softmax(dim=-1)
            labelled = target.isfinite() & (weight > 0)[..., None]
            share = labelled.to(mu.dtype) * weight[..., None]
            share = share / share.sum().clamp_min(torch.finfo(mu.dtype).tiny)
            rows = log_p.shape[-1]
            place = torch.where(labelled, (target + 0.5) * rows, 0).clamp(0, rows - 1)
            below = place.floor().long().clamp_max(rows - 2)
            part = place - below  # a label between two rows is either, in proportion
            near = log_p.gather(-1, torch.stack([below, below + 1], dim=-1))
            entropy = -(share * (near[..., 0] * (1 - part) + near[..., 1] * part)).sum()
            if not (self.published and isinstance(self.loss, L1Loss)):
                return entropy + self.weight * self.loss.of_prediction(prediction, target, weight)
            if self.training:
                self.loss.of_each(mu.detach(), target, labelled * weight[..., None])  # follows the errors' scale
            at = torch.where(labelled, place, ((mu + 0.5) * rows).detach())
            apart = functional.smooth_l1_loss((mu + 0.5) * rows, at, reduction="none")
            return entropy + self.weight * (share * apart).sum()

    def error_distribution(self) -> ErrorDistribution:
        """That of the density."""
        return self.loss.error_distribution()

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        inner = None if self.published else {"kind": type(self.loss).__name__, **self.loss.config()}
        return {"dim": self.loss.dim, "weight": self.weight, "loss": inner}
