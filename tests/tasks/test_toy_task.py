"""A fifth task, written in one file, goes through the command line without a change in the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

TOY = Path(__file__).with_name("toy_task.py")
TASK = ("--task", f"{TOY}:TASK")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of signals to train on and to evaluate on."""
    from logpose.core.user_files import module_of_file

    folder, toy = tmp_path_factory.mktemp("signals"), module_of_file(TOY)
    return toy.synthetic(folder / "train.npz", 256, 0), toy.synthetic(folder / "val.npz", 40, 1)


def test_it_trains_evaluates_predicts_and_inspects(command, refused, files, tmp_path):
    train, val = files
    run = tmp_path / "run"
    code, out, err = command("train", f"{TOY}:recipe", train, "--width", 16, "--out", run)
    assert code == 0, err
    assert "error_hz" in out

    checkpoint = run / "best.ckpt"
    page = tmp_path / "page.html"
    code, out, err = command("eval", checkpoint, val, *TASK, "--json", "--report", page, "--device", "cpu")
    assert code == 0, err
    figures = json.loads(out)
    assert figures["signals"] == 40
    assert "mean absolute error" in page.read_text()
    code, out, _ = command("eval", "--first", 10, *TASK, checkpoint, val, "--json", "--device", "cpu")
    assert code == 0
    assert json.loads(out)["signals"] == 10

    saved = ("--save-json", tmp_path / "a.json", "--save-npz", tmp_path / "a.npz")
    assert command("predict", checkpoint, val, *TASK, *saved, "--device", "cpu")[0] == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    with np.load(val) as labels, np.load(tmp_path / "a.npz") as found:
        error = abs(found["frequency"] - labels["frequency"]).mean()
    assert len(rows) == 40
    assert error == pytest.approx(figures["error_hz"], rel=1e-4)
    code, out, _ = command("predict", checkpoint, val, *TASK, "--device", "cpu")
    assert out.count("±") == 40

    code, out, err = command("inspect", val, *TASK, "--out", tmp_path / "sheets")
    assert code == 0, err
    assert "40 signals" in out
    assert "32 samples each" in out
    assert (tmp_path / "sheets" / "signals.png").is_file()

    # Without its file the checkpoint is of an unknown kind, and with another task's name of another task.
    assert str(checkpoint) in refused("eval", checkpoint, val)
    assert "--boxes" in refused("eval", checkpoint, val, *TASK, "--boxes", "b.json")


def test_its_options_are_in_the_help(command):
    code, out, _ = command("eval", *TASK, "--help")
    assert code == 0
    assert "--first" in out
    assert "--boxes" not in out
