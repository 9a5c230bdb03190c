"""`logpose demo`: train RLE and L1 on synthetic people, and show the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logpose.cli.flags import parse_options
from logpose.core.options import Options

__all__ = ["DemoOptions", "parse", "run"]


@dataclass(kw_only=True)
class DemoOptions(Options):
    """Options of `logpose demo`."""

    out: Path = Path("runs/demo")
    """Folder for the checkpoint, images and the report."""
    seed: int = 0
    """Seed of both runs."""
    epochs: int | None = None
    """Number of epochs; the recipe's unless given."""
    people: int | None = None
    """Number of people in the training data; the recipe's unless given."""


def parse(words: Sequence[str]) -> DemoOptions:
    """The options that the words give."""
    return parse_options(
        DemoOptions, words, "demo", "Train RLE and L1 on built-in synthetic people and compare the two."
    )


def run(options: DemoOptions) -> int:
    """Run the demo; returns the exit code."""
    from logpose.cli.demonstration import run_demo

    run_demo(options.out, options.seed, options.epochs, options.people)
    return 0
