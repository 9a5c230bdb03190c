"""Models that predict a heatmap for every joint: SimplePose, HRNet and Integral Pose, the paper's baselines of RLE."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from logpose.core.geometry import PADDING
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, features
from logpose.models.heads import SigmaHead, exactly, prediction_of
from logpose.models.pose_model import JointOutputs, PoseModel

__all__ = ["HeatmapModel", "IntegralModel", "MapHead", "decode", "expected"]

DECONVOLUTIONS, WIDTH = 3, 256  # of SimplePose: each doubles the resolution
QUARTER = 0.25  # cells from the greatest towards the greater of its neighbours (Newell et al. 2016)


class MapHead(nn.Module):
    """From a backbone's features to maps: three transposed convolutions, none behind an HRNet, then a 1×1."""

    def __init__(self, backbone: Backbone, maps: int) -> None:
        super().__init__()
        fine: int | None = getattr(backbone, "map_channels", None)
        channels = fine or backbone.channels
        layers: list[nn.Module] = []
        for _ in range(0 if fine else DECONVOLUTIONS):
            layers += [nn.ConvTranspose2d(channels, WIDTH, 4, 2, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(True)]
            channels = WIDTH
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(channels, maps, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)  # as in SimplePose's code
        assert self.final_layer.bias is not None
        nn.init.zeros_(self.final_layer.bias)

    def forward(self, fine: Float[Tensor, "B C h w"]) -> Float[Tensor, "B M h2 w2"]:
        """The maps; their last layer in full precision, as coordinates would come in steps."""
        maps: Tensor = exactly(self.final_layer, self.deconv_layers(fine))
        return maps


def decode(maps: Float[Tensor, "B K h w"]) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Position of each map's maximum, in crop coordinates, and its value.

    It is moved by a quarter of a cell, along x and along y, towards the greater of its two neighbours; not within two
    cells of the maps' left and top edge or one of the others', as in SimplePose's code. A cell i of w lies at
    i / w - 0.5, as the pixel it was made from.
    """
    height, width = maps.shape[2:]
    flat = maps.flatten(2)
    peak, at = flat.max(dim=2)
    x, y = at % width, at // width
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)

    def value(of: Tensor) -> Tensor:
        return flat.gather(2, of.clamp(0, height * width - 1)[..., None])[..., 0]

    shift = torch.stack([value(at + step) - value(at - step) for step in (1, width)], dim=-1).sign()
    cells = torch.stack([x, y], dim=-1) + QUARTER * shift * inside[..., None]
    return cells / maps.new_tensor([width, height]) - 0.5, peak


def expected(share: Float[Tensor, "B K *cells"]) -> Float[Tensor, "B K D"]:
    """Mean place, in crop coordinates (x, y, z), of the probability in each map's cells; its axes are (z,) y, x."""
    axes = range(2, share.ndim)
    places = []
    for axis in reversed(axes):  # x first
        marginal = share.sum(dim=[other for other in axes if other != axis])
        cells = torch.arange(share.shape[axis], device=share.device, dtype=share.dtype) / share.shape[axis] - 0.5
        places.append(marginal @ cells)
    return torch.stack(places, dim=-1)


class HeatmapModel(PoseModel):
    """SimplePose (Xiao et al. 2018), or HRNet: trained on maps (`losses.HeatmapLoss`), read at their maxima.

    Its confidence is the map's maximum, as in the paper's comparison; it has no sigma.

    Args:
        backbone: features of images; an `HRNet` without a neck, or with `channels` and 1/32 of the resolution.
        skeleton, size, padding, pixel_mean, pixel_std: see `PoseModel`.
    """

    kind = "heatmap"

    def __init__(
        self,
        backbone: Backbone,
        skeleton: Skeleton,
        size: tuple[int, int],
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(skeleton, size, 2, padding, pixel_mean, pixel_std)
        self._check_divisible()
        self.output_type = "heatmaps"
        self.backbone = backbone
        self.head = MapHead(backbone, len(skeleton))

    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop, in crop coordinates."""
        return self._read(self.head(features(self.backbone, self.normalised(images))[0]))

    def _read(self, maps: Float[Tensor, "B K h w"]) -> Prediction:
        mu, peak = decode(maps.detach())
        return Prediction(mu, torch.ones_like(mu), peak.clamp(0, 1), self.error_distribution, maps)

    def joint_outputs(self) -> dict[str, JointOutputs]:
        """The map of each joint."""
        return {"head.final_layer": JointOutputs(settings="maximum")}

    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """Flip test: the mean of the maps and of those of the mirrored crops, then where it is greatest.

        A column x of the crop stands at W - 1 - x in its mirror image: a cell i of w, four columns each, at
        w - 1/4 - i, between two cells. The maps are moved to the closer one, as in SimplePose's code.
        """
        assert prediction.maps is not None
        assert mirrored.maps is not None
        back = mirrored.maps.flip(-1)[:, list(self.skeleton.flip_index)]
        back = torch.cat([back[..., :1], back[..., :-1]], dim=-1)
        return self._read((prediction.maps + back) / 2)


class IntegralModel(PoseModel):
    """Integral Pose (Sun et al. 2018) in two or three dimensions; with sigma, HRNet + RLE (the paper, Table 2b).

    Args:
        backbone: as of `HeatmapModel`; an `HRNet` has a neck if sigma is predicted.
        dim: D; in three dimensions a map has `depth` layers.
        predicts_sigma: whether a linear layer reads sigma from the averaged features; where not, it is 1 everywhere.
        normalisation: makes a map a probability: its softmax, or its sigmoid over the sum of that.
        depth: layers of a map.
        skeleton, size, padding, pixel_mean, pixel_std: see `PoseModel`.
    """

    kind = "integral"

    def __init__(
        self,
        backbone: Backbone,
        skeleton: Skeleton,
        size: tuple[int, int],
        dim: int = 2,
        predicts_sigma: bool = False,
        normalisation: Literal["softmax", "sigmoid"] = "softmax",
        depth: int = 64,
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(skeleton, size, dim, padding, pixel_mean, pixel_std)
        self._check_divisible()
        self.backbone, self.normalisation, self.depth = backbone, normalisation, depth
        self.predicts_sigma = predicts_sigma
        self.head = MapHead(backbone, len(skeleton) * (depth if dim == 3 else 1))
        self.fc_sigma = SigmaHead(backbone.channels, len(skeleton), dim) if predicts_sigma else None

    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop, in crop coordinates."""
        fine, coarse = features(self.backbone, self.normalised(images))
        maps = self.head(fine)
        if self.dim == 3:
            maps = maps.unflatten(1, (-1, self.depth))  # B K z y x
        with torch.autocast(maps.device.type, enabled=False):
            if self.normalisation == "softmax":
                share = maps.flatten(2).softmax(dim=2).view_as(maps)
                peak = torch.ones_like(share.flatten(2)[..., 0])
            else:
                lit = maps.sigmoid().flatten(2)
                share = (lit / lit.sum(dim=2, keepdim=True).clamp_min(torch.finfo(lit.dtype).tiny)).view_as(maps)
                peak = lit.amax(dim=2)
            mu = expected(share)
        if self.fc_sigma is None:
            return Prediction(mu, torch.ones_like(mu), peak, self.error_distribution)
        sigma = exactly(self.fc_sigma, coarse.to(self.fc_sigma.weight.dtype).mean(dim=(2, 3)))
        return prediction_of(mu, sigma, self.error_distribution)

    def joint_outputs(self) -> dict[str, JointOutputs]:
        """The layers of each joint's map, and D logits of sigma."""
        layers = (self.depth,) if self.dim == 3 else ()
        return {
            "head.final_layer": JointOutputs(layers, settings=(self.normalisation, layers)),
            "fc_sigma": JointOutputs((self.dim,)),
        }
