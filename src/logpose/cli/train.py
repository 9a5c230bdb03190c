"""`logpose train RECIPE`: train a recipe; its plain fields are the flags."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from logpose.core.errors import InputError

if TYPE_CHECKING:
    from logpose.training.recipe import TrainingRecipe
    from logpose.training.search_space import Space

__all__ = ["parse", "run"]

log = logging.getLogger("logpose")

USAGE = """usage: logpose train RECIPE [DATA] [--out DIR] [--resume DIR] [--search N] [--config FILE] [--FIELD …]
RECIPE is a name from `logpose recipes`, or my_recipes.py:my_run.
`logpose train RECIPE --help` lists the recipe's fields and their defaults."""


parse = list
"""The words as they are: which flags there are depends on the recipe."""


def run(words: Sequence[str]) -> int:
    """Train a recipe; returns the exit code: 0 done, 2 bad input, 130 and 143 interrupted by SIGINT or SIGTERM.

    Raises:
        InputError: if the recipe, a flag, the data or the run's folder cannot be used.
    """
    wants_help = list(words[:1]) in (["--help"], ["-h"])
    if not words or words[0].startswith("-"):
        print(USAGE, file=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 2
    from logpose.cli.eval import print_figures
    from logpose.cli.recipe_flags import parse_train
    from logpose.recipes import find
    from logpose.recipes.renamed import command, renamed
    from logpose.training.run_folder import LOCK, is_unbegun, last_checkpoint
    from logpose.training.signals import Stopped, was_requeued

    name, make = words[0], find(words[0])
    if old := renamed(name):
        log.warning("the recipe %s will be removed: use `logpose train %s`", name, command(*old))
        name = old.preset
    recipe, out, resume, search = parse_train(name, make(), words[1:])
    # Lightning starts the further processes of a run with the same words; the first one has made the folder by then.
    first = os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("RANK", "0") == "0"
    if out.is_file():
        raise InputError(f"{out}: is a file, not a folder for a run")
    holds = resume is None and out.exists() and any(path.name != LOCK for path in out.iterdir())
    if first and holds and not (was_requeued() and is_unbegun(out)):
        resumed = "" if is_unbegun(out) else f", or resume its run with --resume {out}"
        raise InputError(f"{out}: is not empty; choose another folder{resumed}")
    if search is not None:
        return _search(recipe, out, *search)
    from logpose.training.run import fit  # Lightning, which the flags' help does not need

    try:
        trained = fit(recipe, out, resume)
    except Stopped as stopped:  # before the first step
        print("logpose: interrupted", file=sys.stderr)
        return 128 + stopped.number
    if trained.interrupted:
        begun = last_checkpoint(trained.folder)
        again = f"resume with: logpose train {name} --resume {trained.folder}" if begun else "nothing was saved yet"
        if first:
            print(f"logpose: interrupted; {again}", file=sys.stderr)
        return 128 + (trained.signal or signal.SIGINT)
    if first:
        print_figures(trained.figures)
        print(f"best checkpoint: {trained.best}", file=sys.stderr)
    return 0


def _search(recipe: TrainingRecipe, folder: Path, trials: int | None, space: Space | None) -> int:
    """Search for better settings; returns the exit code."""
    from logpose.cli.eval import print_figures
    from logpose.training.search import search
    from logpose.training.search_results import table

    found = search(recipe, folder, trials, space)
    if found.interrupted:
        again = f"logpose train {recipe.name} --resume {folder}"
        print(f"logpose: interrupted; resume with: {again}", file=sys.stderr)
        return 128 + found.signal
    print(table(found))
    print_figures(found.figures)
    log.info("these figures selected the best of %d trials and are too good: evaluate on other data", len(found.trials))
    print(f"best checkpoint: {found.best}", file=sys.stderr)
    return 0
