"""Where features come from: our own backbones by name, any timm model by name, and pretrained weights for them.

A backbone is an `nn.Module` that takes normalised images (B, 3, H, W) to features (B, C, h, w), has `channels` (C) and
a `name` from which `create_backbone` makes it again. A module of one's own needs only the first two.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol, runtime_checkable
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.compat import mend_torchvision
from logpose.core.errors import InputError
from logpose.models.hrnet import HRNet
from logpose.models.resnet import ResNet
from logpose.models.weight_files import fetched, read_state_dict

__all__ = ["Backbone", "TimmBackbone", "create_backbone", "load_backbone_weights"]

# The ImageNet weights ("V1", those of the papers) that torchvision publishes; the hash is part of the file's name.
IMAGENET_URLS = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    "resnet152": "https://download.pytorch.org/models/resnet152-394f9c45.pth",
}
# The same of HRNets, as timm's repositories on the Hugging Face Hub have them: with the public code's names.
IMAGENET_HRNETS = {
    "hrnet_w32": "hf://timm/hrnet_w32.ms_in1k/model.safetensors",
    "hrnet_w48": "hf://timm/hrnet_w48.ms_in1k/model.safetensors",
}
HRNETS = {"hrnet_w32": 32, "hrnet_w48": 48}
# Channel statistics of ImageNet, RGB in [0, 1]: what torchvision's weights and most of timm's were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# What the paper's released code subtracts, in its order of channels, and what it then divides by: of D.
RELEASED_MEAN = (0.406, 0.457, 0.480)
RELEASED_STD = {2: (1.0, 1.0, 1.0), 3: (0.225, 0.224, 0.229)}
TIMM = "timm/"
INSIDE = (
    "model.backbone.",
    "model.backbone.model.",
    "model.backbone.body.",
    "model.trunk.backbone.",
    "backbone.",
    "preact.",
    "module.backbone.",
    "module.preact.",
    "module.",
)
"""What stands before a backbone's names in whole checkpoints: ours (of timm's models and detectors too), mmpose's, the
paper's."""

log = logging.getLogger("logpose")


Triple = tuple[float, float, float]


@runtime_checkable
class Backbone(Protocol):
    """What models ask of a feature extractor."""

    channels: int

    def __call__(self, x: Float[Tensor, "B 3 H W"], /) -> Float[Tensor, "B C h w"]:
        """Features of normalised images."""
        ...


