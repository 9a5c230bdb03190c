"""Checkpoints: a trained model in one file that can be read safely, without the code that trained it.

The file is one of Lightning's (so that training can resume from it) with one entry more, `logpose`: plain values from
which model and loss are built again. It is read with `weights_only=True`; nothing in it is executed. For passing on
there is a folder with the same: `model.safetensors` holds the tensors and `config.json` the entry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.losses import LikelihoodLoss, PoseLoss, loss_from_config
from logpose.models import (
    BoundaryModel,
    Detector,
    HeatmapModel,
    IntegralModel,
    LiftingModel,
    MaskRCNN,
    Model,
    PointSetAnchors,
    PointSetOptions,
    PoseModel,
    RegressionModel,
    create_backbone,
)
from logpose.models.backbones import Backbone
from logpose.models.pose_model import PixelStatistics
from logpose.models.weight_files import held_object

__all__ = ["describe", "load", "load_model", "load_of_crops", "read", "save"]

FORMAT = 1
"""Version of the `logpose` entry; raised when an older reader could not make sense of a newer file."""

log = logging.getLogger("logpose")

TENSORS, CONFIG = "model.safetensors", "config.json"
"""Files of the folder form, by the Hub's usual names."""

AUXILIARY = "auxiliary_head."
"""Before the names of what a model needs in training only."""

RENAMED = {f"law_{name}": f"error_{name}" for name in ("mean", "std", "radius", "bands")}
"""Tensors of checkpoints of version 0.1 and their names today."""

def _whole_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


KINDS: dict[str, tuple[Callable[..., Model], dict[str, Callable[[Any], Any]]]] = {
    "regression": (RegressionModel, {"dim": int, "predicts_sigma": bool, "unit_features": bool}),
    "heatmap": (HeatmapModel, {}),
    "lifting": (LiftingModel, {"network": str, "predicts_sigma": bool, "settings": dict, "learned_from": tuple}),
    "boundary": (
        BoundaryModel,
        {
            **{"head": str, "predicts_sigma": bool, "channels": int, "depth": int, "cells": int},
            **{"shown": _whole_or_none, "learned_from": tuple, "um_per_px": _number_or_none},
        },
    ),
    "mask_rcnn": (
        MaskRCNN,
        {
            **{"backbone": str, "head": str, "predicts_sigma": bool, "short": int, "longest": int, "outside": str},
            **{"frozen": bool, "eps": float, "channels": int, "anchors": tuple, "width": int, "stack": tuple},
            **{"samples": tuple, "before": tuple, "kept": tuple, "most": int, "places": str},
            **{"keypoint_weight": float, "keypoint_mean": str, "ratios": tuple, "overlaps": tuple},
            **{"frame": float, "finest": int, "charged": bool, "sharpness": float},
        },
    ),
    "point_set": (
        PointSetAnchors,
        {"predicts_sigma": bool, "options": PointSetOptions.from_dict, "short": int, "longest": int},
    ),
    "integral": (IntegralModel, {"dim": int, "predicts_sigma": bool, "normalisation": str, "depth": int}),
}
"""Of each kind of model, its class and what its `config` tells of its own."""


def describe(model: Model, loss: PoseLoss) -> dict[str, Any]:
    """The `logpose` entry of a checkpoint."""
    return {"format": FORMAT, "model": model.config(), "loss": {"kind": type(loss).__name__, **loss.config()}}


