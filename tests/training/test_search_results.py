"""The table of a search, as text and as a file."""

from __future__ import annotations

import csv
from pathlib import Path

from logpose.training.search_results import SearchResult, SearchTrial, table, write_table


def trials(folder: Path) -> tuple[SearchTrial, ...]:
    return (
        SearchTrial(2, folder / "trial_0002", {"lr": 1e-3, "size": (64, 48)}, 8.123456789, "complete"),
        SearchTrial(0, folder / "trial_0000", {"lr": 2e-3, "size": (32, 32)}, 9.0, "pruned"),
        SearchTrial(1, folder / "trial_0001", {"lr": 3.0, "size": (64, 48)}, None, "failed", "a, b"),
    )


def test_the_table_has_a_line_for_each_trial(tmp_path: Path) -> None:
    result = SearchResult(tmp_path, "error_px", trials(tmp_path), None, {})
    rows = [line.split() for line in table(result).splitlines()]
    assert rows == [
        ["trial", "error_px", "state", "lr", "size"],
        ["2", "8.1235", "complete", "0.001", "64x48"],
        ["0", "9", "pruned", "0.002", "32x32"],
        ["1", "failed", "3", "64x48"],
    ]
    assert len({len(line) for line in table(result).splitlines()}) == 1


def test_the_file_has_exact_figures_folders_and_reasons(tmp_path: Path) -> None:
    write_table(tmp_path, trials(tmp_path), "error_px")
    with (tmp_path / "search.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["error_px"]) == 8.123456789
    assert [row["folder"] for row in rows] == ["trial_0002", "trial_0000", "trial_0001"]
    assert (rows[2]["error_px"], rows[2]["why"]) == ("", "a, b")
