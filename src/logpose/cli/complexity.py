"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import json
import sys
import time

from jsonargparse import Namespace

from logpose.cli.parser import ArgumentParser

__all__ = ["HELP", "parser", "run"]

HELP = "count parameters and multiply-accumulates of a network"
"""The command's line in `logpose --help`."""
PATIENCE = 2.0  # seconds without output after which a line of progress is printed


def parser() -> ArgumentParser:
    """The flags of the command."""
    flags = ArgumentParser(
        description="Parameters and multiply-accumulates (MAC) of networks: as computed, and as the paper counts them."
    )
    flags.add_argument(
        "models", type=str, nargs="*", help="checkpoints, or names of the paper's networks; all of these by default"
    )
    flags.add_argument("--json", action="store_true", help="print the counts as JSON")
    return flags


def run(options: Namespace) -> int:
    """Count the networks and print the table, or JSON."""
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
