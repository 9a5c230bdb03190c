"""`logpose complexity`: parameters and multiply-accumulates of networks."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from logpose.core.config import Options

__all__ = ["ComplexityOptions", "run", "table"]


@dataclass(kw_only=True)
class ComplexityOptions(Options):
    """Parameters and multiply-accumulates (MAC) of networks, beside the figures that the paper prints."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("models",)

    models: tuple[str, ...] = ()
    """Checkpoints, or names of the paper's networks; all of these by default."""
    json: bool = False
    """Print the counts as JSON."""


def run(options: ComplexityOptions) -> int:
    """Count the networks and print the table, a row as soon as it is counted, or JSON; returns the exit code."""
    gc.disable()  # there is no garbage to speak of, and the collector would go through all of torch many times
    try:
        from logpose.core.progress import track
        from logpose.report.systems import SYSTEMS, count_models

        names = options.models or list(SYSTEMS)
        counts = count_models(names)
        if options.json:
            print(json.dumps({"models": dict(track(counts, "counting", len(names), unit="networks"))}, indent=2))
        else:
            for line in table(names, counts):
                print(line, flush=True)
    finally:
        gc.enable()
    return 0


def table(names: Sequence[str], counts: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Lines of the table of counts: the title, and one for each network of these names."""
    width = max(map(len, names))
    title = ("input", "parameters", "paper", "GMAC", "of head", "paper")
    yield f"{'network':{width}} {{:>10}} {{:>11}} {{:>7}}  {{:>9}} {{:>9}} {{:>9}}".format(*title)
    for name, row in counts:
        if "error" in row:
            yield f"{name:{width}} not counted: {row['error']}"
            continue
        yield (
            f"{name:{width}} {row['input'].rpartition(' of ')[2]:>10} {row['parameters']:>11,} "
            f"{row['paper']['parameters']:>7}  {row['macs'] / 1e9:9.4f} {row['macs_head'] / 1e9:9.4f} "
            f"{row['paper']['gflops']:>9}"
        )
