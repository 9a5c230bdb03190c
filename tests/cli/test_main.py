"""The command line: what a newcomer types, and what bad input gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from logpose import cli
from logpose.cli.main import COMMANDS, main
from logpose.core.skeletons import COCO
from logpose.losses import RLELoss
from logpose.models import RegressionModel, create_backbone
from logpose.training.checkpoint import save


def run(capsys, *words):
    """Exit code, stdout and stderr of `logpose WORDS`."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as ended:
        code = ended.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in COMMANDS:
        assert f"  {command} " in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "usage: logpose" in out


def test_every_command_is_a_module_of_its_name():
    there = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert {name.replace("-", "_") for name in COMMANDS} <= there


@pytest.mark.parametrize("words", [(), ("trian",), ("train",), ("eval",), ("convert",), ("eval", "a", "--bathc", "3")])
def test_without_a_command_or_with_a_typo_it_prints_what_there_is(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err
    assert "Traceback" not in err


def test_help_imports_nothing_slow():
    """Of what `import logpose` itself brings nothing is counted."""
    statement = (
        "import sys, logpose; before = set(sys.modules); from logpose.cli.main import COMMANDS, main; main(['--help']);"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert not {"jsonargparse", "rich", "matplotlib", "lightning"} & set(
        ran.stderr.strip("[]\n").replace("'", "").split(", ")
    )


@pytest.mark.usefixtures("thin_resnets")
def test_from_people_to_predictions(capsys, tmp_path, monkeypatch):
    """synth, inspect, train, eval, predict: each takes what the one before it wrote."""
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "synth", "data", "--train", 12, "--val", 4, "--size", "[96,72]")[0] == 0
    code, out, _ = run(capsys, "inspect", "data")
    assert code == 0
    assert "17 joints" in out
    small = ("--size", "[64,48]", "--epochs", 1, "--batch-size", 8, "--workers", 0, "--out", "runs/one")
    code, out, err = run(capsys, "train", "coco_resnet18_rle", "data", *small)
    assert code == 0
    assert "error_px" in out
    assert "best.ckpt" in err
    code, out, _ = run(capsys, "eval", "runs/one/best.ckpt", "data", "--json", "--save-json", "found.json")
    assert code == 0
    figures = json.loads(out)
    assert {"ap", "ar", "pck@0.1", "error_px", "nll", "coverage@0.9"} <= figures.keys()
    assert len(json.loads((tmp_path / "found.json").read_text())) == figures["people"]
    boxes = [{**row, "bbox": [0, 0, 50, 90]} for row in json.loads((tmp_path / "found.json").read_text())]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    code, out, _ = run(capsys, "eval", "runs/one/best.ckpt", "data", "--boxes", "boxes.json", "--json")
    assert code == 0
    assert "ap" in json.loads(out)
    words = ("--save-json", "out.json", "--save-images", "out", "--looks", 1)
    code, out, err = run(capsys, "predict", "runs/one/best.ckpt", "data/val", *words)
    assert (code, out) == (0, "")
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(rows) == 4
    assert len(rows[0]["sigma"]) == 34
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 4
    code, out, _ = run(capsys, "predict", "runs/one/best.ckpt", next((tmp_path / "data/val").iterdir()), "--looks", 1)
    assert code == 0
    assert "left_wrist" in out
    assert run(capsys, "train", "coco_resnet18_rle", "data", *small)[0] == 2  # nothing is written over
    code, _, _ = run(capsys, "train", "coco_resnet18_rle", "--resume", "runs/one", "--epochs", 2)
    assert code == 0


def test_the_installed_module_runs_and_bad_input_leaves_no_traceback():
    ran = subprocess.run(
        [sys.executable, "-m", "logpose.cli.main", "inspect", "nowhere"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == "logpose: nowhere: no such file or folder\n"
    assert ran.stdout == ""


def test_outputs_that_cannot_be_written_are_named(refused, coco_folder, tiny_run, tmp_path):
    (tmp_path / "file").write_text("")
    photo = next((coco_folder / "val").iterdir())
    assert "is a file" in refused("train", "coco_resnet18_rle", coco_folder, "--out", tmp_path / "file")
    assert "file" in refused("inspect", coco_folder, "--out", tmp_path / "file" / "below")
    assert "is a folder" in refused("predict", tiny_run / "best.ckpt", photo, "--save-json", tmp_path)


def test_flags_that_contradict_or_cannot_be(refused, coco_folder, tiny_run, tmp_path):
    train = ("train", "coco_resnet18_rle", coco_folder, "--out", tmp_path / "run")
    assert "scale must lie in" in refused(*train, "--augmentation.scale", 5)
    assert "rotation must lie in" in refused(*train, "--augmentation.rotation", -3)
    assert "--out" in refused("train", "coco_resnet18_rle", "--resume", tiny_run, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    best = tiny_run / "best.ckpt"
    assert "is a folder" in refused("eval", best, coco_folder, "--save-json", tmp_path)
    photo = next((coco_folder / "val").iterdir())
    assert "--boxes" in refused("predict", best, photo, "--box-score", 0.5)
    assert "--nms" in refused("predict", best, photo, "--nms")
    assert "--images" in refused("predict", best, photo, "--image-folder", tmp_path)


def test_what_a_terminal_cannot_show_ends_no_command(coco_folder: Path, tmp_path: Path) -> None:
    model = RegressionModel(create_backbone("resnet18", (64, 48)), COCO, (64, 48))
    model.set_error_distribution(RLELoss().error_distribution())
    save(model, None, tmp_path / "model")
    image = next((coco_folder / "val").iterdir())
    command = [sys.executable, "-m", "logpose.cli.main", "predict", str(tmp_path / "model"), str(image), "--looks=1"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert rb"\xb1" in done.stdout
