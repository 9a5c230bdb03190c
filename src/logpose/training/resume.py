"""Whether a run can be resumed from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from logpose.core.errors import InputError
from logpose.losses import loss_from_config
from logpose.training.checkpoint import build_model, read
from logpose.training.recipe import FIRST, TrainingRecipe, plain_recipe

__all__ = ["check_resumable", "is_finished", "is_unbegun", "last_checkpoint"]

OF_DATA = ("data", "train_subjects")
"""Fields of recipes that name the training data."""


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


def check_resumable(path: str | Path, wanted: dict[str, Any], recipe: TrainingRecipe) -> None:
    """Refuse a checkpoint of another model or loss, of other data or of a finished run, before anything is written.

    Args:
        path: the checkpoint.
        wanted: `checkpoint.describe` of the recipe's model and loss.
        recipe: the recipe that is to be trained.

    Raises:
        InputError: naming the checkpoint, and the settings that differ.
    """
    content = read(Path(path))
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
    if is_finished(content, recipe):
        unit = "steps" if recipe.steps else "epochs"
        raise InputError(f"{path}: all {getattr(recipe, unit)} {unit} are done; a larger --{unit} continues")


def is_finished(content: dict[str, Any], recipe: TrainingRecipe) -> bool:
    """Whether a checkpoint is of the last epoch of a run, or of its last step."""
    if recipe.steps:
        return bool(content.get("global_step", 0) >= recipe.steps)
    return bool(content.get("epoch", -1) + 1 >= recipe.epochs)


def is_unbegun(folder: str | Path) -> bool:
    """Whether a run in a folder stopped before its first epoch was finished: there is no checkpoint to resume from."""
    folder = Path(folder)
    return (folder / "config.yaml").is_file() and not any(folder.rglob("*.ckpt"))


def last_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint from which a run in a folder resumes, also of its first stage; None if it has none."""
    lasts = (Path(folder) / "last.ckpt", Path(folder) / FIRST / "last.ckpt")
    return next((last for last in lasts if last.is_file()), None)
