"""Keypoint regression by attention: mu and sigma of each joint from the features at the places that are attended to.

An average over the whole crop (`regression`) has lost where things are: the layers before it must encode places in
features. Here each joint has a map of attention over a small pyramid of features. Mu is the mean place under it (as in
Integral Pose, Sun et al. 2018), moved by an offset from the mean feature under it. Sigma is read from that, from the
average over the crop, and from the spread and the peak of the map. There is no maximum to search for, no deconvolution.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.core.geometry import PADDING
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD, FeatureExtractor
from logpose.models.heads import checked_correlation, correlation_of, prediction_of, sigma_of
from logpose.models.pose_model import JointOutputs, PoseModel

__all__ = ["AttentionModel"]

LEAST_SPREAD = 1e-3
"""Of attention, in crop coordinates (an eighth of a pixel of 128): keeps its logarithm finite."""


def convolution(channels: int, out: int, kernel: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution of the same resolution, and batch normalisation."""
    return [nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]


class JointLinear(nn.Module):
    """A linear layer of its own for each joint; it starts at 0."""

    def __init__(self, joints: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(joints, outputs, channels))
        self.bias = nn.Parameter(torch.zeros(joints, outputs))

    def forward(self, features: Float[Tensor, "B K C"]) -> Float[Tensor, "B K D"]:
        """The outputs of each joint, from its features."""
        return (features[:, :, None] * self.weight).sum(dim=-1) + self.bias


