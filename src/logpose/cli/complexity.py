"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from logpose.core.config import Options

__all__ = ["ComplexityOptions", "as_text", "run"]


@dataclass(kw_only=True)
class ComplexityOptions(Options):
    """Parameters and multiply-accumulates (MAC) of networks, beside the figures that the paper prints."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("models",)

    models: tuple[str, ...] = ()
    """Checkpoints, or names of the paper's networks; all of these by default."""
    json: bool = False
    """Print the counts as JSON."""


def run(options: ComplexityOptions) -> int:
    """Count the networks and print the table, or JSON; returns the exit code."""
    from logpose.core.progress import track
    from logpose.report.systems import SYSTEMS, count_models

    names = options.models or list(SYSTEMS)
    models = dict(track(count_models(names), "counting", len(names), unit="networks"))
    print(json.dumps({"models": models}, indent=2) if options.json else as_text(models))
    return 0


def as_text(models: dict[str, dict[str, Any]]) -> str:
    """Counts of networks as a table."""
    width = max(map(len, models))
    title = ("input", "parameters", "paper", "GMAC", "of head", "paper")
    lines = [f"{'network':{width}} {{:>10}} {{:>11}} {{:>7}}  {{:>9}} {{:>9}} {{:>9}}".format(*title)]
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
