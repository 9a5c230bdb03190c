"""What `logpose inspect` reports of any data set: counts, wrong rows, hints, and lines of its task's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["LISTED", "evenly", "inspection_text", "summary"]

LISTED = 20
"""Most wrong rows, or unlikely labels, that are listed one by one."""


def evenly(total: int, count: int) -> list[int]:
    """At most `count` of the numbers 0 … total - 1, evenly spaced."""
    return np.unique(np.linspace(0, max(0, total - 1), min(count, total)).round().astype(int)).tolist()  # type: ignore[no-any-return]


def summary(problems: Sequence[Any]) -> dict[str, Any]:
    """Wrong rows, which have a `kind` and a text, as plain values: how many of each kind, and the first ones."""
    kinds = Counter(problem.kind for problem in problems)
    return {"by kind": dict(kinds), "first": [str(problem) for problem in problems[:LISTED]]}


def inspection_text(
    found: Mapping[str, Mapping[str, Any]], own: Callable[[Mapping[str, Any]], tuple[list[str], list[str]]]
) -> str:
    """An inspection's facts by file (`Task.inspect`) as text, with the lines of `Task.inspection_text` among them."""
    lines = []
    for file, facts in found.items():
        after_counts, at_end = own(facts)
        kinds = facts["problems"]["by kind"]
        lines += [file, "  " + ", ".join(f"{count} {what}" for what, count in facts["counts"].items()), *after_counts]
        lines.append(f"  wrong rows, which training leaves out: {sum(kinds.values()) or 'none'}")
        lines += [f"    {count} × {kind}" for kind, count in kinds.items()]
        lines += [f"    {row}" for row in facts["problems"]["first"]]
        lines += [f"  worth a look: {hint}" for hint in facts["hints"]]
        lines += [f"  contact sheet: {facts['contact_sheet']}", *at_end]
    return "\n".join(lines)
