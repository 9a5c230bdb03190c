"""`logpose train`: what is refused, losses and heads by flags, names of version 0.1, where a run may be written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from logpose.data.coco import CocoKeypoints
from logpose.recipes import synthetic
from logpose.training.checkpoint import load, notes, read


def spoil(folder, tmp_path, change):
    """A copy of a COCO folder whose training file went through `change`."""
    data = shutil.copytree(folder, tmp_path / "spoiled")
    file = data / "annotations" / "person_keypoints_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("keypoints"), "no keypoints"),
        (lambda row: row["keypoints"].pop(), "51 numbers"),
        (lambda row: row["keypoints"].__setitem__(slice(0, 3), [float("nan"), 1, 2]), "keypoints must be finite"),
        (lambda row: row.__setitem__("bbox", [3, 3, 0, 4]), "bbox has no area"),
        (lambda row: row.__setitem__("bbox", [9000, 9000, 4, 4]), "box outside the image"),
        (lambda row: row.__setitem__("image_id", 9999), "image_id 9999"),
    ],
)
def test_a_bad_row_is_refused_in_strict_training_by_file_and_row(refused, coco_folder, tmp_path, change, message):
    data = spoil(coco_folder, tmp_path, lambda content: change(content["annotations"][4]))
    sentence = refused("train", "coco_resnet18_rle", data, "--strict", "true", "--out", tmp_path / "run")
    assert message in sentence
    assert "person_keypoints_train.json: annotation 4" in sentence
    assert not (tmp_path / "run").exists()


def test_missing_and_truncated_images_are_named(refused, coco_folder, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    first, second = sorted((data / "train").iterdir())[:2]
    second.write_bytes(second.read_bytes()[:-200])
    words = ("train", "coco_resnet18_rle", data, "--strict", "true", "--out", tmp_path / "run")
    assert second.name in (sentence := refused(*words))
    assert "truncated" in sentence
    second.unlink()
    assert "no such file" in refused(*words)
    assert first.exists()


def test_unknown_recipes_get_the_nearest_name(refused):
    assert "did you mean coco_resnet50_rle" in refused("train", "coco_resnet50_rel", "x")


@pytest.mark.parametrize(
    "flags",
    [
        ("--epochs", 0),
        ("--batch_size", 0),
        ("--size", "[0,64]"),
        ("--precision", "half"),
        ("--lr", 0),
        ("--accelerator", "gpu"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="one of the settings is wrong only without a GPU")
def test_settings_that_cannot_be_are_refused_before_anything_is_written(refused, coco_folder, tmp_path, flags):
    words = (coco_folder, "--weights", "random", "--workers", 0, "--out", tmp_path / "run")
    refused("train", "coco_resnet18_rle", *words, *flags)
    assert not (tmp_path / "run").exists()


def test_resuming_with_another_recipe_is_refused_and_changes_nothing(refused, tiny_run, tmp_path):
    run_folder = shutil.copytree(tiny_run, tmp_path / "run")
    before = (run_folder / "config.yaml").read_bytes()
    message = refused("train", "coco_resnet50_rle", "--loss", "l1", "--resume", run_folder, "--epochs", 3)
    assert "is of another model" in message or "is of another loss" in message
    (run_folder / "last.ckpt").write_bytes((run_folder / "last.ckpt").read_bytes()[:1000])
    assert "damaged" in refused("train", "coco_resnet18_rle", "--resume", run_folder)
    assert (run_folder / "config.yaml").read_bytes() == before


SMALLER = """
from dataclasses import replace
from logpose.recipes.coco import coco_resnet18_rle
from tiny_runs import network

def mine():
    return replace(coco_resnet18_rle(), model=network)
