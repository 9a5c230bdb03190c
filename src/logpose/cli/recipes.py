"""`logpose recipes`: the recipes that come with logpose."""

from __future__ import annotations

from dataclasses import dataclass

from logpose.core.config import Options

__all__ = ["RecipesOptions", "run"]


@dataclass(kw_only=True)
class RecipesOptions(Options):
    """List the recipes that come with logpose."""


def run(_: RecipesOptions) -> int:
    """Print the recipes of each task, a line for each; returns the exit code."""
    from logpose.recipes import by_task

    tasks = by_task()
    width = max(len(name) for recipes in tasks.values() for name in recipes)
    for number, (task, recipes) in enumerate(tasks.items()):
        print(f"{chr(10) if number else ''}{task}:")
        for name, make in recipes.items():
            print(f"  {name:{width}}  {(make.__doc__ or '').strip().splitlines()[0]}")
    return 0
