"""Which format a file has."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from logpose.data.label_formats import FORMATS, format_of


@pytest.mark.parametrize("name", ["labels.json", "labels.csv", "joints.mat", "folder"])
def test_what_is_no_known_format_has_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_text("{}")
    assert format_of(tmp_path / name) is None
    assert format_of(tmp_path / "missing" / name) is None


def test_every_reader_recognises_and_reads() -> None:
    for module in map(importlib.import_module, FORMATS.values()):
        assert callable(module.reads)
        assert callable(module.read)
