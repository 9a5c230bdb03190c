"""The flags of `logpose train RECIPE`: each plain field of the recipe is one."""

from __future__ import annotations

import logging
import re
from argparse import SUPPRESS
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, TypeVar, get_args

from logpose.cli.config_file import check_config, named_recipe
from logpose.cli.flags import add_flags, field_type, flag_names, free_words, normalised, values_of
from logpose.cli.parser import ArgumentParser
from logpose.cli.spelling import DATA, dashed
from logpose.core.config import Options
from logpose.core.errors import InputError
from logpose.recipes.renamed import renamed
from logpose.training.recipe import LossName, TrainingRecipe, plain_fields, settings
from logpose.training.run_folder import BEST, CONFIG, FIRST, LAST, is_unbegun, last_checkpoint
from logpose.training.search_space import BASE, Range, Space, default_values, is_plain, is_search
from logpose.training.signals import was_requeued

__all__ = ["Parsed", "Search", "parse_recipe", "parse_train"]

log = logging.getLogger("logpose")

R = TypeVar("R", bound=TrainingRecipe)

SPACE = "--search_space"
NUMBER = r"([+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?)"
RANGE = re.compile(rf"{NUMBER}\.\.{NUMBER}", re.IGNORECASE)
"""LOW..HIGH, two numbers."""
COMMA = re.compile(r",(?![^\[]*\])")
"""Between the values of a list; not within one in brackets."""


@dataclass(kw_only=True)
class RunOptions(Options):
    """What `logpose train` takes beside the fields of a recipe."""

    config: Path | None = None
    """YAML file of fields, as --print-config writes it."""
    out: Path | None = None
    """Folder of the run; default: a new one in runs/."""
    resume: Path | None = None
    """Folder of an interrupted run or search to resume, or one of a run's checkpoints."""
    device: str | None = None
    """Device: cpu, cuda, cuda:1, mps, auto, in place of Lightning's --accelerator and --devices."""
    search: int | None = None
    """Number of runs with other settings, of which the best is kept (needs Optuna: the extra `search`)."""


class Search(NamedTuple):
    """A search that the flags ask for: how many trials, and what is varied; None: as before, or as usual."""

    trials: int | None
    space: Space | None


class Parsed(NamedTuple):
    """What the flags of `logpose train` ask for."""

    recipe: Any
    """The recipe with the flags' values in its plain fields."""
    out: Path
    """The run's folder, or that of the search."""
    resume: Path | None
    """The checkpoint to resume from, or the folder of a search, if any."""
    search: Search | None
    """The search, if it is one."""


def parse_recipe(name: str, recipe: R, flags: Sequence[str]) -> tuple[R, Path, Path | None]:
    """Recipe, the run's folder and the checkpoint to resume from, of flags that ask for one run; see `parse_train`."""
    recipe, out, resume, _ = parse_train(name, recipe, flags)
    return recipe, out, resume


