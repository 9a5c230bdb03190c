"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from logpose.cli.flags import parse_options
from logpose.core.options import Options

__all__ = ["ComplexityOptions", "parse", "run"]


@dataclass(kw_only=True)
class ComplexityOptions(Options):
    """Options of `logpose complexity`."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("models",)

    models: tuple[str, ...] = ()
    """Checkpoints, and names of the paper's networks; all of those unless given."""
    json: bool = False
    """Print the counts as JSON."""


def parse(words: Sequence[str]) -> ComplexityOptions:
    """The options that the words give."""
    return parse_options(
        ComplexityOptions,
        words,
        "complexity",
        "Parameters and multiply-accumulates of networks, as they are and as the paper counts them.",
    )


def run(options: ComplexityOptions) -> int:
    """Print the counts; returns the exit code."""
    from logpose.report.systems import SYSTEMS, count_flows, count_models, tell

    models = count_models(options.models or list(SYSTEMS))
    flows = {} if options.models else count_flows()
    print(json.dumps({"models": models, "flows": flows}, indent=2) if options.json else tell(models, flows))
    return 0
