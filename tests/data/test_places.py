"""Which place has most of a data set's first files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from logpose.data.places import LOOKED_FOR, most_found


def touched(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_missing_first_file_decides_nothing(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    few, most = touched(tmp_path / "few", "a"), touched(tmp_path / "most", "b", "c")
    assert most_found([few, most], lambda place: (place / name for name in names)) == most
    assert most_found([most, few], lambda place: (place / name for name in names)) == most


def test_the_first_of_equals(tmp_path: Path) -> None:
    one, other = touched(tmp_path / "one", "a"), touched(tmp_path / "other", "b")
    assert most_found([one, other], lambda place: (place / name for name in "ab")) == one
    assert most_found([other, one], lambda place: (place / name for name in "ab")) == other
    assert most_found([4, 5], lambda digits: (tmp_path / f"{i:0{digits}d}" for i in range(3))) == 4


def test_so_many_are_looked_for(tmp_path: Path) -> None:
    asked = []

    def files(place: Path) -> Iterator[Path]:
        for i in range(10 * LOOKED_FOR):
            asked.append(i)
            yield place / str(i)

    most_found([tmp_path], files)
    assert asked == list(range(LOOKED_FOR))


def test_folders_and_names_that_no_file_can_have(tmp_path: Path) -> None:
    names = ["", "x" * 5000, "\0", "a"]
    none, one = touched(tmp_path / "none"), touched(tmp_path / "one", "a")
    assert most_found([none, one], lambda place: (place / name for name in names)) == one
