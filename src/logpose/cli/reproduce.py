"""`logpose reproduce [TABLE]`: the paper's tables, the commands of their rows, measured beside published figures."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logpose.core.errors import InputError

if TYPE_CHECKING:
    from logpose.recipes.reproduce import Row, Table

__all__ = ["parse", "run"]


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options that the words give; flags of `logpose train` among them are in `flags`.

    Raises:
        InputError: if there are such flags, and nothing is trained.
    """
    parser = argparse.ArgumentParser(
        prog="logpose reproduce",
        usage="logpose reproduce [TABLE [DATA]] [--run [--out DIR] [--FIELD VALUE …]] [--json]",
        description="List the paper's tables, or a table's rows: their published figures and commands. TABLE is the "
        "name of one, such as 1, 2a or retina; DATA, with --run, is its data set.",
        epilog="Further flags are those of `logpose train` and hold for each row, such as --epochs 10 or --mpii DIR.",
        allow_abbrev=False,
    )
    parser.add_argument("--run", action="store_true", help="train the rows; finished ones are kept, others are resumed")
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)  # of the version before
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder of the runs (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    # Of the words after a flag only `logpose train` knows which are values.
    first = list(takewhile(lambda word: not word.startswith("-"), words))
    given, flags = parser.parse_known_args(words[len(first) :])
    if len(first) > 2 or (flags and not flags[0].startswith("-")):
        wrong = [*first[2:], *flags][0]
        raise InputError(f"{wrong}: the name of a table and its data come first: logpose reproduce TABLE DATA --run …")
    if flags and not given.run:
        raise InputError(f"{flags[0]}: without --run nothing is trained")
    given.table, given.flags = first[0] if first else None, flags
    given.data = Path(first[1]) if len(first) > 1 else given.data
    return given


def run(given: argparse.Namespace) -> int:
    """List the paper's tables, print the rows of one with their commands, or run them; returns the exit code.

    Raises:
        InputError: if there is no such table, or a row cannot be trained.
    """
    from logpose.recipes.reproduce import TABLES, table_named

    if given.table is None:
        if given.run:
            raise InputError("--run needs a table: `logpose reproduce` lists them")
        listed = [{"table": table.name, "title": table.title, "rows": len(table.rows)} for table in TABLES]
        lines = [f"{table.name:10}  {table.title}" for table in TABLES]
        print(json.dumps(listed, indent=2) if given.json else "\n".join(lines))
        return 0
    table = table_named(given.table)
    if given.run and table.data and given.data is None:
        raise InputError(f"table {table.name} needs data: logpose reproduce {table.name} DATA --run ({table.data})")
    rows, interrupted = [], False
    for row in table.rows:
        figures = None
        if given.run and row.preset and not row.reason and not interrupted:
            figures = _run(row, given.data, given.out, given.flags)
            interrupted = figures is None
        rows.append(_described(table, row, figures))
    if given.json:
        print(
            json.dumps(
                {"table": table.name, "title": table.title, "data": table.data, "note": table.note, "rows": rows},
                indent=2,
            )
        )
    else:
        print(_text(table, rows, given.run))
    if interrupted:
        print("logpose: interrupted; the same command resumes", file=sys.stderr)
    return 130 if interrupted else 0


def _run(row: Row, data: Path | None, out: Path, flags: Sequence[str]) -> Mapping[str, float] | None:
    """Figures of a row's run; None if it was interrupted. Tables that share a command share its run."""
    from logpose.cli.recipe_flags import parse_recipe
    from logpose.recipes import find
    from logpose.recipes.reproduce import measure

    words = [*row.flags.split(), *flags]
    folder = out / re.sub(r"[^\w.+]+", "-", " ".join([row.preset, *words]))
    with_data = [str(data), *words] if data else words
    recipe, _, _ = parse_recipe(row.preset, find(row.preset)(), with_data)
    print(f"{row.method}: {folder}", file=sys.stderr)
    return measure(recipe, folder)


def _described(table: Table, row: Row, figures: Mapping[str, float] | None) -> dict[str, Any]:
    """A row as JSON holds it; measured figures are in the units of the published ones, or null."""
    published = {heading: value for (heading, _, _), value in zip(table.metrics, row.published, strict=True)}
    described: dict[str, Any] = {"method": row.method, "published": published}
    if figures is not None:
        known = {name: value for name, value in figures.items() if not math.isnan(value)}
        described["measured"] = {
            heading: scale * known[metric] if metric in known else None for heading, metric, scale in table.metrics
        }
    command = row.with_data("DATA" if table.data else "")
    return described | {"command": command or None, "reason": row.reason or None}


def _text(table: Table, rows: Sequence[Mapping[str, Any]], ran: bool) -> str:
    """A table as text: published figures, measured ones if it was run, then each row's command or reason."""
    columns = [(h, kind) for h, _, _ in table.metrics for kind in ("published", *(["measured"] if ran else []))]
    lines = [f"Table {table.name}: {table.title}", *([f"DATA: {table.data}"] if table.data else [])]
    lines += [*([table.note] if table.note else []), ""]
    if columns:
        cells = [[row["method"], *(_cell(row.get(kind, {}).get(h)) for h, kind in columns)] for row in rows]
        cells.insert(0, ["", *map(" ".join, columns)])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for first, *others in cells:
            padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    for row in rows:
        lines += ["", row["method"], *([f"    {row['command']}"] if row["command"] else [])]
        lines += [f"    not run: {row['reason']}"] if row["reason"] else []
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"
