"""YAML files from outside: tables, and what is refused before it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpose.core.errors import InputError
from logpose.data.yaml_files import LARGEST, yaml_table

REPEATED = "a: &a [x]\nb: [*a, *a]\n"
MERGED = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))
WRONG = {
    "a list": b"- a\n",
    "nothing": b"",
    "no YAML": b"a: [\n",
    "no UTF-8": b"a: \xff\n",
    "a date that cannot be": b"a: 2020-13-45\n",
    "brackets": b"a: " + b"[" * 5000,
    "aliases": REPEATED.encode(),
    "tables of tables, each twice": MERGED.encode(),
    "large": b"a: 1\n#" + b" " * LARGEST,
    "an object": b"a: !!python/object/apply:os.getcwd []\n",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(text)
    with pytest.raises(InputError, match=r"a\.yaml"):
        yaml_table(tmp_path / "a.yaml", "settings")


def test_aliases(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("\ufeff" + REPEATED, encoding="utf-8")
    assert yaml_table(tmp_path / "a.yaml", "settings", aliases=True) == {"a": ["x"], "b": [["x"], ["x"]]}
    (tmp_path / "a.yaml").write_text(MERGED)
    with pytest.raises(InputError, match=r"a\.yaml"):
        yaml_table(tmp_path / "a.yaml", "settings", aliases=True)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.yaml"):
        yaml_table(tmp_path / "a.yaml", "settings")
