"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from jsonargparse import Namespace

from logpose.cli.parser import ArgumentParser

__all__ = ["HELP", "as_text", "parser", "run"]

HELP = "count parameters and multiply-accumulates of a network"
"""The command's line in `logpose --help`."""
PATIENCE = 2.0  # seconds without output after which a line of progress is printed


def parser() -> ArgumentParser:
    """The flags of the command."""
    flags = ArgumentParser(
        description="Parameters and multiply-accumulates (MAC) of networks, beside the figures that the paper prints."
    )
    flags.add_argument(
        "models", type=str, nargs="*", help="checkpoints, or names of the paper's networks; all of these by default"
    )
    flags.add_argument("--json", action="store_true", help="print the counts as JSON")
    return flags


def run(options: Namespace) -> int:
    """Count the networks and print the table, or JSON."""
    from logpose.report.systems import SYSTEMS, count_models

    names = options.models or list(SYSTEMS)
    models = {}
    reported = time.monotonic()
    for name, counts in count_models(names):
        models[name] = counts
        if time.monotonic() - reported > PATIENCE:
            reported = time.monotonic()
            print(f"logpose: counted {len(models)} of {len(names)} networks", file=sys.stderr)
    print(json.dumps({"models": models}, indent=2) if options.json else as_text(models))
    return 0


def as_text(models: dict[str, dict[str, Any]]) -> str:
    """Counts of networks as a table."""
    width = max(map(len, models))
    lines = [
        f"{'network':{width}} {'input':>10} {'parameters':>11} {'paper':>7}  {'GMAC':>9} {'of head':>9} {'paper':>9}"
    ]
    for name, row in models.items():
        if "error" in row:
            lines.append(f"{name:{width}} not counted: {row['error']}")
            continue
        lines.append(
            f"{name:{width}} {row['input'].rpartition(' of ')[2]:>10} {row['parameters']:>11,} "
            f"{row['paper']['parameters']:>7}  {row['macs'] / 1e9:9.4f} {row['macs_head'] / 1e9:9.4f} "
            f"{row['paper']['gflops']:>9}"
        )
    return "\n".join(lines)