class TimmBackbone(nn.Module):
    """Any classification model of timm, without its classifier.

    Args:
        name: timm's name of the model ("mobilenetv4_conv_small", "vit_small_patch16_224").
        size: (H, W) of the images it will see; transformers are built for it.

    Raises:
        InputError: if timm is not installed or has no such model.
    """

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        super().__init__()
        mend_torchvision()
        try:
            import timm
        except ImportError as error:
            raise InputError(f"backbone {TIMM}{name} needs timm: pip install 'logpose-keypoints[timm]'") from error
        if not timm.is_model(name):
            near = timm.list_models(f"*{name.split('_', maxsplit=1)[0]}*")[:5]
            raise InputError(f"timm has no model {name!r}" + (f"; it has {', '.join(near)} …" if near else ""))
        self.size = size
        self.model = self.create(name)
        self.name, self.channels = TIMM + name, int(self.model.num_features)
        # The channel statistics that its pretrained weights were made with.
        self.pixel_mean = tuple(self.model.pretrained_cfg.get("mean", IMAGENET_MEAN))
        self.pixel_std = tuple(self.model.pretrained_cfg.get("std", IMAGENET_STD))

    def create(self, name: str, pretrained: bool = False) -> Any:
        """timm's model; pretrained position embeddings are resampled to the size."""
        import timm

        settings = {"num_classes": 0, "global_pool": "", "pretrained": pretrained}
        try:
            return timm.create_model(name, img_size=self.size, **settings)
        except TypeError:  # convolutional models take images of any size and have no such argument
            return timm.create_model(name, **settings)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Features; the tokens of a transformer in one row (h = 1), its class token left out."""
        features = self.model.forward_features(x)
        if features.ndim == 3:  # B tokens C
            features = features[:, getattr(self.model, "num_prefix_tokens", 0) :].transpose(1, 2)[:, :, None]
        elif features.shape[1] != self.channels and features.shape[-1] == self.channels:  # B h w C
            features = features.permute(0, 3, 1, 2)
        return features  # type: ignore[no-any-return]


def create_backbone(
    name: str, size: tuple[int, int], neck: bool = True, all_branches: bool = False
) -> ResNet | HRNet | TimmBackbone:
    """A backbone with random weights.

    Args:
        name: "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "hrnet_w32", "hrnet_w48", or "timm/NAME".
        size: (H, W) of the images it will see.
        neck: whether an HRNet merges its branches into features for averaging.
        all_branches: whether an HRNet without a neck gives all four, not the finest alone.

    Raises:
        InputError: if there is no backbone of that name.
    """
    if name.startswith(TIMM):
        return TimmBackbone(name.removeprefix(TIMM), size)
    if name in HRNETS:
        return HRNet(HRNETS[name], neck, all_branches)
    if name not in IMAGENET_URLS:
        known = ", ".join([*IMAGENET_URLS, *HRNETS])
        raise InputError(f"there is no backbone {name!r}; there are {known} and timm/NAME")
    return ResNet(int(name.removeprefix("resnet")))


def load_backbone_weights(backbone: nn.Module, source: str) -> None:
    """Fill a backbone with pretrained weights, in place.

    Args:
        backbone: as `create_backbone` makes it.
        source: "random" (leave it as it is), "imagenet" (download, or find in torch's cache), or a state dict of
            torchvision or timm, or a checkpoint (ours, mmpose's, the paper's code's) whose backbone is to be taken, in
            torch's format or safetensors: a file, an http(s) address, or "hf://OWNER/NAME/FILE" on the Hugging Face
            Hub. What the backbone has no place for, such as a classifier, is left out. A whole checkpoint's channel
            statistics are kept as the backbone's `pixel_mean` and `pixel_std`.

    Raises:
        InputError: if the weights cannot be had, or do not fit.
    """
    if source == "random":
        return
    if source == "imagenet" and isinstance(backbone, HRNet):
        source = IMAGENET_HRNETS[backbone.name]
    name = str(getattr(backbone, "name", type(backbone).__name__))
    state = _imagenet(backbone, name) if source == "imagenet" else read_state_dict(fetched(source))
    module = backbone.model if isinstance(backbone, TimmBackbone) else backbone
    wanted = module.state_dict()
    first = next(iter(wanted))
    state, pixels = in_rgb(state)
    inside = next((prefix for prefix in INSIDE if prefix + first in state), "")
    state = {key.removeprefix(inside): tensor for key, tensor in state.items() if key.startswith(inside)}
    wrong = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    if isinstance(backbone, HRNet) and backbone.neck and not any(key in state for key in wrong):
        with torch.device("meta"):  # for its names alone
            without = HRNet(backbone.fine_channels, neck=False).state_dict().keys()
        of_neck = wanted.keys() - without
        if wrong and set(wrong) <= of_neck:  # weights of a network that draws maps
            log.warning("%s: has no neck of %s, which begins with random weights", source, name)
            wrong = []
    if wrong:
        raise InputError(
            f"{source}: not weights of {name}; {len(wrong)} tensors are missing or of another shape, "
            f"the first is {wrong[0]}"
        )
    module.load_state_dict({key: state[key] for key in wanted if key in state}, strict=False)
    if pixels is not None:
        for name, statistic in zip(("pixel_mean", "pixel_std"), pixels, strict=True):
            setattr(backbone, name, statistic)


def in_rgb(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[Triple, Triple] | None]:
    """A whole checkpoint of a network that sees RGB, and the mean and standard deviation of its channels.

    SimplePose's public code reads pictures as B, G, R and takes the statistics of R, G and B for theirs: in its
    checkpoints, which are told by their names, the first layer's channels are turned round.

    Args:
        state: tensors by name.

    Returns:
        the tensors; the statistics, None where the file does not say.
    """
    if "model.pixel_mean" in state and "model.pixel_std" in state:
        mean, std = (state[f"model.pixel_{name}"].flatten().tolist() for name in ("mean", "std"))
        known = len(mean) == len(std) == 3
        return state, ((mean[0], mean[1], mean[2]), (std[0], std[1], std[2])) if known else None
    if any(key.endswith("preact.conv1.weight") for key in state):  # only the paper's code calls its backbone so
        return state, (RELEASED_MEAN, RELEASED_STD[3 if any("flow3d." in key for key in state) else 2])
    for prefix in ("", "module."):
        first = state.get(f"{prefix}conv1.weight")
        if first is not None and f"{prefix}deconv_layers.0.weight" in state and first.ndim == 4:
            return {**state, f"{prefix}conv1.weight": first.flip(1)}, (IMAGENET_MEAN[::-1], IMAGENET_STD[::-1])
    return state, None


def _imagenet(backbone: nn.Module, name: str) -> dict[str, Tensor]:
    """ImageNet weights, from torch's or timm's cache or the network."""
    try:
        if isinstance(backbone, TimmBackbone):
            return dict(backbone.create(name.removeprefix(TIMM), pretrained=True).state_dict())
        if name in IMAGENET_URLS:
            url = IMAGENET_URLS[name]
            return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"ImageNet weights of {name} could not be downloaded ({error!s:.120}); give a file with --weights FILE, "
            "or start from nothing with --weights random"
        ) from error
    raise InputError(f"no ImageNet weights are known for {name}; give --weights FILE or --weights random")
