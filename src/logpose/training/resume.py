"""Whether a run can be gone on with from what is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from logpose.core.errors import InputError
from logpose.training.checkpoint import build_loss, build_model, read
from logpose.training.recipe import TrainingRecipe, plain_recipe

__all__ = ["check_resumable", "is_finished", "is_unbegun"]

OF_DATA = ("data", "train_subjects")
"""Fields of recipes that say what is learned from."""


def _as_now(config: dict[str, Any]) -> dict[str, Any]:
    """What a model's `config` is in this version: with the defaults of what one of before does not say."""
    try:
        with torch.device("meta"):
            return build_model(config).config()
    except (InputError, RuntimeError, NotImplementedError):  # of a backbone of one's own; of what is not for meta
        return config


def _loss_as_now(config: dict[str, Any]) -> dict[str, Any]:
    """The same of a loss."""
    try:
        loss = build_loss(config)
    except (InputError, TypeError, ValueError, KeyError):  # of another version, or of none
        return config
    return config if loss is None else {"kind": config["kind"], **loss.config()}


def _on_the_same(content: dict[str, Any], recipe: TrainingRecipe) -> bool:
    """Whether the run of a checkpoint learned from the data and the subjects that a recipe names, by their names."""
    told, given = content["logpose"].get("recipe", {}), plain_recipe(recipe)
    return all(told[name] == given[name] for name in OF_DATA if name in told and name in given)


def check_resumable(path: str | Path, wanted: dict[str, Any], recipe: TrainingRecipe) -> None:
    """Refuse to go on from a checkpoint of another model or loss or of a finished run, before anything is written."""
    path = Path(path)
    content = read(path)
    found = {name: content["logpose"][name] for name in ("model", "loss")}
    found["model"] = _as_now(found["model"])
    if found["loss"] != wanted["loss"]:
        found["loss"] = _loss_as_now(found["loss"])
    if found["model"].get("learned_from") == [] and _on_the_same(content, recipe):  # one of before this was kept
        found["model"]["learned_from"] = wanted["model"].get("learned_from")
    for part in ("model", "loss"):
        if found[part] != wanted[part]:
            keys = [key for key in wanted[part] if found[part].get(key) != wanted[part][key]]
            if keys == ["learned_from"]:
                raise InputError(f"{path}: learned from other data than these; begin anew in another --out")
            raise InputError(f"{path}: is of another {part} than this recipe's ({', '.join(keys)} differ)")
    if is_finished(content, recipe):
        unit = "steps" if recipe.steps else "epochs"
        raise InputError(f"{path}: all {getattr(recipe, unit)} {unit} are done; --{unit} with a larger number goes on")


def is_finished(content: dict[str, Any], recipe: TrainingRecipe) -> bool:
    """Whether a checkpoint is of the end of a run."""
    if recipe.steps:
        return bool(content.get("global_step", 0) >= recipe.steps)
    return bool(content.get("epoch", -1) + 1 >= recipe.epochs)


def is_unbegun(folder: str | Path) -> bool:
    """Whether a run was begun in a folder and broke off before an epoch was finished: there is nothing to go on."""
    folder = Path(folder)
    return (folder / "config.yaml").is_file() and not any(folder.rglob("*.ckpt"))
