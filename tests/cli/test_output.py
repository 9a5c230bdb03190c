"""What commands share: figures as text, and outputs that are checked."""

from __future__ import annotations

import json

import pytest

from logpose.cli.output import check_outputs, print_figures
from logpose.core.errors import InputError
from logpose.tasks.options import BoundaryPredictOptions
from logpose.tasks.task import EvalOptions


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


def test_outputs_are_checked(tmp_path) -> None:
    options = {"checkpoint": tmp_path / "a", "inputs": (tmp_path,)}
    assert check_outputs(BoundaryPredictOptions(**options)) == []
    new = BoundaryPredictOptions(**options, save_json=tmp_path / "new.json", save_images=tmp_path)
    assert check_outputs(new) == [tmp_path / "new.json", tmp_path]
    for wrong in (
        BoundaryPredictOptions(**options, save_npz=tmp_path),
        EvalOptions(checkpoint=tmp_path, data=tmp_path, report=tmp_path),
    ):
        with pytest.raises(InputError, match=str(tmp_path)):
            check_outputs(wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        check_outputs(BoundaryPredictOptions(**options, save_images=tmp_path / "file"))
