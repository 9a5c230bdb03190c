"""The results of a search: its trials from best to worst, as objects, as a table and as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from logpose.core.files import whole_file
from logpose.training.search_space import label

__all__ = ["TABLE", "SearchResult", "SearchTrial", "State", "table", "write_table"]

TABLE = "search.csv"
"""File of the trials, best first."""

State = Literal["complete", "pruned", "failed"]
"""How a trial ended."""


@dataclass(frozen=True)
class SearchTrial:
    """A training run of a search that is done."""

    number: int
    """From 0, in the order in which they were proposed."""
    folder: Path
    """Of its run; that of the earlier trial if its settings were proposed again."""
    values: dict[str, Any]
    """Of the fields that were varied."""
    figure: float | None
    """The watched figure of its best checkpoint; None if it failed."""
    state: State
    """pruned: stopped early, because others were better at that epoch."""
    why: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class SearchResult:
    """A search that is done or was interrupted."""

    folder: Path
    watch: str
    """The figure by which trials are compared."""
    trials: tuple[SearchTrial, ...]
    """From best to worst; behind them those that were pruned, and those that failed."""
    best: Path | None
    """Checkpoint of the best trial, in the search's folder; None if no trial is complete."""
    figures: dict[str, float]
    """Its validation figures. They are too good an estimate: it was selected by them."""
    interrupted: bool = False
    signal: int = 0
    """The signal that interrupted it."""


def _rows(trials: Sequence[SearchTrial], watch: str, digits: int) -> list[list[str]]:
    """Header, and a row for each trial."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    rows = [["trial", watch, "state", *names]]
    for trial in trials:
        figure = "" if trial.figure is None else f"{trial.figure:.{digits}g}"
        rows.append([str(trial.number), figure, trial.state, *(_cell(trial.values.get(name)) for name in names)])
    return rows


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(label(value))


def table(result: SearchResult) -> str:
    """The trials as text, a line each, with a header."""
    rows = _rows(result.trials, result.watch, digits=5)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write_table(folder: str | Path, trials: Sequence[SearchTrial], watch: str) -> None:
    """Write the trials as `search.csv`, with their folders and why they failed."""
    text = io.StringIO(newline="")
    header, *rows = _rows(trials, watch, digits=17)
    writer = csv.writer(text)
    writer.writerow([*header, "folder", "why"])
    writer.writerows([*row, each.folder.name, each.why] for row, each in zip(rows, trials, strict=True))
    with whole_file(Path(folder) / TABLE) as file:
        file.write(text.getvalue().encode())
