"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from logpose.cli.flags import parse_options
from logpose.core.options import Options

__all__ = ["ComplexityOptions", "parse", "run"]

PATIENCE = 2.0  # seconds without output after which a line of progress is printed


@dataclass(kw_only=True)
class ComplexityOptions(Options):
    """Options of `logpose complexity`."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("models",)

    models: tuple[str, ...] = ()
    """Checkpoints, or names of the paper's networks; all of these by default."""
    json: bool = False
    """Print the counts as JSON."""


def parse(words: Sequence[str]) -> ComplexityOptions:
    """The options that the words give."""
    return parse_options(
        ComplexityOptions,
        words,
        "complexity",
        "Parameters and multiply-accumulates (MAC) of networks: as computed, and as the paper counts them.",
    )


def run(options: ComplexityOptions) -> int:
    """Count the networks and print the table, or JSON; returns the exit code."""
    from logpose.report.systems import SYSTEMS, as_text, count_flows, count_models

    names = options.models or list(SYSTEMS)
    models = {}
    reported = time.monotonic()
    for name, counts in count_models(names):
        models[name] = counts
        if time.monotonic() - reported > PATIENCE:
            reported = time.monotonic()
            print(f"logpose: counted {len(models)} of {len(names)} networks", file=sys.stderr)
    flows = {} if options.models else count_flows()
    print(json.dumps({"models": models, "flows": flows}, indent=2) if options.json else as_text(models, flows))
    return 0
