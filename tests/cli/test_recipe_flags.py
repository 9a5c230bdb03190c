"""The flags of `logpose train`: every plain field is one, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from logpose.cli.recipe_flags import parse_recipe
from logpose.core.errors import InputError
from logpose.recipes.coco import coco_resnet50_l1, coco_resnet50_rle
from logpose.training.fit import save_config
from logpose.training.resume import is_unbegun


def parsed(*flags):
    return parse_recipe("coco_resnet50_rle", coco_resnet50_rle(), flags)


def test_without_flags_the_recipe_stays_as_it_is():
    recipe, out, resume = parsed()
    assert recipe == coco_resnet50_rle()
    assert out.parent == Path("runs")
    assert out.name.startswith("coco_resnet50_rle-")
    assert resume is None


def test_flags_change_fields_with_dashes_or_underscores(tmp_path):
    recipe, out, _ = parsed(
        *("--data", "there", "--lr=0.01", "--batch-size", "8", "--num_nodes", "2", "--size", "[128, 96]"),
        *("--augmentation.rotation", "10", "--milestones", "[1,2]", "--out", str(tmp_path)),
    )
    assert (recipe.data, recipe.lr, recipe.batch_size, recipe.num_nodes) == (Path("there"), 0.01, 8, 2)
    assert recipe.size == (128, 96)
    assert recipe.milestones == (1, 2)
    assert recipe.augmentation.rotation == 10
    assert recipe.augmentation.scale == coco_resnet50_rle().augmentation.scale
    assert out == tmp_path


@pytest.mark.parametrize(
    "flags", [("--epochz", "3"), ("--epochs", "many"), ("--schedule", "zigzag"), ("--people", "x")]
)
def test_wrong_flags_end_with_code_2_and_name_themselves(flags, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(*flags)
    assert ended.value.code == 2
    assert flags[0].strip("-") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--schedule", "cosine", "--milestones", "3"), "--milestones: about --schedule step, and this is cosine"),
        (("--decay", "0.9"), "--decay: about --schedule exponential, and this is step"),
        (("--momentum=0.8",), "--momentum: about --optimizer sgd, and this is adam"),
        (("--warmup-start", "0.1"), "--warmup_start: about the first steps"),
        (("--steps", "3", "--epochs", "5"), "--epochs: how long to train is told by --steps"),
    ],
)
def test_flags_of_the_schedule_that_change_nothing_are_refused(flags, told):
    with pytest.raises(InputError, match=told):
        parsed(*flags)


def test_flags_of_the_schedule_are_taken_where_they_matter():
    recipe, _, _ = parsed("--schedule", "exponential", "--decay", "0.9", "--optimizer", "sgd", "--momentum", "0.8")
    assert (recipe.decay, recipe.momentum) == (0.9, 0.8)
    assert parsed("--schedule", "one_cycle", "--warmup-start", "0.1")[0].warmup_start == 0.1
    assert parsed("--warmup-steps", "9", "--warmup-start", "0.1")[0].warmup_start == 0.1


def test_print_config_can_be_read_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--epochs", "7", "--augmentation.scale", "0.1", "--print_config")
    assert ended.value.code == 0
    file = tmp_path / "mine.yaml"
    file.write_text(capsys.readouterr().out)
    recipe, _, _ = parsed("--config", str(file), "--lr", "0.5")
    assert (recipe.epochs, recipe.augmentation.scale, recipe.lr) == (7, 0.1, 0.5)


def test_resume_takes_the_run_s_own_settings(tiny_run):
    recipe, out, resume = parsed("--resume", str(tiny_run), "--epochs", "9")
    assert (out, resume) == (tiny_run, tiny_run / "last.ckpt")
    assert (recipe.size, recipe.batch_size, recipe.epochs) == ((64, 48), 8, 9)


def test_resume_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no run to go on with"):
        parsed("--resume", str(tmp_path))


def test_a_run_without_a_finished_epoch_is_not_gone_on_with(tmp_path):
    (tmp_path / "config.yaml").write_text(NAMED)
    assert is_unbegun(tmp_path)
    with pytest.raises(InputError, match=r"no epoch of this run was finished; begin it anew in another folder"):
        parsed("--resume", str(tmp_path))
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "last.ckpt").touch()
    assert not is_unbegun(tmp_path)


def test_the_backbone_s_weights_have_a_second_name(tmp_path):
    for spelling in (["--backbone-from", "a.pth"], ["--backbone_from=a.pth"], ["--weights", "a.pth"]):
        assert parsed(*spelling)[0].weights == "a.pth"


NAMED = "recipe: coco_resnet50_rle\n"


def named(run, tmp_path, text=NAMED):
    """A copy of a run whose config.yaml tells the name of its recipe."""
    folder = shutil.copytree(run, tmp_path / "run")
    config = folder / "config.yaml"
    assert "recipe:" not in config.read_text(), "it was not made by a name"
    config.write_text(text + config.read_text())
    return folder


def test_a_recipe_keeps_its_name(tmp_path):
    recipe, _, _ = parsed("--epochs", "4")
    assert recipe.name == "coco_resnet50_rle"
    save_config(replace(recipe, lr=0.5), tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["recipe"] == "coco_resnet50_rle"
    again, _, _ = parsed("--config", str(tmp_path / "config.yaml"))
    assert (again.lr, again.epochs, again.name) == (0.5, 4, "coco_resnet50_rle")


def test_a_run_is_gone_on_with_as_what_it_is(tiny_run, tmp_path):
    folder = named(tiny_run, tmp_path)
    recipe, out, _ = parsed("--resume", str(folder), "--epochs", "9")
    assert (recipe.epochs, out) == (9, folder)
    with pytest.raises(InputError, match=r"run: is a run of the recipe coco_resnet50_rle, not of coco_resnet50_l1$"):
        parse_recipe("coco_resnet50_l1", coco_resnet50_l1(), ["--resume", str(folder)])


def test_a_recipe_of_ones_own_is_the_same_by_another_path(tiny_run, tmp_path):
    folder = named(tiny_run, tmp_path, "recipe: /there/my_recipes.py:mine\n")
    assert parse_recipe("my_recipes.py:mine", coco_resnet50_rle(), ["--resume", str(folder)])[1] == folder
    with pytest.raises(
        InputError, match=r"is a run of the recipe /there/my_recipes.py:mine, not of my_recipes.py:other"
    ):
        parse_recipe("my_recipes.py:other", coco_resnet50_rle(), ["--resume", str(folder)])


def test_settings_of_another_recipe_are_taken_and_told(tiny_run, tmp_path, caplog):
    config = named(tiny_run, tmp_path) / "config.yaml"
    recipe, _, _ = parse_recipe("coco_resnet50_l1", coco_resnet50_l1(), ["--config", str(config)])
    assert (recipe.size, recipe.name) == ((64, 48), "coco_resnet50_l1")
    assert "settings of the recipe coco_resnet50_rle are taken for coco_resnet50_l1" in caplog.text
    caplog.clear()
    parsed("--config", str(config))
    assert not caplog.text


def test_a_name_is_no_flag_of_ones_own(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    assert "--recipe " not in capsys.readouterr().out


def test_a_switch_may_stand_alone():
    assert parsed("--strict")[0].strict
    assert parsed("--strict", "--epochs", "3")[0].strict
    assert not parsed("--strict", "false")[0].strict


@pytest.mark.parametrize(
    "words",
    [("--size", "64", "48"), ("--size", "64x48"), ("--size", "[64, 48]"), ("--size=[64,48]",), ("--size=64x48",)],
)
def test_lists_may_be_words(words):
    assert parsed(*words, "--epochs", "3")[0].size == (64, 48)
    assert parsed("--milestones", "3", "5", "8", *words)[0].milestones == (3, 5, 8)
    assert parsed("--loggers", "csv", "tensorboard", *words)[0].loggers == ("csv", "tensorboard")
    assert parsed("--loggers", "csv")[0].loggers == ("csv",)
