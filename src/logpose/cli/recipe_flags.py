"""The flags of `logpose train RECIPE`: each plain field of the recipe is one."""

from __future__ import annotations

import logging
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from logpose.cli.flags import add_flags, flag_names, normalised, values_of
from logpose.cli.parser import ArgumentParser
from logpose.core.errors import InputError
from logpose.recipes.renamed import renamed
from logpose.training.recipe import FIRST, OBJECTS, LossName, TrainingRecipe, plain_fields, settings
from logpose.training.run_folder import is_unbegun, last_checkpoint

__all__ = ["parse_recipe"]

log = logging.getLogger("logpose")

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
    flags = normalised(flags, [type(recipe)])
    given = _parser(name, recipe).parse_args(flags)
    resume = None
    if given.resume is None:
        if _slug(given.recipe) != _slug(name):
            log.warning("--config: these are settings of the recipe %s, used for %s", given.recipe, name)
        out = given.out or Path("runs") / f"{_slug(name)}-{datetime.now():%Y%m%d-%H%M%S}"
    else:
        if given.out is not None:
            raise InputError("--out: a resumed run stays in its own folder")
        out, resume = _run_to_resume(given.resume)
        # The run's own settings first; flags have precedence.
        flags = ["--config", str(out / "config.yaml"), *flags]
        given = _parser(name, recipe).parse_args(flags)
        if _slug(given.recipe) != _slug(name):
            raise InputError(f"{out}: is a run of the recipe {given.recipe}, not of {name}")
        if old := renamed(given.recipe):  # a run of version 0.1, whose config.yaml has none of today's fields
            given = _parser(name, replace(recipe, **old.fields)).parse_args(flags)
    if given.loss is not None:
        recipe = replace(recipe, loss=given.loss)
    values = values_of(type(recipe), given)
    recipe = replace(recipe, name=name, **{key: values[key] for key in plain_fields(recipe)})
    typed = {field.removeprefix("no_") for field in flag_names(flags)}
    for field, why in recipe.inapplicable().items():
        if field in typed:
            raise InputError(f"--{field}: {why}")
    if not callable(recipe.loss):
        recipe.likelihood(getattr(recipe, "dim", 2))  # refuses words that do not go together, before data are opened
    return recipe, out, resume


def _parser(name: str, recipe: TrainingRecipe) -> ArgumentParser:
    """The parser of a recipe's flags, whose defaults are the recipe's values."""
    usage = f"logpose train {name} [--data DATA] [--out DIR] [--resume DIR] [--config FILE] [--FIELD VALUE …]"
    parser = ArgumentParser(prog=f"logpose train {name}", usage=usage, description="Train it; its fields are flags.")
    parser.add_argument("--config", action="config", help="YAML file of fields, as --print_config writes it")
    parser.add_argument("--out", type=Path | None, default=None, help="folder of the run; default: a new one in runs/")
    parser.add_argument("--resume", type=Path | None, default=None, help="folder of an interrupted run to resume")
    parser.add_argument("--recipe", type=str, default=name, help=SUPPRESS)  # of a run's config.yaml
    # A recipe's own loss is no value of a flag.
    types: dict[str, Any] = {"loss": LossName | None if callable(recipe.loss) else LossName}
    add_flags(parser, type(recipe), OBJECTS, types, **{"loss": None, **settings(recipe)})
    return parser


def _run_to_resume(resumed: Path) -> tuple[Path, Path]:
    """The folder of a run to resume, and the checkpoint to resume it from."""
    folder = resumed if resumed.is_dir() else resumed.parent
    if folder.name == FIRST and (folder.parent / "config.yaml").is_file():
        folder = folder.parent  # the run of which this is the first stage
    if is_unbegun(folder):
        raise InputError(f"{resumed}: no epoch of this run was finished; start a new run in another folder")
    checkpoint = last_checkpoint(folder)
    if checkpoint is None or not (folder / "config.yaml").is_file():
        raise InputError(f"{resumed}: no run to resume (it needs last.ckpt and config.yaml)")
    return folder, checkpoint


def _slug(name: str) -> str:
    """A recipe's name as part of a folder's: "my_recipes.py:my_run" becomes "my_run"; of an old name, the preset's."""
    old = renamed(name)
    return old.preset if old else name.rpartition(":")[2]
