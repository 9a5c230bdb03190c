"""Weights from and for other codes: the paper's checkpoints, mmpose's, folders and repositories of the Hub.

A model computes what the other code's network did, with its pixel normalisation and coordinates. Only tensors are read
from a file; nothing in it is executed.
"""

from __future__ import annotations

import re
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, MPII, Skeleton
from logpose.core.structures import Origin
from logpose.flows import RealNVP
from logpose.losses import LikelihoodLoss, MixedRLELoss, RLELoss
from logpose.models import HeatmapModel, HRNet, Model, PoseModel, RegressionModel, ResNet
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD
from logpose.models.backbones import RELEASED_MEAN, RELEASED_STD, in_rgb
from logpose.models.movenet import SIDES, MoveNetTrunk, in_torch
from logpose.models.movenet_pose import MoveNet
from logpose.models.weight_files import CARD, NO_HUB, read_state_dict
from logpose.training.checkpoint import load, save

__all__ = [
    "from_pretrained",
    "load_heatmaps",
    "load_mmpose",
    "load_movenet",
    "load_released",
    "load_weights",
    "models_on_hub",
    "push_to_hub",
]

LIBRARY = "logpose"
"""Tag of models on the Hub."""
ON_HUB = """---
library_name: logpose
tags: [logpose, keypoint-detection]
---

A {task} model of [logpose](https://pypi.org/project/logpose-keypoints): keypoints with standard deviations.

    pip install 'logpose-keypoints[hub]'
    logpose predict hf://{name} photo.jpg
"""
"""The card of a repository without one."""

SKELETONS = {(17, 2): (COCO, (256, 192)), (16, 2): (MPII, (256, 256)), (18, 3): (H36M, (256, 256))}
"""Skeleton and (H, W) by number of joints and dimensions, unless others are given."""


def load_released(
    path: str | Path, skeleton: Skeleton | None = None, size: tuple[int, int] | None = None
) -> tuple[PoseModel, LikelihoodLoss]:
    """A checkpoint of the paper's released code: ResNet-18 … 152 in two dimensions, or in three.

    Its features are scaled to length 1 before mu is read from them, and its pixels have the channel means of B, G and R
    taken from R, G and B; the model does the same. In three dimensions that code takes the root's depth from all depths
    when it evaluates; the model does not.

    Args:
        path: the file, a dictionary of tensors.
        skeleton: its joints; by their number COCO's, MPII's or Human3.6M's when None.
        size: (H, W) of its crops; 256×192 for COCO and 256×256 for others when None.

    Returns:
        the model, and the loss in the convention `released`.

    Raises:
        InputError: if the file is not such a checkpoint.
    """
    state = _plain_names(read_state_dict(path))
    _need(path, state, "preact.conv1.weight", "fc_coord.linear.weight", kind="the paper's released code")
    dim = 3 if any(key.startswith("flow3d.") for key in state) else 2
    coord = _layer(path, state, "fc_coord.linear")
    sigma = _layer(path, state, "fc_sigma.linear" if "fc_sigma.linear.weight" in state else "fc_sigma")
    loss: LikelihoodLoss
    if dim == 3:
        space, plane = (RLELoss(_flow(path, state, f"flow{d}d."), d, convention="released") for d in (3, 2))
        loss = MixedRLELoss(space, plane)
    else:
        loss = RLELoss(_flow(path, state, "flow."), convention="released")
    model = _model(path, state, "preact.", coord, sigma, dim, skeleton, size, released=True)
    model.set_error_distribution(loss.eval().error_distribution())
    return model, loss


def load_mmpose(
    path: str | Path, skeleton: Skeleton | None = None, size: tuple[int, int] | None = None
) -> tuple[PoseModel, LikelihoodLoss]:
    """A checkpoint of mmpose's RLE head on a ResNet, and its loss in the convention `mmpose`.

    Its one linear layer gives x, y and the logits of both sigmas joint by joint, in [0, 1] of the crop. For arguments
    and errors see `load_released`.
    """
    state = _plain_names(read_state_dict(path))
    _need(path, state, "backbone.conv1.weight", "head.fc.weight", kind="mmpose's RLE head on a ResNet")
    weight, bias = _layer(path, state, "head.fc")
    if len(weight) % 4:
        raise InputError(f"{path}: head.fc has {len(weight)} outputs, not 4 for each joint")
    of_joints, offsets = weight.unflatten(0, (-1, 4)), bias.unflatten(0, (-1, 4))  # type: ignore[no-untyped-call]
    mu = of_joints[:, :2].flatten(0, 1), (offsets[:, :2] - 0.5).flatten()
    sigma = of_joints[:, 2:].flatten(0, 1), offsets[:, 2:].flatten()
    loss = RLELoss(_flow(path, state, "head.loss_module.flow_model."), convention="mmpose")
    model = _model(path, state, "backbone.", mu, sigma, 2, skeleton, size)
    model.set_error_distribution(loss.eval().error_distribution())
    return model, loss


