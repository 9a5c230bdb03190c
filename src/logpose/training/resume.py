"""Whether a run can be resumed from a checkpoint, and with which settings."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from logpose.core.errors import InputError
from logpose.losses import loss_from_config
from logpose.training.checkpoint import build_model, read
from logpose.training.early_stopping import has_stopped_early
from logpose.training.recipe import TrainingRecipe, plain_fields, plain_recipe, same_setting

__all__ = ["check_data", "check_resumable", "data_files", "is_finished", "validation_identity"]

log = logging.getLogger("logpose")

OF_DATA = ("data", "train_subjects")
"""Fields of recipes that name the training data."""
OF_LABELS = ("data", "val_data", "mpii", "keypoints", "cameras")
"""Fields of recipes that name files of labels, or folders of them."""
LABELS = (".json", ".mat", ".csv", ".npz", ".h5", ".txt")
NOT_LABELS = ("watch", "images", "val_images", "page", "max_pixels", "strict")
"""Of a recipe's `MEASURED_ON`: what does not decide which labels figures are measured on."""
SAMPLED = 16
"""Samples whose labels identify data without files."""
OF_OPTIMIZER = ("optimizer", "freeze", "backbone_lr", "layer_decay")
"""Fields of recipes that decide what the optimiser's state is of."""
ADDED = ("ema", "accumulate", "freeze", "backbone_lr", "layer_decay")
"""Fields of recipes that version 0.1 did not have; its runs had their defaults."""
AT_THE_START = ("weights", "weights_of")
"""Fields of recipes that decide only how a run starts."""
IN_AN_EPOCH = ("batch_size", "accumulate", "seed")
"""Fields of recipes that decide which samples an epoch has still to come."""


def _as_now(config: dict[str, Any]) -> dict[str, Any]:
    """A model's `config` in this version: settings that an older version did not have get their defaults."""
    try:
        with torch.device("meta"):
            return build_model(config).config()
    except (InputError, RuntimeError, NotImplementedError):  # a user's own backbone; an operator without a meta kernel
        return config


def _loss_as_now(config: dict[str, Any]) -> dict[str, Any]:
    """The same for a loss."""
    try:
        loss = loss_from_config(config)
    except (InputError, TypeError, ValueError, KeyError):  # of another version, or of none
        return config
    return config if loss is None else {"kind": config["kind"], **loss.config()}


def check_resumable(
    path: str | Path, wanted: dict[str, Any], recipe: TrainingRecipe, processes: int = 1
) -> dict[str, Any]:
    """Refuse a checkpoint of another model, loss or optimiser, of other data or of a finished run.

    This is done before anything is written. Settings that have no effect on a resumed run are refused too.

    Args:
        path: the checkpoint.
        wanted: `checkpoint.describe` of the recipe's model and loss.
        recipe: the recipe that is to be trained.
        processes: how many processes train it.

    Returns:
        the checkpoint's entry `resume`: what it holds beside Lightning's own state; empty in those of version 0.1.

    Raises:
        InputError: naming the checkpoint, and the settings that differ.
    """
    content = read(Path(path))
    if "optimizer_states" not in content:
        raise InputError(f"{path}: holds weights alone; a run is resumed from its last.ckpt")
    stored = {name: content["logpose"][name] for name in ("model", "loss")}
    stored["model"] = _as_now(stored["model"])
    if stored["loss"] != wanted["loss"]:
        stored["loss"] = _loss_as_now(stored["loss"])
    if stored["model"].get("learned_from") == []:  # from before this was stored
        before, now = content["logpose"].get("recipe", {}), plain_recipe(recipe)
        if all(before[name] == now[name] for name in OF_DATA if name in before and name in now):
            stored["model"]["learned_from"] = wanted["model"].get("learned_from")
    for part in ("model", "loss"):
        if stored[part] != wanted[part]:
            keys = [key for key in wanted[part] if stored[part].get(key) != wanted[part][key]]
            if keys == ["learned_from"]:
                raise InputError(f"{path}: trained on other data; start a new run in another --out")
            raise InputError(f"{path}: is of another {part} than this recipe's ({', '.join(keys)} differ)")
    if has_stopped_early(content, recipe):
        found = f"stopped early, {recipe.watch} was not better in {recipe.patience} validations"
        raise InputError(f"{path}: {found}; a larger --patience continues, or --patience 0")
    if is_finished(content, recipe):
        unit = "steps" if recipe.steps else "epochs"
        raise InputError(f"{path}: all {getattr(recipe, unit)} {unit} are done; a larger --{unit} continues")
    resume: dict[str, Any] = content.get("resume", {})
    _check_settings(path, content["logpose"].get("recipe", {}), plain_recipe(recipe), resume, processes)
    return resume


