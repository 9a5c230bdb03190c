"""ResNet-18 … 152 (He et al. 2016) as feature extractors, with torchvision's parameter names."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.models.backbone import FeatureExtractor, Needs

__all__ = ["ResNet"]

# The ImageNet weights ("V1", those of the papers) that torchvision publishes; the hash is part of the file's name.
IMAGENET_URLS = {
    18: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    34: "https://download.pytorch.org/models/resnet34-b627a593.pth",
    50: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    101: "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    152: "https://download.pytorch.org/models/resnet152-394f9c45.pth",
}


class Block(nn.Module):
    """Convolutions with batch normalisation beside a shortcut."""

    expansion: ClassVar[int]
    kernels: ClassVar[tuple[int, ...]]
    strided: ClassVar[int]
    """Index of the convolution that has the stride."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * self.expansion
        widths = [channels, *[width] * (len(self.kernels) - 1), out]
        for i, kernel in enumerate(self.kernels):
            step = stride if i == self.strided else 1
            setattr(self, f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """Features of the next depth."""
        shortcut = x if self.downsample is None else self.downsample(x)
        for i in range(1, len(self.kernels)):
            x = self.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        last = len(self.kernels)
        x = getattr(self, f"bn{last}")(getattr(self, f"conv{last}")(x))
        return self.relu(x + shortcut)  # type: ignore[no-any-return]


class BasicBlock(Block):
    """Two 3×3 convolutions (ResNet-18 and 34)."""

    expansion, kernels, strided = 1, (3, 3), 0


class Bottleneck(Block):
    """A 3×3 convolution between two 1×1 (ResNet-50, 101 and 152); it has the stride, as in torchvision ("v1.5")."""

    expansion, kernels, strided = 4, (1, 3, 1), 1


class ResNet(FeatureExtractor):
    """ResNet without its classifier: an image to features at 1/32 of its resolution.

    Args:
        depth: 18, 34, 50, 101 or 152.

    Raises:
        InputError: for any other depth.
    """

    kind = "resnet"
    names: ClassVar[tuple[str, ...]] = tuple(f"resnet{depth}" for depth in IMAGENET_URLS)
    stage_parameters = (("conv1.", "bn1."), ("layer1.",), ("layer2.",), ("layer3.",), ("layer4.",))
    # Blocks in each of the four stages (He et al. 2016, Table 1).
    STAGES: ClassVar[dict[int, tuple[type[Block], tuple[int, ...]]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(self, depth: int = 50) -> None:
        super().__init__()
        if depth not in self.STAGES:
            raise InputError(f"there is no ResNet-{depth}; depths are {', '.join(map(str, self.STAGES))}")
        block, counts = self.STAGES[depth]
        self.depth, self.name = depth, f"resnet{depth}"
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels = 64
        self.stage_channels = tuple(64 * 2**stage * block.expansion for stage in range(len(counts)))
        for stage, count in enumerate(counts):
            setattr(self, f"layer{stage + 1}", self._stage(block, 64 * 2**stage, count, 1 if stage == 0 else 2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @classmethod
    def named(cls, name: str, needs: Needs) -> dict[str, Any] | None:  # noqa: ARG003
        """The `config` of "resnet18" … "resnet152"."""
        return {"kind": cls.kind, "depth": int(name.removeprefix("resnet"))} if name in cls.names else None

    def imagenet(self) -> dict[str, Tensor]:
        """torchvision's weights."""
        url = IMAGENET_URLS[self.depth]
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)

    def _stage(self, block: type[Block], width: int, count: int, stride: int) -> nn.Sequential:
        blocks = []
        for i in range(count):
            blocks.append(block(self.channels, width, stride if i == 0 else 1))
            self.channels = width * block.expansion
        return nn.Sequential(*blocks)

    def stages(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Features of normalised images at 1/4, 1/8, 1/16 and 1/32 of their resolution, rounded up."""
        found = [self.maxpool(self.relu(self.bn1(self.conv1(x))))]
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            found.append(layer(found[-1]))  # type: ignore[operator]
        return found[1:]
