"""HRNet-W32 and W48 (Sun et al. 2019; Wang et al. 2020), with the parameter names of the public code.

Four branches at 1/4, 1/8, 1/16 and 1/32 of the image run in parallel and exchange features. Heatmaps are made from the
finest one. With a *neck*, that of the classification network, all four are merged into features for averaging.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.models.backbone import FeatureExtractor, Needs
from logpose.models.resnet import BasicBlock, Bottleneck
from logpose.models.weight_files import fetched, read_state_dict

__all__ = ["HRNet"]

STEM = 64  # channels of the stem, and width of the first stage's bottlenecks
BLOCKS = 4  # in the first stage, and in each branch of each module
MODULES = (1, 4, 3)  # of stages 2, 3 and 4
NECK_WIDTHS = (32, 64, 128, 256)  # of the bottleneck that each branch passes in the neck
NECK_CHANNELS = 2048
# ImageNet weights in timm's repositories on the Hugging Face Hub, with the public code's names.
IMAGENET_FILES = {
    32: "hf://timm/hrnet_w32.ms_in1k/model.safetensors",
    48: "hf://timm/hrnet_w48.ms_in1k/model.safetensors",
}


def conv_bn(
    channels: int, out: int, kernel: int, stride: int = 1, relu: bool = True, bias: bool = False
) -> list[nn.Module]:
    """A convolution that keeps its input's size (but for the stride), batch normalisation, and mostly a ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=bias), nn.BatchNorm2d(out)]
    return [*layers, nn.ReLU(inplace=True)] if relu else layers


class ExchangeModule(nn.Module):
    """Blocks on every branch; then the first `outputs` branches receive the sum of all, brought to their shape."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width, 1) for _ in range(BLOCKS))) for width in widths
        )
        # An entry [to][from]; None where both are the same branch, as in the public code.
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList([self._path(widths, source, to) for source in range(len(widths))])  # type: ignore[misc]
            for to in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    @staticmethod
    def _path(widths: Sequence[int], source: int, to: int) -> nn.Module | None:
        if source == to:
            return None
        if source > to:
            enlarge = nn.Upsample(scale_factor=2 ** (source - to), mode="nearest")
            return nn.Sequential(*conv_bn(widths[source], widths[to], 1, relu=False), enlarge)
        halve = [nn.Sequential(*conv_bn(widths[source], widths[source], 3, stride=2)) for _ in range(to - source - 1)]
        return nn.Sequential(*halve, nn.Sequential(*conv_bn(widths[source], widths[to], 3, stride=2, relu=False)))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Features of every branch that is returned."""
        branches = [blocks(x) for blocks, x in zip(self.branches, branches, strict=True)]
        merged = []
        for to, paths in enumerate(self.fuse_layers):
            total = branches[to]
            for path, x in zip(paths, branches, strict=True):  # type: ignore[call-overload]
                if path is not None:
                    total = total + path(x)
            merged.append(self.relu(total))
        return merged


