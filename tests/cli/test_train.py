"""`logpose train`: losses and heads by flags, names of version 0.1, and where a run may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpose.recipes import synthetic
from logpose.training.checkpoint import load, notes

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
