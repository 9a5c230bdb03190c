"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from logpose.core.options import Options

__all__ = ["ComplexityOptions", "run"]


@dataclass(kw_only=True)
class ComplexityOptions(Options):
    """Parameters and multiply-accumulates (MAC) of networks: as computed, and as the paper counts them."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("models",)

    models: tuple[str, ...] = ()
    """Checkpoints, or names of the paper's networks; all of these by default."""
    json: bool = False
    """Print the counts as JSON."""


def run(options: ComplexityOptions) -> int:
    """Count the networks and print the table, or JSON; returns the exit code."""
    from logpose.core.progress import track
    from logpose.report.systems import SYSTEMS, as_text, count_flows, count_models

    names = options.models or list(SYSTEMS)
    models = dict(track(count_models(names), "counting", len(names), unit="networks"))
    flows = {} if options.models else count_flows()
    print(json.dumps({"models": models, "flows": flows}, indent=2) if options.json else as_text(models, flows))
    return 0
