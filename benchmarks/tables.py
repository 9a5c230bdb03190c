"""What the benchmarks' tables are made of."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def cell(values: Sequence[float], digits: int = 3) -> str:
    """Mean and, of several, standard deviation over seeds; a dash where there is no value."""
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
