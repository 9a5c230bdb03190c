"""The network of MoveNet for one person (Google, 2021) as a backbone; the published model is `movenet_pose.MoveNet`.

MobileNetV2 and a feature pyramid, trained on heatmaps of people. Thunder is 1.75 times as wide as MobileNetV2 and takes
256×256 pixels, Lightning 192×192. In the published files batch normalisation is part of the convolutions.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.models.backbone import FeatureExtractor, Needs
from logpose.models.efficientnet import SameConv2d

__all__ = ["HIDDEN", "PYRAMID", "SIDES", "MoveNetTrunk", "Separable", "in_torch"]

STAGES = ((1, 1, 1, 16), (2, 2, 6, 24), (3, 2, 6, 32), (4, 2, 6, 64), (3, 1, 6, 96), (3, 2, 6, 160), (1, 1, 6, 320))
"""Blocks, stride, expansion and channels of each stage (Sandler et al. 2018, Table 2)."""
ENDS = (1, 2, 3, 6)
"""Stages whose last features the pyramid is made of: those of strides 4, 8, 16 and 32."""
WIDTHS, SIDES = {"thunder": 1.75, "lightning": 1.0}, {"thunder": 256, "lightning": 192}
"""Factor of the channels, and side of the crops in pixels."""
COARSE, PYRAMID, HIDDEN = 1280, (64, 32, 24, 24), 96
"""Channels of the last features, of the pyramid, coarsest first, and of the heads' hidden layers."""
PIXEL = 1 / (255 * 0.007843017578125)
"""Mean and standard deviation of pixels in [0, 1]: 1/2, from 1/127.5 in half precision."""
RENAMED = (
    (r"StatefulPartitionedCall/|center_net_mobile_net_v2fpn_feature_extractor/model_1/|model/", ""),
    (r"(center|kpt_\w+)_0/((?:separable_)?conv2d)_\d+", r"\1.\2"),
    (r"/(Conv2D|depthwise)_weights|/Conv2D/ReadVariableOp", ".weight"),
    (r"(separable_conv2d\w*)/(separable_conv2d_bn_offset|BiasAdd/ReadVariableOp)", r"\1.pointwise.bias"),
    (r"/((Conv2D|depthwise)_bn_offset|BiasAdd/ReadVariableOp)", ".bias"),
    (r"/separable_conv2d(_weights|/ReadVariableOp_1)", ".pointwise.weight"),
    (r"/separable_conv2d/ReadVariableOp", ".depthwise.weight"),
)
"""Parts of the names of the published tensors, and what they are here."""