def parse_train(name: str, recipe: TrainingRecipe, flags: Sequence[str]) -> Parsed:
    """Parse the flags of `logpose train RECIPE`. Wrong ones end the process with one sentence and exit code 2.

    Args:
        name: name of the recipe, as it was given.
        recipe: the recipe.
        flags: the arguments after its name.

    Raises:
        InputError: if `--resume` names no run, or one of another recipe, or if a flag would have no effect.
    """
    every = [type(recipe), RunOptions]
    flags = _resumed_if_requeued(_with_data(normalised(flags, every), every))
    for number, flag in enumerate(flags):
        if flag.startswith("--config=") or (flag == "--config" and number + 1 < len(flags)):
            check_config(flag.partition("=")[2] or flags[number + 1])
    shown = not {"-h", "--help"}.isdisjoint(flags)
    given = _parser(name, recipe, [DATA] if shown else []).parse_args(flags)
    resume = None
    if given.resume is None:
        if _slug(given.recipe) != _slug(name):
            log.warning("--config: these are settings of the recipe %s, used for %s", given.recipe, name)
        out = given.out or Path("runs") / f"{_slug(name)}-{datetime.now():%Y%m%d-%H%M%S}"
    else:
        if given.out is not None:
            raise InputError("--out: a resumed run stays in its own folder")
        out, resume, config = _run_to_resume(given.resume)
        # The run's own settings first; flags have precedence.
        check_config(config)
        whose = named_recipe(config) or name  # before its fields, which recipes of other tasks do not know
        if _slug(whose) != _slug(name):
            raise InputError(f"{out}: is a run of the recipe {whose}, not of {name}")
        flags = ["--config", str(config), *flags]
        given = _parser(name, recipe).parse_args(flags)
        if _slug(given.recipe) != _slug(name):
            raise InputError(f"{out}: is a run of the recipe {given.recipe}, not of {name}")
        if old := renamed(given.recipe):  # a run of version 0.1, whose config.yaml has none of today's fields
            given = _parser(name, replace(recipe, **old.fields)).parse_args(flags)
    if given.loss is not None:
        recipe = replace(recipe, loss=given.loss)
    _refuse_nulls(type(recipe), given)
    in_steps, values = bool(recipe.steps), values_of(type(recipe), given)
    recipe = replace(recipe, name=name, **{key: values[key] for key in plain_fields(recipe)})
    typed = {field.removeprefix("no_") for field in flag_names(flags)}
    if given.device is not None:
        recipe = replace(recipe, **_on_device(given.device, typed))
    for field, why in recipe.inapplicable().items():
        if field in typed:
            raise InputError(f"{dashed('--' + field)}: {why}")
    if resume is not None and "find_lr" in typed:
        recipe.check_resume()
    if "steps" in typed and "milestones" not in typed and in_steps != bool(recipe.steps) and recipe.schedule == "step":
        unit, others = ("steps", "epochs") if recipe.steps else ("epochs", "steps")
        had = " ".join(map(str, recipe.milestones))
        raise InputError(f"--steps {recipe.steps}: the milestones {had} are {others}; give --milestones in {unit} too")
    if not callable(recipe.loss):
        recipe.likelihood(getattr(recipe, "dim", 2))  # refuses words that do not go together, before data are opened
    return Parsed(recipe, out, resume, _search(given, recipe, out, resume))


def _search(given: Any, recipe: TrainingRecipe, out: Path, resume: Path | None) -> Search | None:
    """The search that the flags ask for, or that a folder to resume has."""
    if given.search is None and not (resume and is_search(resume)):
        if given.search_space is not None:
            raise InputError("--search-space: applies to a search: --search 20")
        return None
    if resume and not is_search(resume):
        raise InputError(f"--search: {out} is a run, not a search; start one in another --out")
    space = None if given.search_space is None else _space(recipe, given.search_space)
    return Search(given.search, space)


def _with_data(flags: list[str], options: Sequence[type[Any]]) -> list[str]:
    """Flags in which DATA, a word without one, has its own, as the fields of a recipe have."""
    places = [
        place
        for place in free_words(flags, options)
        if next((flag for flag in flags[place::-1] if flag.startswith("--")), "") != SPACE
    ]
    if not places or not any(f.name == DATA for f in fields(options[0])):
        return flags  # the parser refuses a word that it does not know
    if twice := next((flag.partition("=")[2] for flag in flags if flag.startswith(f"--{DATA}=")), None):
        raise InputError(f"DATA is one file or folder, got {flags[places[0]]} and {twice}")
    return [flag if place != places[0] else f"--{DATA}={flag}" for place, flag in enumerate(flags)]


def _on_device(device: str, typed: Collection[str]) -> dict[str, Any]:
    """Lightning's names of a device of PyTorch's."""
    if both := sorted({"accelerator", "devices"}.intersection(typed)):
        raise InputError(f"--device {device}: does not go with --{both[0]}")
    if device in ("auto", "cpu"):
        return {"accelerator": device, "devices": "auto"}
    if not (found := re.fullmatch(r"(cuda|mps)(?::(\d+))?", device)):
        raise InputError(
            f"--device {device}: takes auto, cpu, cuda, cuda:1 or mps (--accelerator takes Lightning's names)"
        )
    return {"accelerator": found[1], "devices": "1" if found[2] is None else f"{found[2]},"}


def _space(recipe: TrainingRecipe, words: Sequence[str]) -> dict[str, Any]:
    """The space of words like lr=1e-4..1e-2, weight-decay=0,1e-4, size=128x96,192x144 and lr alone."""
    parser = _parser(recipe.name, recipe)

    def value(field: str, text: str) -> Any:
        found = parser.parse_args(normalised([f"--{field}={text}"], [type(recipe)]))[field]
        return tuple(found) if isinstance(found, list) else found

    space: dict[str, Any] = {}
    for word in words:
        field, equals, text = word.partition("=")
        field = field.replace("-", "_")
        if field in space or not is_plain(recipe, field):
            what = "is given twice" if field in space else "the recipe has no such field"
            raise InputError(f"--search-space {word}: {what}")
        if not equals:
            space[field] = default_values(recipe, field)
        elif bounds := RANGE.fullmatch(text):
            space[field] = Range(*(value(field, bound) for bound in bounds.groups()))
        else:
            space[field] = tuple(value(field, item) for item in COMMA.split(text))
    return space


