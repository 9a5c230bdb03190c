"""The flags of `logpose train RECIPE`: each plain field of the recipe is one."""

from __future__ import annotations

import logging
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from jsonargparse import set_parsing_settings

from logpose.cli.parser import ArgumentParser
from logpose.cli.words import as_parsed
from logpose.core.errors import InputError
from logpose.recipes.renamed import renamed
from logpose.training.recipe import FIRST, OBJECTS, LossName, TrainingRecipe, plain_fields, settings
from logpose.training.resume import is_unbegun

__all__ = ["parse_recipe"]

log = logging.getLogger("logpose")

LOSS_HELP = (
    "rle, dle, basic: with a normalizing flow (Eq. 8, 5 and 4); l1, l2: direct regression; laplace, gaussian: a "
    "likelihood with a learned sigma"
)

R = TypeVar("R", bound=TrainingRecipe)


def parse_recipe(name: str, recipe: R, flags: Sequence[str]) -> tuple[R, Path, Path | None]:
    """Parse the flags of `logpose train RECIPE`. Wrong ones end the process with one sentence and exit code 2.

    Args:
        name: name of the recipe, as it was given.
        recipe: the recipe.
        flags: the arguments after its name.

    Returns:
        the recipe with the flags' values in its plain fields; the run's folder; the checkpoint to resume from, if any.

    Raises:
        InputError: if `--resume` names no run, or one of another recipe, or if a flag would have no effect.
    """
    flags = as_parsed(flags, plain_fields(recipe) | _unset_lists(recipe))
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    usage = f"logpose train {name} [--data DATA] [--out DIR] [--resume DIR] [--config FILE] [--FIELD VALUE …]"
    parser = ArgumentParser(
        prog=f"logpose train {name}", usage=usage, description="Train a recipe; its fields are flags."
    )
    parser.add_argument("--config", action="config", help="YAML file of fields, as --print_config writes it")
    parser.add_argument("--out", type=Path | None, default=None, help="folder of the run; default: a new one in runs/")
    parser.add_argument("--resume", type=Path | None, default=None, help="folder of an interrupted run to resume")
    parser.add_argument("--recipe", type=str, default=name, help=SUPPRESS)  # of a run's config.yaml
    # A recipe's own loss is no value of a flag.
    loss, kind = (None, LossName | None) if callable(recipe.loss) else (recipe.loss, LossName)
    parser.add_argument("--loss", type=kind, default=loss, help=LOSS_HELP)
    parser.add_class_arguments(type(recipe), None, skip={*OBJECTS, "loss"}, fail_untyped=False)
    parser.set_defaults(settings(recipe))
    given = parser.parse_args(flags)
    resumed = given.resume
    if resumed is not None:
        if given.out is not None:
            raise InputError("--out: a resumed run stays in its own folder")
        folder = resumed if resumed.is_dir() else resumed.parent
        if folder.name == FIRST and (folder.parent / "config.yaml").is_file():
            folder = folder.parent  # the run of which this is the first stage
        checkpoint, config = folder / "last.ckpt", folder / "config.yaml"
        if not checkpoint.is_file() and (folder / FIRST / "last.ckpt").is_file():
            checkpoint = folder / FIRST / "last.ckpt"  # it was interrupted in its first stage
        if config.is_file() and is_unbegun(folder):
            raise InputError(f"{resumed}: no epoch of this run was finished; start a new run in another folder")
        if not checkpoint.is_file() or not config.is_file():
            raise InputError(f"{resumed}: no run to resume (it needs last.ckpt and config.yaml)")
        # The run's own settings first; flags have precedence.
        given = parser.parse_args(["--config", str(config), *flags])
        if _slug(given.recipe) != _slug(name):
            raise InputError(f"{folder}: is a run of the recipe {given.recipe}, not of {name}")
        if old := renamed(given.recipe):  # a run of version 0.1, whose config.yaml has none of today's fields
            parser.set_defaults(settings(replace(recipe, **old.fields)))
            given = parser.parse_args(["--config", str(config), *flags])
        out, resume = folder, checkpoint
    else:
        if _slug(given.recipe) != _slug(name):
            log.warning("--config: these are settings of the recipe %s, used for %s", given.recipe, name)
        out, resume = given.out or Path("runs") / f"{_slug(name)}-{datetime.now():%Y%m%d-%H%M%S}", None
    built = parser.instantiate(given)
    if given.loss is not None:
        recipe = replace(recipe, loss=given.loss)
    recipe = replace(recipe, name=name, **{key: built[key] for key in plain_fields(recipe)})
    typed = {word[2:].partition("=")[0] for word in flags if word.startswith("--")}
    for field, why in recipe.inapplicable().items():
        if field in typed:
            raise InputError(f"--{field}: {why}")
    if not callable(recipe.loss):
        recipe.likelihood(getattr(recipe, "dim", 2))  # refuses words that do not go together, before data are opened
    return recipe, out, resume


def _unset_lists(recipe: TrainingRecipe) -> dict[str, tuple[Any, ...]]:
    """An example of each list, of numbers or of words, whose value in the recipe is None or empty."""
    hints = get_type_hints(type(recipe))
    unset = [f.name for f in fields(recipe) if getattr(recipe, f.name) in (None, ())]
    lists = {
        name: kind for name in unset for kind in (hints[name], *get_args(hints[name])) if get_origin(kind) is tuple
    }
    return {name: ("",) if get_args(kind)[0] is str else (0,) for name, kind in lists.items()}


def _slug(name: str) -> str:
    """A recipe's name as part of a folder's: "my_recipes.py:my_run" becomes "my_run"; of an old name, the preset's."""
    old = renamed(name)
    return old.preset if old else name.rpartition(":")[2]
