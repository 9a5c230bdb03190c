"""`logpose recipes`: the recipes that come with logpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logpose.cli.flags import parse_options
from logpose.core.options import Options

__all__ = ["RecipesOptions", "parse", "run"]


@dataclass(kw_only=True)
class RecipesOptions(Options):
    """Options of `logpose recipes`: none."""


def parse(words: Sequence[str]) -> RecipesOptions:
    """The options that the words give."""
    return parse_options(RecipesOptions, words, "recipes", "List the recipes that come with logpose.")


def run(_: RecipesOptions) -> int:
    """Print a line for each recipe; returns the exit code."""
    from logpose.recipes import available

    recipes = available()
    width = max(map(len, recipes))
    for name, make in recipes.items():
        print(f"{name:{width}}  {(make.__doc__ or '').strip().splitlines()[0]}")
    return 0