class HRNet(FeatureExtractor):
    """HRNet without its last layer.

    Args:
        width: channels of the finest branch, 32 or 48; the others have 2, 4 and 8 times as many.
        neck: whether to merge the branches into features for averaging, beside the finest branch.
        all_branches: whether, without a neck, the last stage has all four branches instead of the finest alone.

    Raises:
        InputError: for any other width.
    """

    kind = "hrnet"
    names: ClassVar[tuple[str, ...]] = ("hrnet_w32", "hrnet_w48")
    parallel = True
    divisor = 32
    WIDTHS: ClassVar[tuple[int, ...]] = (32, 48)

    def __init__(self, width: int = 32, neck: bool = True, all_branches: bool = False) -> None:
        super().__init__()
        if width not in self.WIDTHS:
            raise InputError(f"there is no HRNet-W{width}; widths are {', '.join(map(str, self.WIDTHS))}")
        self.name, self.width, self.neck, self.all_branches = f"hrnet_w{width}", width, neck, all_branches
        self.map_channels = width
        merging = (("incre_modules.", "downsamp_modules.", "final_layer."),) if neck else ()
        later = ((f"transition{stage - 1}.", f"stage{stage}.") for stage in range(2, 2 + len(MODULES)))
        self.stage_parameters = (("conv1.", "bn1.", "conv2.", "bn2."), ("layer1.",), *later, *merging)
        self.conv1 = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv2 = nn.Conv2d(STEM, STEM, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        out = STEM * Bottleneck.expansion
        self.layer1 = nn.Sequential(*(Bottleneck(STEM if i == 0 else out, STEM, 1) for i in range(BLOCKS)))
        self.channels = NECK_CHANNELS if neck else width
        self.stage_channels = tuple(width * 2**branch for branch in range(4 if neck or all_branches else 1))
        before = [out]
        for stage, count in enumerate(MODULES, start=2):
            widths = [width * 2**i for i in range(stage)]
            # Heatmaps need no more than the finest of the last branches.
            outputs = [stage] * (count - 1) + [stage if neck or all_branches or stage < 4 else 1]
            setattr(self, f"transition{stage - 1}", self._transition(before, widths))
            setattr(self, f"stage{stage}", nn.Sequential(*(ExchangeModule(widths, n) for n in outputs)))
            before = widths
        if neck:
            # The coarser outputs of the last module are for the neck alone.
            coarse = tuple(f"stage{stage}.{count - 1}.fuse_layers.{branch}." for branch in (1, 2, 3))
            self.neck_parameters = ("incre_modules.", "downsamp_modules.", "final_layer.", *coarse)
            outs = [narrow * Bottleneck.expansion for narrow in NECK_WIDTHS]
            self.incre_modules = nn.ModuleList(
                nn.Sequential(Bottleneck(channels, narrow, 1))
                for channels, narrow in zip(before, NECK_WIDTHS, strict=True)
            )
            self.downsamp_modules = nn.ModuleList(
                nn.Sequential(*conv_bn(fine, coarse, 3, stride=2, bias=True)) for fine, coarse in pairwise(outs)
            )
            self.final_layer = nn.Sequential(*conv_bn(outs[-1], NECK_CHANNELS, 1, bias=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the branches."""
        return self.stage_channels

    @classmethod
    def named(cls, name: str, needs: Needs) -> dict[str, Any] | None:
        """The `config` of "hrnet_w32" or "hrnet_w48"."""
        if name not in cls.names:
            return None
        width = int(name.removeprefix("hrnet_w"))
        return {"kind": cls.kind, "width": width, "neck": needs.neck, "all_branches": needs.all_branches}

    def imagenet(self) -> dict[str, Tensor]:
        """timm's weights of the classification network."""
        return read_state_dict(fetched(IMAGENET_FILES[self.width]))

    @staticmethod
    def _transition(before: list[int], widths: list[int]) -> nn.ModuleList:
        """To one branch more than before; None where a branch goes on as it is."""
        pairs = zip(before, widths, strict=False)
        going_on = [nn.Sequential(*conv_bn(old, new, 3)) if old != new else None for old, new in pairs]
        # The public code wraps the new branch's one convolution twice.
        begun = nn.Sequential(nn.Sequential(*conv_bn(before[-1], widths[-1], 3, stride=2)))
        return nn.ModuleList([*going_on, begun])  # type: ignore[list-item]

    def stages(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Features of normalised images at 1/4, 1/8, 1/16 and 1/32 of their resolution; or of the first alone."""
        x = self.relu(self.bn1(self.conv1(x)))
        found = [self.layer1(self.relu(self.bn2(self.conv2(x))))]
        for stage in range(2, 2 + len(MODULES)):
            transition = getattr(self, f"transition{stage - 1}")
            # The coarsest branch so far gives rise to the new one.
            sources = [*found, found[-1]]
            found = [x if path is None else path(x) for path, x in zip(transition, sources, strict=True)]
            found = getattr(self, f"stage{stage}")(found)
        return found

    def merged(self, branches: list[Tensor]) -> Float[Tensor, "B 2048 h w"]:
        """The four branches merged by the neck."""
        total = self.incre_modules[0](branches[0])
        for down, widen, x in zip(self.downsamp_modules, self.incre_modules[1:], branches[1:], strict=True):
            total = widen(x) + down(total)
        return self.final_layer(total)  # type: ignore[no-any-return]

    def features(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
        """The finest branch, and the neck's merged features, if there is one."""
        branches = self.stages(x)
        return branches[0], self.merged(branches) if self.neck else branches[0]

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """The merged features of normalised images (h = H / 32); without a neck those of the finest branch (H / 4)."""
        return self.features(x)[1]
