"""Files of results: whole or not there, and read without pickle."""

from __future__ import annotations

import json

import numpy as np
import pytest

from logpose.report.results import json_rows, write_arrays, write_json


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": [1.5, None]}, "b", 3]])
def test_json_comes_piece_by_piece(rows, tmp_path) -> None:
    assert json.loads("".join(json_rows(iter(rows)))) == rows
    write_json(tmp_path / "new" / "rows.json", iter(rows))
    assert json.loads((tmp_path / "new" / "rows.json").read_text()) == rows


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path) -> None:
    (file := tmp_path / "rows.json").write_text("old")
    with pytest.raises(TypeError):
        write_json(file, [1, object()])
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_arrays_are_read_without_pickle(tmp_path) -> None:
    arrays = {"joints": np.array(["a", "b"]), "joints_mm": np.zeros((0, 2, 3))}
    write_arrays(tmp_path / "found", arrays)  # the name stays as it was given
    with np.load(tmp_path / "found", allow_pickle=False) as content:
        assert content["joints"].tolist() == ["a", "b"]
        assert content["joints_mm"].shape == (0, 2, 3)