def build_model(config: dict[str, Any], backbone: Backbone | None = None) -> Model:
    """The model that its `config` described, with random weights."""
    if config["kind"] not in KINDS:
        raise InputError(f"models of kind {config['kind']!r} are not known to this version of logpose")
    skeleton = Skeleton.from_dict(config["skeleton"])
    settings = {name: kind(config[name]) for name, kind in KINDS[config["kind"]][1].items() if name in config}
    on_pyramid = config["kind"] == "point_set"
    if "size" not in config and not on_pyramid:  # models of keypoints, or of whole pictures
        return KINDS[config["kind"]][0](skeleton=skeleton, **settings)
    height, width = (config["short"],) * 2 if on_pyramid else config["size"][:2]
    size = (int(height), int(width))
    if config["kind"] == "boundary":
        return BoundaryModel(skeleton, size, **settings)
    if backbone is None:
        if config["backbone"] is None:
            raise InputError("the model has a backbone of its author's own; pass it to load_model(path, backbone=…)")
        try:
            neck = config["kind"] == "regression" or bool(config.get("predicts_sigma"))
            backbone = create_backbone(str(config["backbone"]), size, neck and not on_pyramid, on_pyramid)
        except InputError as error:
            raise InputError(f"{error}; a backbone of your own is passed as load_model(path, backbone=…)") from error
    if on_pyramid:
        return KINDS[config["kind"]][0](backbone, skeleton, **settings)
    return KINDS[config["kind"]][0](backbone, skeleton, size, padding=float(config["padding"]), **settings)


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, with its `logpose` entry checked and nothing built from it.

    Args:
        path: a file that training wrote, or a folder that `save` did.

    Raises:
        InputError: if the file is missing, or is not such a checkpoint.
    """
    folder = path if path.is_dir() else None
    missing = [file for file in ([path / CONFIG, path / TENSORS] if folder else [path]) if not file.is_file()]
    if missing and (best := path / "best.ckpt").is_file():
        raise InputError(f"{path}: is the folder of a run; its checkpoint is {best}")
    if missing:
        raise InputError(f"{missing[0]}: no such checkpoint")
    try:
        if folder:
            entry = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            content = {"logpose": entry, "state_dict": load_file(folder / TENSORS)}
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why = held_object(error)
        raise InputError(f"{path}: not a checkpoint, or damaged{f' ({why})' if why else ''}") from error
    entry = content.get("logpose") if isinstance(content, dict) else None
    if not isinstance(entry, dict) or "state_dict" not in content:
        raise InputError(f"{path}: not a checkpoint of logpose (`logpose convert` reads other codes')")
    if entry.get("format") != FORMAT:
        raise InputError(f"{path}: checkpoint format {entry.get('format')}, this logpose reads format {FORMAT}")
    return content


def notes(path: Path) -> dict[str, Any]:
    """What a checkpoint of ours says beside model and loss: figures, the recipe, where it came from; nothing of others.

    Args:
        path: as of `load`, or a file of another code.
    """
    try:
        entry = read(path)["logpose"]
    except InputError:
        return {}
    found = {name: value for name, value in entry.items() if name not in ("format", "model", "loss", "pixels")}
    if isinstance(recipe := found.get("recipe"), dict):
        found["recipe"] = {name: _without_place(value) for name, value in recipe.items()}
    return found


def _without_place(value: Any) -> Any:
    """A recipe's value; of a path its name alone, as the places of one machine are nobody else's to know."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def load(path: Path | str, backbone: Backbone | None = None) -> tuple[Model, LikelihoodLoss | None]:
    """Model of a checkpoint and what its loss claims of errors (None if nothing), on the CPU, in evaluation mode.

    Args:
        path: a `.ckpt` file that `logpose train` wrote, or a folder that `save` or `logpose convert` did.
        backbone: for a model whose backbone `create_backbone` does not know.

    Raises:
        InputError: if the file is missing, is not such a checkpoint, or is damaged.
    """
    path = Path(path)
    content = read(path)
    entry = content["logpose"]
    try:
        model, loss = build_model(entry["model"], backbone), loss_from_config(entry["loss"])
        _fill(model, "model.", content["state_dict"])
        density = None
        if loss is not None:
            _fill(loss, "loss.", content["state_dict"])
            density = loss.eval().density
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InputError(f"{path}: damaged checkpoint ({_first_line(error)})") from error
    return model.eval(), density


def load_of_crops(path: Path | str, backbone: Backbone | None = None) -> tuple[PoseModel, LikelihoodLoss | None]:
    """The same of a model that looks at crops of pictures.

    Raises:
        InputError: as `load`, and if the model looks at something else.
    """
    model, density = load(path, backbone)
    if not isinstance(model, PoseModel):
        if isinstance(model, Detector):
            raise InputError(f"{path}: finds people in whole pictures, it does not look at crops of them")
        does = "finds boundaries in B-scans" if isinstance(model, BoundaryModel) else "lifts keypoints into space"
        raise InputError(f"{path}: {does}, it does not look at pictures of people")
    return model, density


def load_model(path: Path | str, backbone: Backbone | None = None) -> Model:
    """The model of a checkpoint, on the CPU, in evaluation mode; see `load` for arguments and errors."""
    return load(path, backbone)[0]


def save(model: Model, loss: PoseLoss | None, folder: Path, **notes: Any) -> None:
    """Write model and loss as a folder of `model.safetensors` and `config.json`, which `load` reads.

    Args:
        model: the model.
        loss: what it was trained with; without it the model predicts all the same, but has no likelihood to measure.
        folder: made if it is not there; the two files are replaced.
        notes: plain values to keep beside (figures, where it came from, the recipe).
    """
    state = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    entry = {"format": FORMAT, "model": model.config(), "loss": {"kind": None}}
    if loss is not None:
        entry = describe(model, loss)
        state |= {f"loss.{key}": tensor for key, tensor in loss.state_dict().items()}
    if isinstance(model, PixelStatistics):  # for people to read: they are among the tensors
        entry["pixels"] = {name: getattr(model, f"pixel_{name}").flatten().tolist() for name in ("mean", "std")}
    entry |= notes
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f"{name}.part" for name in (TENSORS, CONFIG)}
    try:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, parts[TENSORS])
        parts[CONFIG].write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        for name, part in parts.items():
            part.replace(folder / name)
    except SafetensorError as error:  # a full disk, for one
        raise InputError(f"{folder}: cannot be written ({error!s:.120})") from error
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _fill(module: nn.Module, prefix: str, state: dict[str, Any]) -> None:
    own = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    own = {RENAMED.get(key, key): tensor for key, tensor in own.items()}
    # What served training alone is in no `config`, and so not in the module either.
    module.load_state_dict({key: tensor for key, tensor in own.items() if not key.startswith(AUXILIARY)})


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
