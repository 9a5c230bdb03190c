"""What commands share: devices, flags that do not fit, figures, files that are whole or not there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from jsonargparse import Namespace

from logpose.cli.output import (
    check_output,
    device_named,
    json_rows,
    print_figures,
    refuse_flags,
    write_arrays,
    write_json,
)
from logpose.core.errors import InputError


def test_devices() -> None:
    assert device_named("cpu") == "cpu"
    assert device_named("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="device warp"):
        device_named("warp")


def test_flags_that_do_not_fit_are_named() -> None:
    given = Namespace(box_score=0.5, nms=True, boxes=None)
    refuse_flags(given, {"boxes": None}, "about pictures")
    with pytest.raises(InputError, match="--box-score and --nms: about pictures"):
        refuse_flags(given, {"boxes": None, "box_score": 0.0, "nms": False}, "about pictures")


def test_figures(capsys) -> None:
    figures = {"people": 3, "mpjpe": 43.6, "nll": float("nan")}
    print_figures(figures)
    assert capsys.readouterr().out.split() == ["people", "3", "mpjpe", "43.6000", "nll", "nan"]
    print_figures({"a": 1.0, "a_name_that_is_longer_than_the_others": 20})
    first, second = capsys.readouterr().out.splitlines()
    assert first.index("1.0000") == second.index("20"), "values stand below each other"
    print_figures({})
    print_figures(figures, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"people": 3, "mpjpe": 43.6, "nll": None}


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


def test_folders_are_no_files(tmp_path) -> None:
    check_output(None)
    check_output(tmp_path / "new.json")
    with pytest.raises(InputError, match="is a folder, not a file for results"):
        check_output(tmp_path)
