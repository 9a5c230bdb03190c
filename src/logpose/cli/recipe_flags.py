"""The flags of `logpose train RECIPE`: each plain field of the recipe is one."""

from __future__ import annotations

import logging
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import set_parsing_settings

from logpose.cli.parser import ArgumentParser
from logpose.cli.words import as_parsed
from logpose.core.errors import InputError
from logpose.training.recipe import FIRST, OBJECTS, TrainingRecipe, plain_fields, settings
from logpose.training.resume import is_unbegun

__all__ = ["parse_recipe"]

log = logging.getLogger("logpose")

R = TypeVar("R", bound=TrainingRecipe)


def parse_recipe(name: str, recipe: R, flags: Sequence[str]) -> tuple[R, Path, Path | None]:
    """Read the flags of `logpose train RECIPE`. Wrong ones end the process with a sentence and exit code 2.

    Args:
        name: the recipe's, as it was given.
        recipe: what it makes.
        flags: the arguments after its name.

    Returns:
        the recipe with its plain fields as the flags say; the run's folder; the checkpoint to go on from, if any.

    Raises:
        InputError: if `--resume` names no run, or one of another recipe, or if a flag would change nothing.
    """
    flags = as_parsed(flags, plain_fields(recipe) | _unset_lists(recipe))
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    usage = f"logpose train {name} [--data DATA] [--out DIR] [--resume DIR] [--config FILE] [--FIELD VALUE …]"
    parser = ArgumentParser(
        prog=f"logpose train {name}", usage=usage, description="Train a recipe; its fields are flags."
    )
    parser.add_argument("--config", action="config", help="YAML file with fields, as --print_config writes it")
    parser.add_argument(
        "--out", type=Path | None, default=None, help="the run's folder; a new one in runs/ if not given"
    )
    parser.add_argument("--resume", type=Path | None, default=None, help="folder of an interrupted run to go on with")
    parser.add_argument("--recipe", type=str, default=name, help=SUPPRESS)  # of a run's config.yaml
    parser.add_class_arguments(type(recipe), None, skip=set(OBJECTS), fail_untyped=False)
    parser.set_defaults(settings(recipe))
    given = parser.parse_args(flags)
    resumed = given.resume
    in_two = recipe.first is not None
    if resumed is not None:
        if given.out is not None:
            raise InputError("--resume goes on in the run's own folder: leave --out away")
        folder = resumed if resumed.is_dir() else resumed.parent
        if in_two and folder.name == FIRST and (folder.parent / "config.yaml").is_file():
            folder = folder.parent  # the run that this one belongs to
        checkpoint, config = folder / "last.ckpt", folder / "config.yaml"
        if not checkpoint.is_file() and in_two:
            checkpoint = folder / FIRST / "last.ckpt"  # it was interrupted in what is done first
        if config.is_file() and is_unbegun(folder):
            raise InputError(f"{resumed}: no epoch of this run was finished; begin it anew in another folder")
        if not checkpoint.is_file() or not config.is_file():
            raise InputError(f"{resumed}: no run to go on with (it needs last.ckpt and config.yaml)")
        # The run's own settings first; what is given now goes before them.
        given = parser.parse_args(["--config", str(config), *flags])
        if _slug(given.recipe) != _slug(name):
            raise InputError(f"{folder}: is a run of the recipe {given.recipe}, not of {name}")
        out, resume = folder, checkpoint
    else:
        if _slug(given.recipe) != _slug(name):
            log.warning("settings of the recipe %s are taken for %s; its network and loss are not", given.recipe, name)
        out, resume = given.out or Path("runs") / f"{_slug(name)}-{datetime.now():%Y%m%d-%H%M%S}", None
    built = parser.instantiate(given)
    values = {key: built[key] for key in plain_fields(recipe)}
    recipe = replace(recipe, name=name, **values)
    typed = {word[2:].partition("=")[0] for word in flags if word.startswith("--")}
    for field, why in recipe.inapplicable().items():
        if field in typed:
            raise InputError(f"--{field}: {why}")
    return recipe, out, resume


def _unset_lists(recipe: TrainingRecipe) -> dict[str, tuple[Any, ...]]:
    """An example of each list, of numbers or of words, that a recipe may have and has not."""
    unset = [f for f in fields(recipe) if getattr(recipe, f.name) in (None, ()) and str(f.type).startswith("tuple[")]
    return {f.name: ("",) if str(f.type).startswith("tuple[str") else (0,) for f in unset}


def _slug(name: str) -> str:
    """A recipe's name as part of a folder's: "my_recipes.py:my_run" becomes "my_run"."""
    return name.rpartition(":")[2]
