"""`logpose export`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from logpose import Predictor
from logpose.cli.export import ExportOptions
from logpose.data.synthetic import SyntheticPeople, write_coco
from logpose.export import export as module
from logpose.export.targets import TARGETS
from logpose.export.verification import Limits

pytestmark = pytest.mark.usefixtures("thin_resnets")

README = Path(__file__).resolve().parents[2] / "README.md"


def test_a_file_is_written_and_serves_as_a_checkpoint(command, tiny_run, coco_folder, photos, tmp_path):
    code, out, err = command("export", tiny_run, "--out", tmp_path)
    assert code == 0
    assert "model.onnx, compared with the checkpoint on" in out
    assert "coverage@0.9" in out
    assert f"wrote {tmp_path / 'model.onnx'}" in err
    figures = {}
    for checkpoint in (tiny_run, tmp_path / "model.onnx"):
        code, out, err = command("eval", checkpoint, coco_folder, "--no-flip-test", "--json")
        assert code == 0, err
        figures[checkpoint] = json.loads(out)
    one, other = figures.values()
    assert "nll" in one  # the density is not in the file
    assert set(one) - set(other) <= {"nll"}
    assert other == pytest.approx({name: one[name] for name in other}, abs=2e-3, nan_ok=True)
    rows = [
        json.loads(command("predict", checkpoint, photos[0], "--looks", 1, "--json")[1])
        for checkpoint in (tiny_run, tmp_path / "model.onnx")
    ]
    assert rows[1][0]["keypoints"] == pytest.approx(rows[0][0]["keypoints"], abs=1e-2)


def test_what_is_not_the_same_ends_with_3(command, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setitem(module.LIMITS, "single", Limits(moved=-1.0))
    code, out, err = command("export", tiny_run, "--out", tmp_path, "--json")
    assert code == 3
    (row,) = json.loads(out)
    assert row["kept"] is False
    assert row["checkpoint_and_export"]["pck@0.2"][0] == pytest.approx(row["checkpoint_and_export"]["pck@0.2"][1])
    assert "model.onnx is not kept: keypoints move" in err
    assert not [*tmp_path.iterdir()]


def test_every_kind_of_file_can_be_asked_for():
    assert get_args(get_args(get_type_hints(ExportOptions)["to"])[0]) == tuple(TARGETS)


@pytest.mark.parametrize(
    ("words", "token"),
    [
        (("--half", "--int8"), "choose one"),
        (("--data", "x"), "--data is for --int8"),
        (("--unverified", "--verify", "x"), "choose one"),
        (("--to", "coreml"), "openvino, torchscript, executorch or litert, not coreml"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(command, tiny_run, tmp_path, words, token):
    code, out, err = command("export", tiny_run, "--out", tmp_path, *words)
    assert (code, out) == (2, "")
    assert token in err


def test_the_flow_of_the_readme(command, coco_folder, photos, tmp_path, monkeypatch):
    """From labels to a bundle, by the README's own lines; on small data, from random weights of a thin backbone."""
    monkeypatch.chdir(tmp_path)
    held_out = write_coco({"val": SyntheticPeople(26, seed=17, people=(1, 1))}, tmp_path / "held-out")
    lines = [line.split("#")[0].split() for line in README.read_text().splitlines() if line.startswith("    logpose ")]
    lines = lines[next(i for i, line in enumerate(lines) if line[1] == "train") :]
    assert [line[1] for line in lines] == ["train", "eval", "calibrate", "predict", "export"]
    stands_for = {"DATA": coco_folder, "HELD_OUT": held_out, "photo.jpg": photos[0]}
    small = (
        *("--backbone", "resnet18", "--weights", "random", "--size", 64, 64),
        *("--epochs", 1, "--batch-size", 8, "--workers", 0),
    )
    for line in lines:
        code, _, err = command(
            *(stands_for.get(word, word) for word in line[1:]), *(small if line[1] == "train" else ())
        )
        assert code == 0, err
    predict = [sys.executable, "-I", "predict.py", str(photos[0]), "--box", "4", "6", "40", "50"]
    done = subprocess.run(predict, cwd="runs/mine/export/bundle", capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)
    assert {*row["radius"]} == {"0.5", "0.9", "0.95"}
    found = Predictor("runs/mine/best.ckpt", flip_test=False)(photos[0], [[4, 6, 40, 50]])
    assert row["keypoints"] == pytest.approx(found.keypoints[0], abs=0.01)
    assert row["sigma"] == pytest.approx(found.sigma[0], abs=0.01)
