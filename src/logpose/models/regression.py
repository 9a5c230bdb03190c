"""The network of the paper (§4.1): a backbone, average pooling, and a linear layer to mu and sigma of every joint."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.geometry import PADDING
from logpose.models.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone
from logpose.models.pose_model import PoseModel
from logpose.skeletons import Skeleton
from logpose.structures import Prediction

__all__ = ["RegressionModel"]

SIGMA_FLOOR = 1e-6
"""Least sigma, in crop coordinates (0.0002 pixels of 192): keeps its logarithm finite where the sigmoid underflows."""


class RegressionModel(PoseModel):
    """Keypoint regression: 2 D K outputs (4 K in an image), D K of them mu and D K the logits of sigma.

    Args:
        backbone: features of images; has `channels`.
        skeleton: the joints that are predicted.
        size: (H, W) of the crops it is made for.
        dim: D.
        predicts_sigma: whether sigma is predicted; where not (L1 and L2 regression), it is 1 everywhere.
        padding: how much larger than a person's box the region is that its crops show.
        pixel_mean: subtracted from each channel (RGB in [0, 1]).
        pixel_std: what the difference is divided by.
        unit_features: whether mu is read from features scaled to length 1, as in the paper's released code; sigma is
            read from the features as they are.
    """

    def __init__(
        self,
        backbone: Backbone,
        skeleton: Skeleton,
        size: tuple[int, int],
        dim: int = 2,
        predicts_sigma: bool = True,
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
        unit_features: bool = False,
    ) -> None:
        super().__init__(skeleton, size, dim, padding, pixel_mean, pixel_std)
        self.backbone, self.unit_features = backbone, unit_features
        self.fc_mu = nn.Linear(backbone.channels, len(skeleton) * dim)
        self.fc_sigma = nn.Linear(backbone.channels, len(skeleton) * dim) if predicts_sigma else None
        for layer in filter(None, (self.fc_mu, self.fc_sigma)):
            # A small gain: the first predictions are the crop's centre and sigma = 1/2, whatever the features.
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop, in crop coordinates."""
        features = self.backbone(self.normalised(images))
        shape = (len(images), len(self.skeleton), self.dim)
        # In half precision positions would come in steps of half a pixel.
        with torch.autocast(features.device.type, enabled=False):
            pooled = features.to(self.fc_mu.weight.dtype).mean(dim=(2, 3))
            mu = self.fc_mu(F.normalize(pooled) if self.unit_features else pooled).view(shape)
            if self.fc_sigma is None:
                sigma = torch.ones_like(mu)
                return Prediction(mu, sigma, sigma.mean(dim=-1), self.law)
            sigma = SIGMA_FLOOR + (1 - SIGMA_FLOOR) * self.fc_sigma(pooled).sigmoid().view(shape)
        return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), self.law)

    def config(self) -> dict[str, Any]:
        """Plain values from which `checkpoint.build_model` makes the model again."""
        return {
            "kind": "regression",
            "backbone": getattr(self.backbone, "name", None),
            "skeleton": self.skeleton.to_dict(),
            "size": list(self.size),
            "dim": self.dim,
            "predicts_sigma": self.fc_sigma is not None,
            "padding": self.padding,
            "unit_features": self.unit_features,
        }