class AttentionModel(PoseModel):
    """Keypoint regression from the features that each joint attends to.

    Args:
        backbone: features of images at several strides, see `FeatureExtractor.levels`.
        dim: D.
        predicts_sigma: whether sigma is predicted; where not (L1 and L2 regression), it is 1 everywhere.
        levels: feature maps that are fused, from the coarsest on: 1 is stride 32 alone, 2 ends at stride 16, 3 at 8;
            fewer where the backbone has fewer. One with fine features of its own (`map_channels`) has these instead.
        width: channels of the fused features, unless they are the backbone's own.
        sharpness: power of attention that mu and its features are the mean under. A joint that may be at two places is
            put between them by attention itself, and at the likelier one by a high power of it.
        auxiliary: whether the logits of attention are given while training, for a loss on them beside.
        visibility: whether the probability that a joint is labelled as visible is predicted too.
        correlated: whether the correlation of errors along x and y is: ellipses in any direction; needs sigma and D 2.
        skeleton, size, padding, pixel_mean, pixel_std: see `PoseModel`.

    Raises:
        InputError: if the size is none of whole cells of stride 32, the backbone is another module, or a correlation is
            asked for without sigma or in other than two dimensions.
    """

    kind = "attention"

    def __init__(
        self,
        backbone: FeatureExtractor,
        skeleton: Skeleton,
        size: tuple[int, int],
        dim: int = 2,
        predicts_sigma: bool = True,
        levels: int = 3,
        width: int = 128,
        sharpness: float = 4.0,
        auxiliary: bool = False,
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
        visibility: bool = False,
        correlated: bool = False,
    ) -> None:
        super().__init__(skeleton, size, dim, padding, pixel_mean, pixel_std)
        self._check_divisible()
        if not isinstance(backbone, FeatureExtractor) or levels < 1 or width < 1:
            raise InputError(
                f"attention needs a FeatureExtractor and 1 or more levels and channels, got {type(backbone).__name__}, "
                f"{levels} and {width}"
            )
        self.backbone, self.predicts_sigma, self.levels, self.width = backbone, predicts_sigma, levels, width
        self.sharpness, self.auxiliary, joints = sharpness, auxiliary, len(skeleton)
        self.output_type = "coordinates and heatmap logits" if auxiliary else "coordinates"
        channels = backbone.level_channels
        if backbone.map_channels is not None:
            channels, width = (), backbone.map_channels
        self.top = nn.Sequential(*convolution(channels[-1], width)) if channels else None
        self.lateral, self.smooth = nn.ModuleList(), nn.ModuleList()
        for finer in channels[-2 : -levels - 1 : -1]:
            self.lateral.append(nn.Sequential(*convolution(finer, width)))
            depthwise, pointwise = convolution(width, width, 3, width), convolution(width, width)
            self.smooth.append(nn.Sequential(*depthwise, nn.ReLU(), *pointwise, nn.ReLU()))
        self.maps = nn.Conv2d(width, joints, 1)
        nn.init.normal_(self.maps.weight, std=0.001)  # attention starts even
        assert self.maps.bias is not None
        nn.init.zeros_(self.maps.bias)
        self.fc_mu = JointLinear(joints, width, dim)
        seen = 2 * width + 3
        self.fc_sigma = JointLinear(joints, seen, dim) if predicts_sigma else None
        self.visibility, self.correlated = visibility, checked_correlation(correlated, predicts_sigma, dim)
        self.fc_visibility = JointLinear(joints, seen, 1) if visibility else None
        self.fc_correlation = JointLinear(joints, seen, 1) if correlated else None

    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop, in crop coordinates."""
        y = self._fused(self.normalised(images))
        with torch.autocast(y.device.type, enabled=False):
            y = y.to(self.maps.weight.dtype)
            logits = self.maps(y)
            share = logits.flatten(2).softmax(dim=2)  # B K hw
            cells = self._cells(y)
            spread = (share @ cells.square() - (share @ cells).square()).clamp_min(LEAST_SPREAD**2).sqrt()
            sharp = (self.sharpness * logits).flatten(2).softmax(dim=2)
            place, attended = sharp @ cells, sharp @ y.flatten(2).transpose(1, 2)  # B K 2, B K C
            offset = self.fc_mu(attended)
            mu = torch.cat([place + offset[..., :2], offset[..., 2:]], dim=-1)
            around, peak = y.mean(dim=(2, 3))[:, None].expand_as(attended), share.amax(dim=2, keepdim=True)
            seen = torch.cat([attended, around, spread.log(), peak.log()], dim=-1)
            sigma = None if self.fc_sigma is None else sigma_of(self.fc_sigma(seen))
            visibility = None if self.fc_visibility is None else self.fc_visibility(seen)[..., 0]
            correlation = None if self.fc_correlation is None else correlation_of(self.fc_correlation(seen)[..., 0])
        maps = logits if self.auxiliary and self.training else None
        return prediction_of(mu, sigma, self.error_distribution, maps, correlation=correlation, visibility=visibility)

    def _fused(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """The features that are attended to."""
        if self.top is None:
            return self.backbone.features(pixels)[0]
        *finer, coarsest = self.backbone.levels(pixels)
        y: Tensor = self.top(coarsest)
        for lateral, smooth, source in zip(self.lateral, self.smooth, reversed(finer), strict=False):
            y = smooth(lateral(source) + F.interpolate(y, source.shape[2:]))
        return y

    def _cells(self, y: Float[Tensor, "B C h w"]) -> Float[Tensor, "hw 2"]:
        """Middle (x, y) of each cell's pixels, in crop coordinates."""
        centres = []
        for cells, pixels in zip(y.shape[2:], self.size, strict=True):
            middle = torch.arange(cells, device=y.device, dtype=y.dtype) + 0.5
            centres.append(middle / cells - 0.5 / pixels - 0.5)
        down, across = torch.meshgrid(*centres, indexing="ij")
        return torch.stack([across, down], dim=-1).flatten(0, 1)

    def joint_outputs(self) -> dict[str, JointOutputs]:
        """The map of each joint, and its layers for mu and the logits of the rest."""
        return dict.fromkeys(("maps", "fc_mu", "fc_sigma", "fc_visibility", "fc_correlation"), JointOutputs())

    def drop_training_parts(self) -> None:
        """Attention itself stays."""
        self.auxiliary, self.output_type = False, "coordinates"