def _parser(name: str, recipe: TrainingRecipe, positional: Sequence[str] = ()) -> ArgumentParser:
    """The parser of a recipe's flags, whose defaults are the recipe's values; for help, with words without a flag."""
    usage = f"logpose train {name} [DATA] [--out DIR] [--resume DIR] [--config FILE] [--FIELD VALUE …]"
    parser = ArgumentParser(prog=f"logpose train {name}", usage=usage, description="Train it; its fields are flags.")
    parser.add_argument("--config", action="config", help="YAML file of fields, as --print-config writes it")
    add_flags(parser, RunOptions, ["config"])
    parser.add_argument(
        SPACE,
        type=str,
        nargs="+",
        default=None,
        metavar="FIELD=VALUES",
        help="With --search: what is varied: FIELD=LOW..HIGH, FIELD=A,B,C, or lr, weight-decay and size alone, with "
        "their usual values (default: these three).",
    )
    parser.add_argument("--recipe", type=str, default=name, help=SUPPRESS)  # of a run's config.yaml
    # A recipe's own loss is no value of a flag.
    types: dict[str, Any] = {"loss": LossName | None if callable(recipe.loss) else LossName}
    add_flags(parser, type(recipe), recipe.OBJECTS, types, positional, **{"loss": None, **settings(recipe)})
    return parser


def _resumed_if_requeued(flags: list[str]) -> list[str]:
    """The flags with --resume in place of --out, if Slurm has started this job before, and its run has a checkpoint."""
    places = [number for number, flag in enumerate(flags) if flag == "--out" or flag.startswith("--out=")]
    if not (was_requeued() and places):
        return flags
    at = places[-1]
    own = "=" in flags[at]
    out = flags[at].partition("=")[2] if own else next(iter(flags[at + 1 :]), "")
    if last_checkpoint(out) is None and not is_search(out):
        return flags
    log.info("this job was put in the queue again: its run is resumed")
    return [*flags[:at], "--resume", out, *flags[at + (1 if own else 2) :]]


def _run_to_resume(resumed: Path) -> tuple[Path, Path, Path]:
    """What to resume.

    Returns:
        its folder; the checkpoint to resume from: the file that is named, or the last, and the folder again if it is
        that of a search; the file of its settings.
    """
    if is_search(resumed):
        return resumed, resumed, resumed / BASE
    folder = resumed if resumed.is_dir() else resumed.parent
    if folder.name == FIRST and (folder.parent / CONFIG).is_file():
        folder = folder.parent  # the run of which this is the first stage
    if resumed.name == BEST:
        raise InputError(f"{resumed}: holds the best weights alone; resume from the state in {LAST}: --resume {folder}")
    if is_unbegun(folder):
        raise InputError(f"{resumed}: nothing of this run was saved yet; start a new run in another folder")
    checkpoint = resumed if resumed.is_file() else last_checkpoint(folder)
    if checkpoint is None or not (folder / CONFIG).is_file() or not (resumed.is_dir() or resumed.is_file()):
        raise InputError(f"{resumed}: no run to resume (it needs {LAST} and {CONFIG})")
    return folder, checkpoint, folder / CONFIG


def _refuse_nulls(options: type[Any], given: Any, prefix: str = "") -> None:
    """Refuse a null of a file, which jsonargparse takes for any field, where the field has to have a value."""
    for f in fields(options):
        if f.name in (*getattr(options, "OBJECTS", ()), "loss"):
            continue
        hint, value = field_type(options, f.name), given.get(f.name, 0)
        if is_dataclass(hint) and isinstance(hint, type) and value is not None:
            _refuse_nulls(hint, value, f"{f.name}.")
        elif value is None and NoneType not in get_args(hint):
            raise InputError(f"{dashed(f'--{prefix}{f.name}')} has to have a value, not null")


def _slug(name: str) -> str:
    """A recipe's name as part of a folder's: "my_recipes.py:my_run" becomes "my_run"; of an old name, the preset's."""
    old = renamed(name)
    return old.preset if old else name.rpartition(":")[2]
