"""The flags of `logpose train`: every plain field is one, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpose.recipe_flags import as_parsed, parse_recipe
from logpose.recipes.coco import coco_resnet50_rle
from logpose.structures import InputError


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


def test_what_follows_a_list_of_numbers_is_a_word_by_itself():
    taken = as_parsed(["convert", "--size", "256", "192", "model.pth", "--out", "x"], {"size": (0, 0)})
    assert taken == ["convert", "--size=[256,192]", "model.pth", "--out", "x"]
