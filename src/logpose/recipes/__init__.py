"""Presets: functions without arguments that return a recipe; the first line of the docstring describes it.

There is no registry: `available` lists the functions of this folder's modules, and `find` also takes one from a file of
the user's own. What a flag of `logpose train` can say (`--loss`, `--head`, `--backbone`, …) is no preset.
"""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path

from logpose.core.errors import InputError
from logpose.core.user_files import module_of_file
from logpose.recipes import coco, h36m, lifting, lsp, mask_rcnn, mpii, oct, point_set, synthetic
from logpose.recipes.renamed import OLD, old_recipe
from logpose.training.recipe import TrainingRecipe

__all__ = ["available", "by_task", "find"]


def available() -> dict[str, Callable[[], TrainingRecipe]]:
    """The recipes that come with logpose, by name; those of a task stand together."""
    recipes: dict[str, Callable[[], TrainingRecipe]] = {}
    for module in (coco, mpii, lsp, h36m, synthetic, mask_rcnn, point_set, lifting, oct):
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


def _from_file(path: Path, function: str) -> Callable[[], TrainingRecipe]:
    module = module_of_file(path)
    made = {n: f for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == path.stem}
    if function not in made:
        near = difflib.get_close_matches(function, made, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{path}: defines no function {function!r}{hint}")

    def make() -> TrainingRecipe:
        try:
            recipe = made[function]()
        except InputError:
            raise
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{line.filename}, line {line.lineno}"
            raise InputError(f"{path}: {function}() fails: {type(error).__name__}: {error} ({where})") from error
        if not isinstance(recipe, TrainingRecipe):
            raise InputError(f"{path}: {function}() returns {type(recipe).__name__}, not a recipe")
        return recipe

    make.__doc__ = made[function].__doc__
    return make