def load_heatmaps(
    path: str | Path, skeleton: Skeleton | None = None, size: tuple[int, int] | None = None
) -> tuple[PoseModel, None]:
    """A checkpoint of SimplePose or HRNet-W32 or W48, as their public code or mmpose wrote it; there is no density.

    SimplePose's public code gives its network B, G and R, normalised as if they were R, G and B, and so does the model.
    For arguments and errors see `load_released`.
    """
    state, pixels = in_rgb(_plain_names(read_state_dict(path)))
    mean, std = pixels or (IMAGENET_MEAN, IMAGENET_STD)
    body, head = ("backbone.", "head.") if "head.final_layer.weight" in state else ("", "")
    _need(path, state, f"{body}conv1.weight", f"{head}final_layer.weight", kind="SimplePose or HRNet")
    last = state[f"{head}final_layer.weight"]
    if last.ndim != 4 or last.shape[2:] != (1, 1):
        raise InputError(f"{path}: {head}final_layer is not a 1×1 convolution ({tuple(last.shape)})")
    skeleton, usual = _skeleton(path, skeleton, len(last), 2)
    if len(last) != len(skeleton):
        raise InputError(f"{path}: {len(last)} maps do not fit {len(skeleton)} joints")
    own = {key.removeprefix(body): tensor for key, tensor in state.items() if key.startswith(body)}
    if "stage4.0.branches.0.0.conv1.weight" in own:
        if last.shape[1] not in HRNet.WIDTHS:
            raise InputError(f"{path}: an HRNet-W{last.shape[1]}; those of width 32 and 48 are read")
        model = HeatmapModel(HRNet(last.shape[1], neck=False), skeleton, size or usual)
    else:
        model = HeatmapModel(ResNet(_depth(path, own)), skeleton, size or usual, pixel_mean=mean, pixel_std=std)
    for module, prefix in ((model.backbone, body), (model.head, head)):
        assert isinstance(module, torch.nn.Module)
        _fill(path, module, prefix, state)
    return model.eval(), None


def load_movenet(
    path: str | Path, skeleton: Skeleton | None = None, size: tuple[int, int] | None = None
) -> tuple[PoseModel, None]:
    """MoveNet Thunder or Lightning for one person, in TensorFlow.js's form: a JSON file, and the binary file beside it.

    Args:
        path: the JSON file.
        skeleton: its 17 joints, COCO's when None.
        size: (H, W) of its crops; that of Thunder, 256×256, or of Lightning, 192×192, when None.

    Returns:
        the model, which reads its heatmaps as the published one does; it has no density.

    Raises:
        InputError: if the files are damaged, or are of another model.
    """
    state = in_torch(read_state_dict(path))
    _need(path, state, "Conv1.weight", "kpt_heatmap.conv2d.weight", kind="MoveNet for one person")
    outputs = next(iter(state["Conv1.weight"].shape), 0)
    trunk = next((trunk for trunk in map(MoveNetTrunk, SIDES) if trunk.Conv1.out_channels == outputs), None)
    if trunk is None:
        raise InputError(f"{path}: neither MoveNet Thunder nor Lightning (Conv1 has {outputs} outputs)")
    side, maps = SIDES[trunk.size], len(state["kpt_heatmap.conv2d.weight"])
    if skeleton is not None and len(skeleton) != maps:
        raise InputError(f"{path}: its {maps} maps do not fit {len(skeleton)} joints ({skeleton.name})")
    model = MoveNet(trunk, skeleton or COCO, size or (side, side))
    for name, prefix in (("backbone", ""), *((head, f"{head}.") for head in MoveNet.HEADS)):
        _fill(path, model.get_submodule(name), prefix, state)
    return model.eval(), None


NAMES: dict[str, Origin] = {
    "head.fc.weight": "mmpose",
    "fc_coord.linear.weight": "released",
    "final_layer.weight": "heatmaps",
    "head.final_layer.weight": "heatmaps",
}
"""Tensors by which a checkpoint of another code is recognised."""
LOADERS = {"heatmaps": load_heatmaps, "released": load_released, "mmpose": load_mmpose, "movenet": load_movenet}


