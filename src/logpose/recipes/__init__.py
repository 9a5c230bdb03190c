"""Presets: functions without arguments that return a recipe; the first line of the docstring describes it.

There is no registry: `available` lists the functions of this folder's modules, and `find` also takes one from a file of
the user's own. What a flag of `logpose train` can express (`--loss`, `--head`, `--backbone`, …) is no preset.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from logpose.core.errors import InputError
from logpose.core.user_files import attribute_of_file
from logpose.recipes.renamed import OLD, old_recipe

if TYPE_CHECKING:
    from logpose.training.recipe import TrainingRecipe

__all__ = ["available", "by_task", "find"]

MODULES = ("coco", "mpii", "lsp", "h36m", "synthetic", "mask_rcnn", "point_set", "lifting", "oct")
"""Imported once a recipe is asked for: `logpose reproduce` lists its tables without torch."""


def available() -> dict[str, Callable[[], TrainingRecipe]]:
    """The recipes that come with logpose, by name; those of a task stand together."""
    recipes: dict[str, Callable[[], TrainingRecipe]] = {}
    for name in MODULES:
        module = importlib.import_module(f"logpose.recipes.{name}")
        made = [each for name in module.__all__ if inspect.isfunction(each := getattr(module, name))]
        recipes |= {each.__name__: each for each in sorted(made, key=lambda each: each.__code__.co_firstlineno)}
    return recipes


def by_task() -> dict[str, dict[str, Callable[[], TrainingRecipe]]]:
    """The recipes that come with logpose, by task and name."""
    tasks: dict[str, dict[str, Callable[[], TrainingRecipe]]] = {}
    for name, make in available().items():
        tasks.setdefault(make().task, {})[name] = make
    return tasks


def find(name: str) -> Callable[[], TrainingRecipe]:
    """The recipe of a name, or of a file of one's own.

    Args:
        name: one of `available`, a name of version 0.1, or `path/to/file.py:function`. Such a file is Python and is
            run.

    Raises:
        InputError: if there is none; the message suggests a similar name.
    """
    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), function)
    if name.endswith(".py"):
        raise InputError(f"{name}: give the function that makes the recipe, as {name}:FUNCTION")
    recipes = available()
    if name in recipes:
        return recipes[name]
    if name in OLD:
        return old_recipe(name, recipes)
    near = difflib.get_close_matches(name, recipes, n=2, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise InputError(f"there is no recipe {name!r}{hint} (`logpose recipes` lists them)")


def _from_file(path: Path, name: str) -> Callable[[], TrainingRecipe]:
    """A function of a user's own file, of which errors name the file and the line."""
    from logpose.training.recipe import TrainingRecipe

    function = attribute_of_file(path, name)

    def make() -> TrainingRecipe:
        try:
            recipe = function()
        except InputError:
            raise
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{line.filename}, line {line.lineno}"
            raise InputError(f"{path}: {name}() fails: {type(error).__name__}: {error} ({where})") from error
        if not isinstance(recipe, TrainingRecipe):
            raise InputError(f"{path}: {name}() returns {type(recipe).__name__}, not a recipe")
        return recipe

    return make
