"""The interface of backbones: networks from normalised images to features, which describe these."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.config import Configurable
from logpose.core.errors import InputError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Backbone", "FeatureExtractor", "Needs", "features"]

# Channel statistics of ImageNet, RGB in [0, 1]: what torchvision's weights and most of timm's were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Channel means of ImageNet, RGB in [0, 1]."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel standard deviations of ImageNet."""


@runtime_checkable
class Backbone(Protocol):
    """Any module that takes images to features and has `channels`."""

    channels: int

    def __call__(self, x: Float[Tensor, "B 3 H W"], /) -> Float[Tensor, "B C h w"]:
        """Features of normalised images."""
        ...


class Needs(NamedTuple):
    """Requirements of a backbone."""

    size: tuple[int, int]
    """(H, W) of images."""
    neck: bool
    """Features for averaging."""
    all_branches: bool
    """Feature maps of several strides."""
    fine: bool = False
    """Features for heatmaps or for attention, whichever has them: those of `map_channels`, or of several strides."""


class FeatureExtractor(nn.Module, Configurable):
    """Base of this package's backbones. A new one is one file, and one entry in `backbones.BACKBONES`.

    Attributes:
        kind: name of the class in a checkpoint.
        names: all names that `named` takes.
        name: of this object.
        channels: number of feature channels.
        stage_channels: of each feature map of `stages`, finest first; detectors need those of strides 8 to 32.
        parallel: whether the stages run in parallel and exchange features.
        map_channels: of the features that heatmaps are predicted from without upsampling, if there are any.
        divisor: the sides of images must be multiples of it.
        neck_parameters: prefixes of parameters that weights of other tasks may lack.
        stage_parameters: prefixes of the names of its parameters, stage by stage from the input to the output; each
            parameter is in one stage. Empty where the stages are not known: such a backbone is not frozen by stages.
    """

    names: ClassVar[tuple[str, ...]]
    parallel: ClassVar[bool] = False
    name: str
    channels: int
    stage_channels: tuple[int, ...] = ()
    map_channels: int | None = None
    divisor: int = 1
    neck_parameters: tuple[str, ...] = ()
    stage_parameters: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def named(cls, name: str, needs: Needs) -> dict[str, Any] | None:
        """The `config` of the backbone of a name; None if the name is not one of `names`."""
        raise NotImplementedError

    def features(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B M h w"], Float[Tensor, "B C h2 w2"]]:
        """Features for heatmaps, and those for averaging: the same unless a network has both."""
        found = self(x)
        return found, found

    def stages(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Feature maps of normalised images at several strides, finest first."""
        raise NotImplementedError

    def last(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h w"]:
        """The layers after the last stage, if there are any."""
        return x

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of each feature map of `levels`."""
        return (*self.stage_channels[:-1], self.channels)

    def levels(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Feature maps as of `stages`, of which the coarsest has gone through the layers after it too."""
        *finer, coarsest = self.stages(x)
        return [*finer, self.last(coarsest)]

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Features (h = H / 32, w = W / 32, rounded up) of normalised images."""
        return self.levels(x)[-1]

    def published(self) -> nn.Module:
        """The module whose parameters have the names of published weights."""
        return self

    def translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published tensors under the names of this package, where they have had other ones."""
        return state

    def imagenet(self) -> dict[str, Tensor]:
        """The tensors of its ImageNet weights by name, downloaded or from a cache.

        Raises:
            InputError: if there are none.
            OSError: or RuntimeError, if they cannot be downloaded.
        """
        raise InputError(f"no ImageNet weights are known for {self.name}; give --weights FILE or --weights random")


def features(backbone: Any, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
    """`FeatureExtractor.features` of any backbone; of one with `channels` only, its output twice."""
    if isinstance(backbone, FeatureExtractor):
        return backbone.features(pixels)
    found = backbone(pixels)
    return found, found