def _check_settings(
    path: str | Path, before: dict[str, Any], now: dict[str, Any], resume: dict[str, Any], processes: int
) -> None:
    """Refuse settings that a resumed run cannot apply."""
    if now.get("tune"):
        raise InputError(f"{path}: --tune: a resumed run trains in the way that it has begun")
    before = {f.name: f.default for f in fields(TrainingRecipe) if f.name in ADDED} | before
    why = {
        **dict.fromkeys(AT_THE_START, "it started from"),
        **dict.fromkeys(OF_OPTIMIZER, "its optimiser's state is of"),
    }
    for name in (*OF_OPTIMIZER, *AT_THE_START, *(IN_AN_EPOCH if resume.get("within_epoch") else ())):
        if name in before and name in now and not same_setting(before[name], now[name]):
            within = "it was written within an epoch of"
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{path}: {why.get(name, within)} {flag} {before[name]}, not of {now[name]}")
    if before["ema"] and not now["ema"]:
        raise InputError(f"{path}: has averaged weights, of --ema {before['ema']}, which --ema 0 cannot continue")
    trained_by = len(resume.get("processes", ())) or processes
    if resume.get("within_epoch") and trained_by != processes:
        raise InputError(f"{path}: was written within an epoch of {trained_by} processes, not of {processes}")


def is_finished(content: dict[str, Any], recipe: TrainingRecipe) -> bool:
    """Whether a checkpoint is of the end of a run's last epoch, or after its last step, or where it stopped early."""
    if content.get("resume", {}).get("within_epoch"):
        return False
    if has_stopped_early(content, recipe):
        return True
    if recipe.steps:
        return bool(content.get("global_step", 0) >= recipe.steps)
    return bool(content.get("epoch", -1) + 1 >= recipe.epochs)


def data_files(recipe: TrainingRecipe) -> dict[str, str]:
    """A digest of each file of labels that a recipe names, by the file's name within the folder that is named."""
    digests = {}
    for field, value in sorted(plain_fields(recipe).items()):
        if field in OF_LABELS and isinstance(value, Path):
            for file in [value] if value.is_file() else sorted(value.rglob("*")):
                if file.suffix.lower() in LABELS and file.is_file():
                    name = file.name if file == value else file.relative_to(value).as_posix()
                    digests[f"{field}: {name}"] = _digest(file)
    return digests


def _digest(file: Path) -> str:
    """A digest of a file's content."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").hexdigest()[:32]


def validation_identity(recipe: TrainingRecipe, data: Any, files: dict[str, str]) -> dict[str, Any]:
    """What identifies the labels that a run's figures are measured on, wherever their files are.

    Args:
        recipe: the recipe.
        data: the validation data.
        files: `data_files` of the recipe.

    Returns:
        plain values: the number of samples, digests, and settings that choose among the samples of files.
    """
    part = "val_data" if getattr(recipe, "val_data", None) else "data"
    own = getattr(data, "file", None)
    alone = isinstance(own, Path) and own.is_file()
    digests = [_digest(own)] if isinstance(own, Path) and alone else []
    named = ("keypoints", "cameras") if alone else (part, "keypoints", "cameras")
    digests += sorted(digest for name, digest in files.items() if name.partition(":")[0] in named)
    if not digests:
        chosen = sorted({round(i * (len(data) - 1) / (SAMPLED - 1)) for i in range(SAMPLED)}) if len(data) else []
        labels = (getattr(data[i], "keypoints", None) for i in chosen)
        digests = [hashlib.blake2b(each.tobytes()).hexdigest()[:32] for each in labels if isinstance(each, np.ndarray)]
    settings: dict[str, Any] = {}
    for name in recipe.MEASURED_ON:
        value = getattr(recipe, name)
        if name not in NOT_LABELS and not (name in OF_LABELS and (value is None or isinstance(value, Path))):
            settings[name] = value.name if isinstance(value, Path) else value
    plain: dict[str, Any] = json.loads(json.dumps({"samples": len(data), "labels": digests, **settings}))
    return plain


def check_data(path: str | Path, resume: dict[str, Any], data: dict[str, Any], strict: bool) -> None:
    """Report labels that have changed since a checkpoint was written.

    Args:
        path: the checkpoint.
        resume: its entry `resume`.
        data: what the same entry would hold under `data` now.
        strict: whether changed labels are refused.

    Raises:
        InputError: if labels have changed and `strict` is set.
    """
    before = resume.get("data")
    if not before:  # of version 0.1
        return
    files, now = before["files"], data["files"]
    changed = sorted(name for name in files.keys() & now.keys() if files[name] != now[name])
    if not changed and sorted(files.values()) != sorted(now.values()):  # not merely of other names
        changed = sorted(files.keys() ^ now.keys())
    if not changed:
        return
    rows = "".join(
        f", {before[part]} {part} samples became {data[part]}"
        for part in ("training", "validation")
        if before.get(part) != data[part]
    )
    message = f"labels have changed since {path} was written: {changed[0]} ({len(changed)} files{rows})"
    if strict:
        raise InputError(message)
    log.warning("%s", message)