def in_torch(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors (height, width, input, output) as torch orders them, under the names here."""
    found = {}
    for name, tensor in state.items():
        for pattern, new in RENAMED:
            name = re.sub(pattern, new, name)
        order = (2, 3, 0, 1) if name.endswith("depthwise.weight") else (3, 2, 0, 1)
        found[name] = tensor.permute(order).contiguous() if tensor.ndim == len(order) else tensor
    return found


def convolution(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution with a bias; at stride 1 SAME padding is the same above and below."""
    kind = nn.Conv2d if stride == 1 else SameConv2d
    return kind(channels, out, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)


class Separable(nn.Module):
    """A depthwise convolution without bias, and one of 1×1, rectified."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h w"]:
        """Features of the same resolution."""
        return F.relu(self.pointwise(self.depthwise(x)))


class MoveNetTrunk(FeatureExtractor):
    """MoveNet without the last layers of its heads: an image to features at 1/4 and at 1/32 of its resolution.

    Args:
        size: "thunder" or "lightning".

    Raises:
        InputError: for any other size.
    """

    kind = "movenet_trunk"
    names: ClassVar[tuple[str, ...]] = tuple(f"movenet_{size}" for size in WIDTHS)
    channels, map_channels, divisor = COARSE, HIDDEN, 32
    pixel_mean = pixel_std = (PIXEL, PIXEL, PIXEL)

    def __init__(self, size: str = "thunder") -> None:
        super().__init__()
        if size not in WIDTHS:
            raise InputError(f"there is no MoveNet {size!r}; sizes are {', '.join(WIDTHS)}")
        self.size, self.name = size, f"movenet_{size}"
        channels, *outs = (int(width * WIDTHS[size] + 4) // 8 * 8 for width in (32, *(stage[3] for stage in STAGES)))
        self.Conv1 = convolution(3, channels, 3, 2)
        self.blocks: list[list[str]] = []  # names of those of each stage
        for (count, stride, expansion, _), out in zip(STAGES, outs, strict=True):
            first = sum(map(len, self.blocks))
            self.blocks.append([f"block_{first + k}" if first else "expanded_conv" for k in range(count)])
            for k, name in enumerate(self.blocks[-1]):
                wide = channels * expansion
                if expansion > 1:
                    self.add_module(f"{name}_expand", convolution(channels, wide))
                self.add_module(f"{name}_depthwise", convolution(wide, wide, 3, stride if k == 0 else 1, wide))
                self.add_module(f"{name}_project", convolution(wide, out))
                channels = out
        self.Conv_1 = convolution(channels, COARSE)
        self.stage_channels = tuple(outs[i] for i in ENDS)
        self.conv2d = convolution(COARSE, PYRAMID[0])
        for i, source in enumerate(reversed(self.stage_channels[:-1])):
            self.add_module(f"conv2d_{i + 1}", convolution(source, PYRAMID[i]))
            self.add_module(f"separable_conv2d_{i}" if i else "separable_conv2d", Separable(*PYRAMID[i : i + 2]))
        self.kpt_heatmap = nn.ModuleDict({"separable_conv2d": Separable(PYRAMID[-1], HIDDEN)})
        stages = [[f"{name}_" for name in names] for names in self.blocks]
        stages[0].append("Conv1.")
        stages[-1].append("Conv_1.")
        self.stage_parameters = (*map(tuple, stages), ("conv2d", "separable_conv2d", "kpt_heatmap."))

    @classmethod
    def named(cls, name: str, needs: Needs) -> dict[str, Any] | None:  # noqa: ARG003
        """The `config` of "movenet_thunder" and "movenet_lightning"."""
        return {"kind": cls.kind, "size": name.removeprefix("movenet_")} if name in cls.names else None

    def translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors under this module's names; the published ones have others."""
        return in_torch(state) if any(name.startswith("StatefulPartitionedCall/") for name in state) else state

    def stages(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Features of normalised images at 1/4, 1/8, 1/16 and 1/32 of their resolution."""
        x, found = F.relu6(self.Conv1(x)), []
        for names in self.blocks:
            for name in names:
                y = F.relu6(getattr(self, f"{name}_expand")(x)) if hasattr(self, f"{name}_expand") else x
                y = getattr(self, f"{name}_project")(F.relu6(getattr(self, f"{name}_depthwise")(y)))
                x = y if name == names[0] else x + y
            found.append(x)
        return [found[i] for i in ENDS]

    def last(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h w"]:
        """The last 1×1 convolution."""
        return F.relu6(self.Conv_1(x))

    def pyramid(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B 24 h w"], Float[Tensor, "B 1280 h2 w2"]]:
        """Features at 1/4 of the resolution, which all heads read, and those at 1/32."""
        *sources, coarse = self.levels(x)
        y = self.conv2d(coarse)
        for i, source in enumerate(reversed(sources)):
            lateral = getattr(self, f"conv2d_{i + 1}")(source)
            smooth = getattr(self, f"separable_conv2d_{i}" if i else "separable_conv2d")
            y = smooth(lateral + F.interpolate(y, source.shape[2:], mode="bilinear"))
        return y, coarse

    def features(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B 96 h w"], Float[Tensor, "B 1280 h2 w2"]]:
        """The hidden layer of its heatmaps, and the features at 1/32 of the resolution."""
        fine, coarse = self.pyramid(x)
        return self.kpt_heatmap["separable_conv2d"](fine), coarse