"""


def test_two_processes_train_one_run(coco_folder, tmp_path):
    """Lightning starts the second process with the same words; between them they measure everybody once."""
    small = "--size 64x48 --epochs 1 --batch-size 4 --workers 0 --precision 32-true --accelerator cpu --devices 2"
    small += " --loggers csv"
    paths = os.pathsep.join(str(Path(__file__).parents[2] / each) for each in ("src", "tests/support"))
    (tmp_path / "mine.py").write_text(SMALLER)
    words = ("train", "mine.py:mine", coco_folder, *small.split())
    done = subprocess.run(
        [sys.executable, "-m", "logpose.cli.main", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder,) = (tmp_path / "runs").iterdir()  # one folder, though it is named after the time
    assert {"best.ckpt", "last.ckpt", "config.yaml"} <= {path.name for path in folder.iterdir()}
    people = len(CocoKeypoints(coco_folder / "annotations" / "person_keypoints_val.json"))
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("people")] == [["people", str(people)]]


def test_training_that_diverges_is_reported(command, coco_folder, tmp_path):
    small = "--size 64x48 --epochs 2 --batch-size 8 --workers 0 --precision 32-true --optimizer adam --lr 1e20"
    words = ("train", "coco_resnet18_rle", coco_folder, "--out", tmp_path / "run", *small.split())
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert "no longer finite in epoch 1: start with a lower --lr" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "best.ckpt").exists()


SMALL = ("--batch-size", "8", "--precision", "32-true", "--accelerator", "cpu", "--loggers", "csv")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, thin_resnets: None) -> None:
    monkeypatch.setattr(synthetic, "TRAIN", 16)
    monkeypatch.setattr(synthetic, "VAL", 6)


def test_without_a_recipe_it_shows_its_usage(command) -> None:
    code, out, err = command("train")
    assert (code, out) == (2, "")
    assert "RECIPE" in err
    code, out, err = command("train", "--help")
    assert (code, err) == (0, "")
    assert "RECIPE" in out


@pytest.mark.usefixtures("few")
def test_flags_choose_loss_and_head_and_are_saved(command, tmp_path: Path) -> None:
    words = ("--loss", "l1", "--head", "integral", "--size", "64x64", "--epochs", "1", "--out", tmp_path / "run")
    assert command("train", "synthetic_resnet18_rle", *words, *SMALL)[0] == 0
    model, density = load(tmp_path / "run" / "best.ckpt")
    assert (type(model).__name__, type(density).__name__) == ("IntegralModel", "L1Loss")
    recipe = notes(tmp_path / "run" / "best.ckpt")["recipe"]
    assert (recipe["loss"], recipe["head"], recipe["convention"]) == ("l1", "integral", "normalized")


@pytest.mark.usefixtures("few")
def test_an_old_name_trains_and_is_resumed_by_either_name(command, tmp_path: Path, caplog) -> None:
    run = tmp_path / "run"
    assert command("train", "synthetic_resnet18_l1", "--epochs", "1", "--out", run, *SMALL)[0] == 0
    assert "logpose train synthetic_resnet18_rle --loss l1" in caplog.text
    assert type(load(run / "best.ckpt")[1]).__name__ == "L1Loss"
    assert command("train", "synthetic_resnet18_rle", "--resume", run, "--epochs", "2")[0] == 0
    assert command("train", "synthetic_resnet18_l1", "--resume", run, "--epochs", "3")[0] == 0
    assert notes(run / "last.ckpt")["recipe"]["loss"] == "l1"


def test_a_folder_that_is_not_empty_is_refused(command, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    code, out, err = command("train", "synthetic_resnet18_rle", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert str(tmp_path) in err


def test_a_damaged_checkpoint_is_refused_wherever_it_is_read(refused, tiny_run, coco_folder, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for name in ("best.ckpt", "last.ckpt"):
        content = bytearray((run / name).read_bytes())
        content[len(content) // 2] ^= 0x40
        (run / name).write_bytes(content)
    image = next((coco_folder / "val").iterdir())
    assert "best.ckpt" in refused("predict", run / "best.ckpt", image)
    assert "best.ckpt" in refused("eval", run / "best.ckpt", coco_folder)
    shutil.copy(tiny_run / "last.ckpt", run / "last.previous.ckpt")
    sentence = refused("train", "coco_resnet18_rle", "--resume", run, "--epochs", 3)
    assert f"--resume {run / 'last.previous.ckpt'}" in sentence


@pytest.mark.slow
def test_signals_to_all_processes_of_a_job(coco_folder, tmp_path: Path) -> None:
    """Slurm announces that it will end the job: it is saved and put in the queue; started again, it is resumed.

    SIGTERM, which the workers get too, then ends it in a sentence.
    """
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "called"}\n')
    scontrol.chmod(0o755)
    variables = {"SLURM_JOB_ID": "123", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "1"}
    variables |= dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0")
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    small = "--size 64x48 --epochs 200 --batch-size 8 --workers 2 --precision 32-true --accelerator cpu --devices 1"
    words = ("train", "coco_resnet18_rle", coco_folder, *small.split(), "--weights", "random")
    run = tmp_path / "run"

    def stopped(number: int, restarts: int) -> tuple[int, str]:
        """Exit code and stderr of the run, to which a signal is sent once it has saved a checkpoint."""
        before = (run / "last.ckpt").stat().st_mtime_ns if restarts else 0
        with (tmp_path / "err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "logpose", *map(str, words), "--out", str(run)],
                stderr=err,
                start_new_session=True,
                env={**os.environ, **variables, **paths, "SLURM_RESTART_COUNT": str(restarts), "OMP_NUM_THREADS": "1"},
            )
            deadline = time.monotonic() + 200
            while not (run / "last.ckpt").exists() or (run / "last.ckpt").stat().st_mtime_ns <= before:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            os.killpg(process.pid, number)
            code = process.wait(120)
        return code, (tmp_path / "err").read_text()

    code, err = stopped(signal.SIGUSR1, 0)
    assert code == 128 + signal.SIGUSR1, err
    assert (tmp_path / "called").read_text().split() == ["requeue", "123"]
    saved = read(run / "last.ckpt")["global_step"]
    code, err = stopped(signal.SIGTERM, 1)
    assert code == 128 + signal.SIGTERM, err
    lines = [line for line in err.splitlines() if line.startswith("logpose: interrupted")]
    assert len(lines) == 1
    assert f"--resume {run}" in lines[0]
    assert "Traceback" not in err
    assert read(run / "last.ckpt")["global_step"] > saved
    assert (tmp_path / "called").read_text().count("requeue") == 1


@pytest.mark.slow
def test_two_processes_that_are_killed_resume_with_the_random_numbers_of_each(coco_folder, tmp_path: Path) -> None:
    small = "--size 64x48 --epochs 3 --batch-size 4 --workers 1 --precision 32-true --accelerator cpu --devices 2"
    more = ("--weights", "random", "--save-every", "1steps", "--loggers", "csv")
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}

    def started(*words: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "logpose", "train", "coco_resnet18_rle", *map(str, words)]
        return subprocess.Popen(command, env=variables, start_new_session=True)

    words = (coco_folder, *small.split(), *more, "--out")
    assert started(*words, tmp_path / "whole").wait(400) == 0
    run = tmp_path / "run"
    killed = started(*words, run)
    while not (run / "last.previous.ckpt").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert started("--resume", run).wait(400) == 0
    whole, resumed = (read(folder / "last.ckpt") for folder in (tmp_path / "whole", run))
    assert len(whole["resume"]["processes"]) == 2
    for one, two in zip(whole["resume"]["processes"], resumed["resume"]["processes"], strict=True):
        assert torch.equal(one["random"]["torch"], two["random"]["torch"])
        assert one["loaders"] == two["loaders"]
    for name, tensor in whole["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], tensor, rtol=0, atol=0, equal_nan=True)
    moments = [content["optimizer_states"][0]["state"] for content in (whole, resumed)]
    torch.testing.assert_close(moments[1], moments[0], rtol=0, atol=0)
    assert (resumed["loops"], resumed["lr_schedulers"]) == (whole["loops"], whole["lr_schedulers"])


def test_a_search_without_optuna_names_the_extra(refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    sentence = refused("train", "synthetic_resnet18_rle", "--search", "2", "--out", tmp_path / "search")
    assert "logpose-keypoints[search]" in sentence
    assert not (tmp_path / "search").exists()


@pytest.mark.usefixtures("few")
def test_a_search_prints_its_trials_is_resumed_and_leaves_a_model(command, refused, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra `search` is not installed")
    folder, name = tmp_path / "search", "synthetic_resnet18_rle"
    space = ("--search-space", "lr=1e-4..1e-2", "weight-decay=0,1e-4")
    words = ("train", name, "--search", "2", *space, "--epochs", "1", "--out", folder, *SMALL)
    code, out, err = command(*words)
    assert code == 0, err
    header, *rows = [line.split() for line in out.splitlines()[:3]]
    assert header == ["trial", "error_px", "state", "lr", "weight_decay"]
    assert sorted(row[0] for row in rows) == ["0", "1"]
    assert float(rows[0][1]) <= float(rows[1][1])
    assert str(folder / "best.ckpt") in err
    assert f"--resume {folder}" in refused(*words)
    code, out, err = command("train", name, "--resume", folder, "--search", "3")
    assert (code, len([line for line in out.splitlines() if " complete " in line])) == (0, 3), err
    assert "--search-space" in refused("train", name, "--resume", folder, "--search-space", "lr=1e-4..1")
    best = next(line.split() for line in out.splitlines() if " complete " in line)
    again = tmp_path / "again"
    assert command("train", name, "--config", folder / "config.yaml", "--out", again)[0] == 0
    assert notes(again / "best.ckpt")["recipe"]["lr"] == float(best[3])
    for figure in ("error_px", "nll"):
        assert notes(again / "best.ckpt")["figures"][figure] == notes(folder / "best.ckpt")["figures"][figure]
