"""Boundaries in CSV files: every form that is read, and each fault by its words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.data.boundary_tables import read_boundaries
from logpose.data.scans import RETINA

SIZE = (40, 30)


def read(folder: Path, text: str) -> tuple[np.ndarray, tuple[str, ...]]:
    (folder / "a.csv").write_text(text)
    return read_boundaries(folder / "a.csv", SIZE, "a.png")


def test_a_line_for_each_column_below_headings(tmp_path: Path) -> None:
    lines = [f"{5 + column / 10},{20 + column % 3}" for column in range(30)]
    lines[4], lines[7] = "5.4,", "nan,21"
    rows, names = read(tmp_path, "top, bottom \n" + "\n".join(lines))
    assert names == ("top", "bottom")
    assert rows.shape == (2, 30)
    assert rows[0, :4].tolist() == pytest.approx([5.0, 5.1, 5.2, 5.3])
    assert rows[1, 8] == 22
    assert np.argwhere(np.isnan(rows)).tolist() == [[0, 7], [1, 4]]


@pytest.mark.parametrize(("count", "names"), [(8, RETINA.joints), (3, ("boundary 1", "boundary 2", "boundary 3"))])
def test_without_headings_a_line_for_each_boundary(tmp_path: Path, count: int, names: tuple[str, ...]) -> None:
    rows, found = read(tmp_path, "\n".join(",".join(str(3 * i + 1) for _ in range(30)) for i in range(count)))
    assert found == names
    assert rows[:, 12].tolist() == [3 * i + 1 for i in range(count)]


@pytest.mark.parametrize(
    "text", ["top;bottom\n" + "1,5;2\n" * 29 + ";7,25\n", "\ufefftop\tbottom\n" + "1.5\t2\n" * 29 + "\t7.25\n"]
)
def test_tables_of_spreadsheets(tmp_path: Path, text: str) -> None:
    rows, names = read(tmp_path, text)
    assert names == ("top", "bottom")
    assert rows[:, 0].tolist() == [1.5, 2]
    assert np.isnan(rows[0, 29])
    assert rows[1, 29] == 7.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("top,bottom\n1,2\n", "1 lines of numbers.*30 .*a.png"),
        ("1,2\n3,4\n", "2 numbers, expected 30 .*a.png"),
        ("top,bottom\n" + "1,2\n" * 29 + "1,x\n", "line 31: 'x' is not a number"),
        ("top,bottom\n" + "1,2\n" * 29 + "1\n", "line 31 has 1 cells, expected 2"),
        ("top,bottom\n" + "1,2\n\n" * 29 + "1,x\n", "line 60: 'x' is not a number"),
        ("top,bottom\n" + "1,2\n" * 29 + "1,inf\n", "line 31: 'inf' is not a number"),
        ("top,bottom\n" + "1,2\n" * 29 + "1,40\n", "image column 29: bottom in row 40"),
        ("top,bottom\n" + "1,2\n" * 29 + "-1,4\n", "image column 29: top in row -1"),
        ("top,bottom,top\n" + "1,2,3\n" * 30, "two columns are named top"),
        ("top\n" + "1\n" * 30, "one boundary"),
        (",top,bottom\n" + "0,1,2\n" * 30, "column 1 has no name"),
        ("", "holds no numbers"),
        ("top,bottom\n", "holds no numbers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        read(tmp_path, text)
    assert str(told.value).startswith(f"{tmp_path / 'a.csv'}: ")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a\.csv"):
        read_boundaries(tmp_path / "a.csv", SIZE, "a.png")


def test_a_table_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logpose.data.boundary_tables.LONGEST", 100)
    with pytest.raises(InputError, match=r"a\.csv"):
        read(tmp_path, "top,bottom\n" + "1,2\n" * 30)