def load_weights(
    path: str | Path, origin: Origin = "auto", skeleton: Skeleton | None = None, size: tuple[int, int] | None = None
) -> tuple[Model, LikelihoodLoss | None]:
    """Model and loss of a checkpoint of any of these codes; `auto` infers which from the names of its tensors.

    For skeleton and size, of other codes' checkpoints, and errors see `load_released`. A folder is one of ours.
    """
    if origin == "auto" and Path(path).suffix == ".json":
        origin = "movenet"
    elif origin == "auto":
        names = set() if Path(path).is_dir() else _names(path)
        origin = next((whose for name, whose in NAMES.items() if name in names), "logpose")
    if origin in LOADERS:
        return LOADERS[origin](path, skeleton, size)
    if skeleton is not None or size is not None:
        raise InputError(f"{path}: a checkpoint of logpose has its own skeleton and size")
    return load(path)


def from_pretrained(name: str | Path) -> tuple[Model, LikelihoodLoss | None]:
    """Model and loss of a folder, or of a repository on the Hugging Face Hub.

    Args:
        name: a folder that `logpose convert` wrote, or OWNER/NAME on the Hub: see `weight_files.checkpoint_path`.

    Raises:
        InputError: if there is neither, or it is not a model of ours.
    """
    return load(name)


def push_to_hub(
    model: Model, loss: LikelihoodLoss | None, name: str, private: bool = False, half: bool = False, **notes: Any
) -> str:
    """Upload model and loss to the Hugging Face Hub, with the token of `huggingface_hub`; the repository's address.

    Args:
        model: the model.
        loss: what it was trained with.
        name: OWNER/NAME; the repository is made if it is not there.
        private: whether the repository is private.
        half: whether weights are in half precision, see `checkpoint.save`.
        **notes: as of `checkpoint.save`.

    Raises:
        InputError: if huggingface_hub is not installed, or the Hub refuses.
    """
    try:
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            save(model, loss, Path(folder), half, **notes)
            if not api.file_exists(name, CARD):  # one by hand is kept
                (Path(folder) / CARD).write_text(ON_HUB.format(task=model.task, name=name), encoding="utf-8")
            return str(api.upload_folder(repo_id=name, folder_path=folder))
    except ImportError as error:
        raise InputError(NO_HUB) from error
    except Exception as error:  # no network, no permission, no such name: whatever its client raises
        raise InputError(f"{name}: cannot be uploaded to the Hub ({error!s:.160})") from error


def models_on_hub() -> list[str]:
    """OWNER/NAME of the models on the Hugging Face Hub that `push_to_hub` put there.

    Raises:
        InputError: if huggingface_hub is not installed, or the Hub cannot be reached.
    """
    try:
        from huggingface_hub import HfApi

        return sorted(model.id for model in HfApi().list_models(filter=LIBRARY))
    except ImportError as error:
        raise InputError(NO_HUB) from error
    except Exception as error:  # no network: whatever its client raises
        raise InputError(f"the Hub cannot be reached ({error!s:.160})") from error


def _names(path: str | Path) -> set[str]:
    """Names of a file's tensors; none where it is not a plain dictionary of them, as our own are not."""
    try:
        return set(_plain_names(read_state_dict(path)))
    except InputError:
        return set()


def _plain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix of training on several devices; mmpose 0.x's names as 1.x has them."""
    renamed = (r"^module\.", ""), (r"^keypoint_head\.loss\.", "head.loss_module."), (r"^keypoint_head\.", "head.")
    for pattern, new in renamed:
        state = {re.sub(pattern, new, key): tensor for key, tensor in state.items()}
    return state


def _need(path: str | Path, state: dict[str, Tensor], *names: str, kind: str) -> None:
    if missing := [name for name in names if name not in state]:
        raise InputError(f"{path}: not a checkpoint of {kind}, it has no {missing[0]}")


