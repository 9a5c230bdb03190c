"""The network of the paper (§4.1): a backbone, average pooling, and a linear layer to mu and sigma of every joint."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.geometry import PADDING
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, features
from logpose.models.heads import SigmaHead, checked_correlation, correlation_of, exactly, prediction_of, small_start
from logpose.models.heatmap import MapHead
from logpose.models.pose_model import COARSEST, JointOutputs, PoseModel

__all__ = ["RegressionModel"]


class RegressionModel(PoseModel):
    """Keypoint regression: 2 D K outputs (4 K in an image), D K of them mu and D K the logits of sigma.

    Args:
        backbone: features of images; has `channels`.
        predicts_sigma: whether sigma is predicted; where not (L1 and L2 regression), it is 1 everywhere.
        unit_features: whether mu is read from features scaled to length 1, as in the paper's released code.
        auxiliary: whether heatmaps are predicted too while training, for a heatmap loss beside (Table 14).
        visibility: whether the probability that a joint is labelled as visible is predicted too.
        correlated: whether the correlation of errors along x and y is: ellipses in any direction; needs sigma and D 2.
        skeleton, size, dim, padding, pixel_mean, pixel_std: see `PoseModel`.

    Raises:
        InputError: if a correlation is asked for without sigma, or in other than two dimensions.
    """

    kind = "regression"

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
        auxiliary: bool = False,
        visibility: bool = False,
        correlated: bool = False,
    ) -> None:
        super().__init__(skeleton, size, dim, padding, pixel_mean, pixel_std)
        self.backbone, self.unit_features = backbone, unit_features
        self.predicts_sigma, self.auxiliary = predicts_sigma, auxiliary
        self.fc_mu = nn.Linear(backbone.channels, len(skeleton) * dim)
        small_start(self.fc_mu)
        self.fc_sigma = SigmaHead(backbone.channels, len(skeleton), dim) if predicts_sigma else None
        self.visibility, self.correlated = visibility, checked_correlation(correlated, predicts_sigma, dim)
        self.fc_visibility = nn.Linear(backbone.channels, len(skeleton)) if visibility else None
        self.fc_correlation = nn.Linear(backbone.channels, len(skeleton)) if correlated else None
        for layer in (self.fc_visibility, self.fc_correlation):
            if layer is not None:
                small_start(layer)
        self.auxiliary_head = MapHead(backbone, len(skeleton)) if auxiliary else None
        self.output_type = "coordinates and heatmaps" if auxiliary else "coordinates"
        self._check_divisible(COARSEST if auxiliary else getattr(backbone, "divisor", 1))

    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop, in crop coordinates."""
        fine, coarse = features(self.backbone, self.normalised(images))
        maps = self.auxiliary_head(fine) if self.auxiliary_head is not None and self.training else None
        pooled = coarse.to(self.fc_mu.weight.dtype).mean(dim=(2, 3))
        mu = exactly(self.fc_mu, F.normalize(pooled) if self.unit_features else pooled)
        mu = mu.unflatten(1, (len(self.skeleton), self.dim))
        sigma = None if self.fc_sigma is None else exactly(self.fc_sigma, pooled)
        visibility = None if self.fc_visibility is None else exactly(self.fc_visibility, pooled)
        logits = None if self.fc_correlation is None else exactly(self.fc_correlation, pooled)
        correlation = None if logits is None else correlation_of(logits)
        return prediction_of(mu, sigma, self.error_distribution, maps, correlation=correlation, visibility=visibility)

    def joint_outputs(self) -> dict[str, JointOutputs]:
        """Mu and the logits of sigma, D numbers of each joint, and its map."""
        return {
            "fc_mu": JointOutputs((self.dim,), settings=self.unit_features),
            "fc_sigma": JointOutputs((self.dim,)),
            "fc_visibility": JointOutputs(),
            "fc_correlation": JointOutputs(),
            "auxiliary_head.final_layer": JointOutputs(),
        }

    def drop_training_parts(self) -> None:
        """Remove the head of heatmaps."""
        self.auxiliary, self.auxiliary_head, self.output_type = False, None, "coordinates"
