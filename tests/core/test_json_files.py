"""JSON: what is none is reported with its place; ids and numbers are such, not words or switches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from logpose.core.errors import InputError
from logpose.core.json_files import numbers, read_json, whole


def test_any_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, "ü", NaN]}', encoding="utf-8")
    content = read_json(tmp_path / "a.json")
    assert content["a"][:2] == [1, "ü"]
    assert math.isnan(content["a"][2])


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (b"", "empty file"),
        (b" \n", "empty file"),
        (b'{"a": 1,\n x', "not JSON: Expecting property name enclosed in double quotes at line 2, column 2"),
        (b"\xff\xfe\x00", "not JSON (not UTF-8 text"),
        (b"[" * 100_000, "unreadable JSON"),
    ],
)
def test_what_is_none_is_reported(tmp_path: Path, text: bytes, report: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(InputError) as refused:
        read_json(tmp_path / "a.json")
    assert str(refused.value).startswith(f"{tmp_path / 'a.json'}: {report}")


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(("value", "found"), [(3, 3), (0, 0), (True, None), (3.0, None), ("3", None), (None, None)])
def test_ids_are_whole_numbers(value: object, found: int | None) -> None:
    assert whole(value) == found


@pytest.mark.parametrize(
    ("values", "sound"),
    [([1, 2.5], True), ([1, True], False), ([1, "2"], False), ([1], False), ("12", False), ([1, 10**400], False)],
)
def test_numbers_are_numbers(values: object, sound: bool) -> None:
    found = numbers(values, 2)
    assert (found is not None) is sound
    if found is not None:
        assert found.tolist() == [1, 2.5]