def _layer(path: str | Path, state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer."""
    _need(path, state, f"{name}.weight", f"{name}.bias", kind="a regression network")
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise InputError(f"{path}: {name} is not a linear layer ({tuple(weight.shape)}, {tuple(bias.shape)})")
    return weight, bias


def _flow(path: str | Path, state: dict[str, Tensor], prefix: str) -> RealNVP:
    """A flow whose scale and shift networks are lists of `Sequential`s: PREFIX{s,t}.LAYER.PLACE.{weight,bias}."""
    found = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    places = sorted(int(match[1]) for key in found if (match := re.fullmatch(r"s\.0\.(\d{1,4})\.weight", key)))
    layers = len({key.split(".")[1] for key in found if key.startswith("s.")})
    if not places or "mask" not in found or found["mask"].ndim != 2:
        raise InputError(f"{path}: has no flow {prefix}s, {prefix}t and {prefix}mask")
    dim = found["mask"].shape[1]
    try:
        widths = [len(found[f"s.0.{place}.weight"]) for place in places]
        flow = RealNVP(dim, layers, tuple(widths[:-1]))
        last = torch.arange(dim) >= (dim + 1) // 2
        masks = torch.stack([last if i % 2 == 0 else ~last for i in range(layers)]).float()
        with torch.no_grad():
            for (depth, place), layer, (which, net) in product(enumerate(places), range(layers), enumerate("st")):
                flow.weights[depth][layer, which].copy_(found[f"{net}.{layer}.{place}.weight"])
                flow.biases[depth][layer, which, :, 0].copy_(found[f"{net}.{layer}.{place}.bias"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path}: the flow {prefix}* is incomplete or of another shape ({error!s:.80})") from error
    if not torch.equal(found["mask"].float(), masks):
        raise InputError(f"{path}: the masks of {prefix}* are others than the paper's")
    return flow


def _model(
    path: str | Path,
    state: dict[str, Tensor],
    prefix: str,
    mu: tuple[Tensor, Tensor],
    sigma: tuple[Tensor, Tensor],
    dim: int,
    skeleton: Skeleton | None,
    size: tuple[int, int] | None,
    released: bool = False,
) -> RegressionModel:
    """The network around a ResNet's weights and two linear layers."""
    skeleton, usual = _skeleton(path, skeleton, len(mu[0]) // dim, dim)
    if len(mu[0]) != len(skeleton) * dim or mu[0].shape != sigma[0].shape:
        raise InputError(f"{path}: {len(mu[0])} coordinates do not fit {len(skeleton)} joints in {dim} dimensions")
    own = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    backbone = ResNet(_depth(path, own))
    mean, std = (RELEASED_MEAN, RELEASED_STD[dim]) if released else (IMAGENET_MEAN, IMAGENET_STD)
    model = RegressionModel(
        backbone, skeleton, size or usual, dim, pixel_mean=mean, pixel_std=std, unit_features=released
    ).eval()
    _fill(path, backbone, prefix, state)
    assert model.fc_sigma is not None
    try:
        for layer, (weight, bias) in ((model.fc_mu, mu), (model.fc_sigma, sigma)):
            layer.load_state_dict({"weight": weight, "bias": bias})
    except RuntimeError as error:
        raise InputError(f"{path}: its last layers do not fit a {backbone.name} ({reason(error)})") from error
    return model


def _skeleton(path: str | Path, skeleton: Skeleton | None, count: int, dim: int) -> tuple[Skeleton, tuple[int, int]]:
    """The skeleton, by the number of joints unless one is given, and the usual (H, W) of its crops."""
    if skeleton is None and (count, dim) not in SKELETONS:
        raise InputError(f"{path}: {count} joints in {dim} dimensions are of no known skeleton; give the skeleton")
    known, usual = SKELETONS.get((count, dim), (COCO, (256, 256)))
    return skeleton or known, usual


def reason(error: Exception) -> str:
    """A library's error message in one line: of several, the second."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__)[:160]


def _fill(path: str | Path, module: torch.nn.Module, prefix: str, state: dict[str, Tensor]) -> None:
    """Give a module the tensors of its names after a prefix; counters of batches may be missing."""
    wanted = [key for key in module.state_dict() if not key.endswith("num_batches_tracked")]
    try:
        module.load_state_dict({key: state[prefix + key] for key in wanted}, strict=False)
    except (KeyError, RuntimeError) as error:
        name = getattr(module, "name", "head of heatmaps")
        part = f"{prefix}* is" if prefix else "is"
        raise InputError(f"{path}: {part} not a {name} of ours ({reason(error)})") from error


def _depth(path: str | Path, state: dict[str, Tensor]) -> int:
    """Of the ResNet with these blocks."""
    blocks_of = ({key.split(".")[1] for key in state if key.startswith(f"layer{stage}.")} for stage in (1, 2, 3, 4))
    counts = tuple(map(len, blocks_of))
    deep = "layer1.0.conv3.weight" in state
    for depth, (block, blocks) in ResNet.STAGES.items():
        if counts == blocks and deep == (block.expansion == 4):
            return depth
    raise InputError(f"{path}: its backbone is no ResNet-18 … 152 (blocks {counts})")
