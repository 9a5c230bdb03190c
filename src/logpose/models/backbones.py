"""Backbones by name, and pretrained weights for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, FeatureExtractor, Needs
from logpose.models.efficientnet import EfficientNetLite
from logpose.models.hrnet import HRNet
from logpose.models.movenet import MoveNetTrunk
from logpose.models.resnet import ResNet
from logpose.models.timm_backbone import TimmBackbone
from logpose.models.weight_files import fetched, read_state_dict

__all__ = ["BACKBONES", "Backbone", "backbone_from_config", "create_backbone", "load_backbone_weights"]

BACKBONES: tuple[type[FeatureExtractor], ...] = (ResNet, EfficientNetLite, MoveNetTrunk, HRNet, TimmBackbone)
"""All that can be made by name; another one is a file of its own and an entry here."""

# The mean that the paper's released code subtracts, and its standard deviation by D.
RELEASED_MEAN = (0.406, 0.457, 0.480)
RELEASED_STD = {2: (1.0, 1.0, 1.0), 3: (0.225, 0.224, 0.229)}
INSIDE = (
    *("model.backbone.", "model.backbone.model.", "model.backbone.body.", "model.trunk.backbone."),
    *("backbone.", "preact.", "module.backbone.", "module.preact.", "module."),
)
"""Prefixes of a backbone's names in whole checkpoints: ours, mmpose's, the paper's."""

log = logging.getLogger("logpose")

Triple = tuple[float, float, float]


def create_backbone(
    name: str, size: tuple[int, int], neck: bool = True, all_branches: bool = False, fine: bool = False
) -> FeatureExtractor:
    """A backbone with random weights.

    Args:
        name: "resnet18", 34, 50, 101 or 152, "efficientnet_lite0", 1 or 2, "movenet_thunder" or
            "movenet_lightning", "hrnet_w32" or "hrnet_w48", or "timm/NAME".
        size: (H, W) of its images.
        neck: whether an HRNet merges its branches into features for averaging.
        all_branches: whether feature maps of several strides are needed, as by detectors.
        fine: whether features of a finer resolution than those for averaging are needed.

    Raises:
        InputError: if there is no backbone of that name, or it has no such features.
    """
    return backbone_from_config(backbone_config(name, Needs(size, neck, all_branches, fine)))


def backbone_config(name: str, needs: Needs) -> dict[str, Any]:
    """The `config` of the backbone of a name; for arguments and errors see `create_backbone`."""
    for kind in BACKBONES:
        if (config := kind.named(name, needs)) is not None:
            return config
    known = [name for kind in BACKBONES for name in kind.names]
    raise InputError(f"there is no backbone {name!r}; there are {', '.join(known[:-1])} and {known[-1]}")


def backbone_from_config(config: Mapping[str, Any]) -> FeatureExtractor:
    """The backbone that its `config` described, with random weights.

    Raises:
        InputError: if it is none of `BACKBONES`, or cannot be made.
    """
    kind = config.get("kind")
    for made in BACKBONES:
        if made.kind == kind:
            return made.from_config(config)
    raise InputError(f"there is no backbone of kind {kind!r}; pass your own: load_model(path, backbone=…)")


def load_backbone_weights(backbone: nn.Module, source: str) -> None:
    """Fill a backbone with pretrained weights, in place.

    Args:
        backbone: as `create_backbone` makes it.
        source: "random" (leave it as it is), "imagenet" (of a package, torch's cache or a download), or a state dict of
            torchvision or timm, or a checkpoint (ours, mmpose's, the paper's code's) of which the backbone is taken, in
            torch's format or safetensors: a file, an http(s) address, or "hf://OWNER/NAME/FILE" on the Hugging Face
            Hub; or MoveNet's JSON, a file with its binary file beside it. A whole checkpoint's channel statistics are
            kept as the backbone's `pixel_mean` and `pixel_std`.

    Raises:
        InputError: if the weights cannot be had, or do not fit.
    """
    if source == "random":
        return
    name = str(getattr(backbone, "name", type(backbone).__name__))
    state = _imagenet(backbone, name) if source == "imagenet" else read_state_dict(fetched(source))
    module = backbone
    if isinstance(backbone, FeatureExtractor):
        module, state = backbone.published(), backbone.translated(state)
    wanted = module.state_dict()
    state, pixels = in_rgb(state)
    inside = next((prefix for prefix in INSIDE if prefix + next(iter(wanted)) in state), "")
    state = {key.removeprefix(inside): tensor for key, tensor in state.items() if key.startswith(inside)}
    wrong = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    neck = backbone.neck_parameters if isinstance(backbone, FeatureExtractor) else ()
    if wrong and all(key.startswith(neck) and key not in state for key in wrong):  # weights of a network of heatmaps
        log.warning("%s: has no neck of %s, which keeps its random weights", source, name)
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
    """The tensors of a checkpoint for RGB images, and the mean and standard deviation of its channels, if it has any.

    SimplePose's public code reads images as B, G, R and takes the statistics of R, G and B for theirs: in its
    checkpoints, recognised by the names of their parameters, the first layer's channels are reversed.
    """
    if "model.pixel_mean" in state and "model.pixel_std" in state:
        mean, std = (state[f"model.pixel_{name}"].flatten().tolist() for name in ("mean", "std"))
        return state, ((mean[0], mean[1], mean[2]), (std[0], std[1], std[2])) if len(mean) == len(std) == 3 else None
    if any(key.endswith("preact.conv1.weight") for key in state):  # only the paper's code calls its backbone so
        return state, (RELEASED_MEAN, RELEASED_STD[3 if any("flow3d." in key for key in state) else 2])
    for prefix in ("", "module."):
        first = state.get(f"{prefix}conv1.weight")
        if first is not None and f"{prefix}deconv_layers.0.weight" in state and first.ndim == 4:
            return {**state, f"{prefix}conv1.weight": first.flip(1)}, (IMAGENET_MEAN[::-1], IMAGENET_STD[::-1])
    return state, None


def _imagenet(backbone: nn.Module, name: str) -> dict[str, Tensor]:
    """ImageNet weights, from torch's or timm's cache or the network."""
    if not isinstance(backbone, FeatureExtractor):
        raise InputError(f"no ImageNet weights are known for {name}; give --weights FILE or --weights random")
    try:
        return backbone.imagenet()
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"ImageNet weights of {name} could not be downloaded ({error!s:.120}); give a file with --weights FILE, "
            "or start from random weights with --weights random"
        ) from error
