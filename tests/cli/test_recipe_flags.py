"""The flags of `logpose train`: every plain field is one, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from logpose.cli.recipe_flags import parse_recipe, parse_train
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.losses import L1Loss, RLELoss
from logpose.recipes import find
from logpose.recipes.coco import coco_resnet18_rle, coco_resnet50_rle, coco_resnet50_rle_paper_with_s
from logpose.training.run import save_config
from logpose.training.run_folder import is_unbegun
from logpose.training.search_space import Range, default_values, write_settings


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
        *("there", "--lr=0.01", "--batch-size", "8", "--num_nodes", "2", "--size", "[128, 96]"),
        *("--augmentation.rotation", "10", "--milestones", "[1,2]", "--out", str(tmp_path)),
    )
    assert (recipe.data, recipe.lr, recipe.batch_size, recipe.num_nodes) == (Path("there"), 0.01, 8, 2)
    assert recipe.size == (128, 96)
    assert recipe.milestones == (1, 2)
    assert recipe.augmentation.rotation == 10
    assert recipe.augmentation.scale == coco_resnet50_rle().augmentation.scale
    assert out == tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("there", "--epochs", "3", "--strict"),
        ("--epochs", "3", "--strict", "there"),
        ("--strict", "--size", "64", "48", "--augmentation.scale", "0.1", "there", "--epochs=3"),
        ("--epochs", "3", "--data", "there"),
        ("--epochs", "3", "--milestones", "1", "2", "there"),
        ("--device", "cpu", "--out", "x", "there", "--epochs", "3"),
    ],
)
def test_data_are_a_word_and_were_a_flag(words):
    recipe = parsed(*words)[0]
    assert (recipe.data, recipe.epochs) == (Path("there"), 3)


def test_data_are_one_file_or_folder(capsys):
    with pytest.raises(InputError, match="here and there"):
        parsed("here", "--data", "there")
    for words, named in ((("here", "there"), "there"), (("--epochz", "3", "here"), "--epochz")):
        with pytest.raises(SystemExit) as ended:
            parsed(*words)
        assert ended.value.code == 2
        assert f"logpose: {named}: " in capsys.readouterr().err


def test_help_shows_the_position_of_data(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    out = capsys.readouterr().out
    assert "[DATA]" in out
    assert "--data" not in out
    assert not re.search(r"--\w*_", out)


@pytest.mark.parametrize(
    ("device", "accelerator", "devices"),
    [
        ("auto", "auto", "auto"),
        ("cpu", "cpu", "auto"),
        ("cuda", "cuda", "1"),
        ("cuda:1", "cuda", "1,"),
        ("mps", "mps", "1"),
    ],
)
def test_a_device_has_the_name_that_other_commands_take(device, accelerator, devices):
    recipe = parsed("--device", device)[0]
    assert (recipe.accelerator, recipe.devices) == (accelerator, devices)


@pytest.mark.parametrize("words", [("--device", "gpu0"), ("--device", "cuda", "--devices", "2")])
def test_devices_that_are_none_or_two_are_refused(words):
    with pytest.raises(InputError, match=f"--device {words[1]}"):
        parsed(*words)


@pytest.mark.parametrize(
    "flags", [("--epochz", "3"), ("--epochs", "many"), ("--schedule", "zigzag"), ("--people", "x")]
)
def test_wrong_flags_end_with_code_2_and_name_themselves(flags, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(*flags)
    assert ended.value.code == 2
    assert flags[0].strip("-") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "token"),
    [
        (("--schedule", "cosine", "--milestones", "3"), "--milestones: "),
        (("--decay", "0.9"), "--decay: "),
        (("--momentum=0.8",), "--momentum: "),
        (("--warmup-start", "0.1"), "--warmup-start: "),
        (("--steps", "3", "--epochs", "5"), "--epochs: "),
        (("--loss", "l1", "--base", "gaussian"), "--base: "),
        (("--loss", "dle", "--base", "gaussian"), "--base: "),
        (("--head", "heatmap", "--loss", "l1"), "--loss: "),
        (("--head=heatmap", "--pretrain", "heatmap"), "--pretrain: "),
        (("--head", "integral", "--auxiliary", "1"), "--auxiliary: "),
        (("--loss", "basic", "--convention", "mmpose"), "--convention mmpose"),
        (("--steps", "300"), "--steps 300: .* 170 200 .*--milestones"),
    ],
)
def test_flags_that_have_no_effect_are_refused(flags, token):
    with pytest.raises(InputError, match=token):
        parsed(*flags)


def test_flags_of_the_schedule_are_taken_where_they_matter():
    recipe, _, _ = parsed("--schedule", "exponential", "--decay", "0.9", "--optimizer", "sgd", "--momentum", "0.8")
    assert (recipe.decay, recipe.momentum) == (0.9, 0.8)
    assert parsed("--schedule", "one_cycle", "--warmup-start", "0.1")[0].warmup_start == 0.1
    assert parsed("--warmup-steps", "9", "--warmup-start", "0.1")[0].warmup_start == 0.1


def test_milestones_are_in_the_unit_of_the_budget():
    assert parsed("--steps", "300", "--milestones", "200")[0].milestones == (200,)
    assert parsed("--steps", "300", "--schedule", "cosine")[0].steps == 300


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


def test_the_search_for_a_rate_is_refused_where_it_has_no_effect(tiny_run):
    assert parsed("--find-lr")[0].find_lr
    with pytest.raises(InputError, match="--find-lr"):
        parsed("--resume", str(tiny_run), "--find-lr")
    assert not parsed("--resume", str(tiny_run), "--no-find-lr")[0].find_lr
    with pytest.raises(InputError, match=r"--lr: .*--find-lr"):
        parsed("--find-lr", "--lr", "0.1")


@pytest.mark.parametrize("flag", ["--freeze=1", "--freeze-norm"])
def test_random_weights_are_not_frozen(flag):
    assert parsed(flag)
    with pytest.raises(InputError, match=f"{flag.partition('=')[0]}: .*random"):
        parsed(flag, "--weights", "random")


def test_resume_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"last.ckpt"):
        parsed("--resume", str(tmp_path))


def test_a_run_without_a_finished_epoch_is_not_resumed(tmp_path):
    (tmp_path / "config.yaml").write_text(NAMED)
    assert is_unbegun(tmp_path)
    with pytest.raises(InputError, match="nothing"):
        parsed("--resume", str(tmp_path))
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "last.ckpt").touch()
    assert not is_unbegun(tmp_path)


def test_a_checkpoint_can_be_named_but_not_the_best(tiny_run):
    last = tiny_run / "last.ckpt"
    assert parsed("--resume", str(last))[1:] == (tiny_run, last)
    with pytest.raises(InputError, match=r"best\.ckpt.*last\.ckpt"):
        parsed("--resume", str(tiny_run / "best.ckpt"))
    with pytest.raises(InputError, match=r"other\.ckpt"):
        parsed("--resume", str(tiny_run / "other.ckpt"))


def test_a_job_that_slurm_puts_in_the_queue_again_resumes_its_run(tiny_run, tmp_path, monkeypatch):
    assert parsed("--out", str(tiny_run))[2] is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    for words in (("--out", str(tiny_run)), (f"--out={tiny_run}",)):
        recipe, out, resume = parsed(*words, "--epochs", "9")
        assert (out, resume, recipe.epochs) == (tiny_run, tiny_run / "last.ckpt", 9)
    assert parsed("--out", str(tmp_path))[1:] == (tmp_path, None)


@pytest.mark.parametrize(
    ("text", "token"), [("gradient_clip: null", "--gradient-clip"), ("augmentation:\n  scale: null", "--augmentation")]
)
def test_a_field_that_has_to_have_a_value_is_not_null(tmp_path, text, token):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=token):
        parsed("--config", str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("val_data: null")
    assert parsed("--config", str(tmp_path / "mine.yaml"))[0].val_data is None


def test_the_interval_of_saving_is_parsed():
    assert parsed("--save-every", "200steps")[0].save_every == "200steps"
    with pytest.raises(InputError, match=r"--save-every.*'often'"):
        parsed("--save-every", "often")


def test_weights_of_the_backbone_alone_have_a_flag_of_their_own(tmp_path):
    for spelling in (["--backbone-from", "a.pth"], ["--backbone_from=a.pth"]):
        recipe = parsed(*spelling)[0]
        assert (recipe.weights, recipe.weights_of) == ("a.pth", "backbone")
    assert parsed("--backbone-from", "imagenet")[0].weights == "imagenet"
    assert parsed("--weights", "a.pth")[0].weights_of == "all"


NAMED = "recipe: coco_resnet50_rle\n"


def named(run, tmp_path, text=NAMED):
    """A copy of a run whose config.yaml has the name of its recipe."""
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


def test_a_run_is_resumed_by_its_own_recipe(tiny_run, tmp_path):
    folder = named(tiny_run, tmp_path)
    recipe, out, _ = parsed("--resume", str(folder), "--epochs", "9")
    assert (recipe.epochs, out) == (9, folder)
    with pytest.raises(InputError, match=r"run: .* coco_resnet50_rle, not of coco_resnet18_rle$"):
        parse_recipe("coco_resnet18_rle", coco_resnet18_rle(), ["--resume", str(folder)])


def test_a_recipe_of_ones_own_is_the_same_by_another_path(tiny_run, tmp_path):
    folder = named(tiny_run, tmp_path, "recipe: /there/my_recipes.py:mine\n")
    assert parse_recipe("my_recipes.py:mine", coco_resnet50_rle(), ["--resume", str(folder)])[1] == folder
    with pytest.raises(InputError, match=r"/there/my_recipes.py:mine, not of my_recipes.py:other"):
        parse_recipe("my_recipes.py:other", coco_resnet50_rle(), ["--resume", str(folder)])


def test_settings_of_another_recipe_are_taken_with_a_warning(tiny_run, tmp_path, caplog):
    config = named(tiny_run, tmp_path) / "config.yaml"
    recipe, _, _ = parse_recipe("coco_resnet18_rle", coco_resnet18_rle(), ["--config", str(config)])
    assert (recipe.size, recipe.name) == ((64, 48), "coco_resnet18_rle")
    assert "coco_resnet50_rle, used for coco_resnet18_rle" in caplog.text
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


# Losses and heads


def test_losses_and_heads_are_chosen_by_flags():
    recipe, _, _ = parsed("--loss", "l1", "--head", "integral", "--backbone", "hrnet_w32", "--size", "384x288")
    assert (recipe.loss, recipe.head, recipe.backbone, recipe.size) == ("l1", "integral", "hrnet_w32", (384, 288))
    assert isinstance(recipe.make_loss(COCO), L1Loss)
    config = (
        parsed("--base", "gaussian", "--convention", "paper", "--flow-hidden", "32", "32")[0].make_loss(COCO).config()
    )
    assert (config["base"], config["convention"], list(config["flow"]["hidden"])) == ("gaussian", "paper", [32, 32])


def test_they_are_saved_and_restored(tmp_path):
    """With `config.yaml`, as `--resume` reads it; a flag has precedence."""
    recipe, _, _ = parsed("--loss", "laplace")
    save_config(recipe, tmp_path)
    saved = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (saved["loss"], saved["head"], saved["pretrain"]) == ("laplace", "regression", "none")
    (tmp_path / "last.ckpt").touch()
    assert parsed("--resume", str(tmp_path))[0].loss == "laplace"
    assert parsed("--resume", str(tmp_path), "--loss", "rle")[0].loss == "rle"


def test_help_shows_them_with_their_defaults(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    for flag, default in (("loss", "rle"), ("base", "laplace"), ("convention", "normalized"), ("head", "regression")):
        assert re.search(rf"--{flag} \{{.*?default: {default}\)", shown), flag


def test_a_recipes_own_loss_stays_unless_another_is_named():
    make = coco_resnet50_rle_paper_with_s
    own, _, _ = parse_recipe("mine", make(), ["--epochs", "3"])
    assert own.make_loss(COCO).config()["with_s"] is True
    with pytest.raises(InputError, match="--convention: "):
        parse_recipe("mine", make(), ["--convention", "mmpose"])
    named, _, _ = parse_recipe("mine", make(), ["--loss", "rle", "--convention", "mmpose"])
    assert isinstance(named.make_loss(COCO), RLELoss)
    assert named.make_loss(COCO).config()["convention"] == "mmpose"


@pytest.mark.parametrize("name", ["coco_resnet50_l1", "coco_resnet50_rle"])
def test_runs_of_version_0_1_are_resumed(tiny_run, tmp_path, name):
    """Their config.yaml has the old name, and none of the fields that say the same today."""
    folder = named(tiny_run, tmp_path, "recipe: coco_resnet50_l1\n")
    config = folder / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    for new in ("loss", "base", "convention", "flow_hidden", "head", "normalisation", "auxiliary", "pretrain"):
        settings.pop(new)
    config.write_text(yaml.safe_dump(settings))
    recipe, _, _ = parse_recipe("coco_resnet50_rle", find(name)(), ["--resume", str(folder), "--epochs", "9"])
    assert (recipe.loss, recipe.epochs, recipe.name) == ("l1", 9, "coco_resnet50_rle")


HELP = """
import contextlib, io, sys
from logpose.cli.main import main
from logpose.recipes import available
for name in available():
    for flag in ("--help", "--print_config"):
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
            main(["train", name, flag])
        slow = {"torch", "scipy", "lightning", "matplotlib", "torchvision"} & set(sys.modules)
        assert "momentum" in printed.getvalue() and not slow, (name, flag, slow)
"""


def test_help_of_every_preset_imports_no_torch():
    """It takes 1.5 s of processor time at most (`benchmarks/help_speed.py`), and torch alone takes longer."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def searched(*flags):
    return parse_train("coco_resnet50_rle", coco_resnet50_rle(), flags).search


def test_a_search_is_asked_for_by_its_number_of_trials():
    assert searched() is None
    assert searched("--search", "20") == (20, None)


@pytest.mark.parametrize(
    ("words", "space"),
    [
        (("lr",), {"lr": default_values(coco_resnet50_rle(), "lr")}),
        (("lr=1e-4..1e-2",), {"lr": Range(1e-4, 1e-2)}),
        (("lr=.001...01",), {"lr": Range(1e-3, 1e-2)}),
        (("weight-decay=0...1",), {"weight_decay": Range(0, 0.1)}),
        (("weight-decay=0,1e-4",), {"weight_decay": (0.0, 1e-4)}),
        (("size=128x96,192x144", "batch_size=8..32"), {"size": ((128, 96), (192, 144)), "batch_size": Range(8, 32)}),
        (("size=[128,96],[192,144]",), {"size": ((128, 96), (192, 144))}),
        (("loss=rle,l1",), {"loss": ("rle", "l1")}),
        (("flip_test=true,false",), {"flip_test": (True, False)}),
        (("augmentation.rotation=0..45",), {"augmentation.rotation": Range(0.0, 45.0)}),
        (("backbone=resnet18,timm/x.y",), {"backbone": ("resnet18", "timm/x.y")}),
        (("weights=../a.pth,random",), {"weights": ("../a.pth", "random")}),
    ],
)
def test_what_is_searched_is_read_with_the_types_of_the_fields(words, space):
    found = searched("--search", "3", "--search-space", *words).space
    assert found == space
    assert [type(each) for each in found.values()] == [type(each) for each in space.values()]


@pytest.mark.parametrize(
    ("flags", "token"),
    [
        (("--search-space", "lr"), "--search-space"),
        (("--search", "3", "--search-space", "lr", "lr=1,2"), "lr=1,2"),
        (("--search", "3", "--search-space", "nothing=1,2"), "nothing"),
        (("--search", "3", "--search-space", "epochs"), "epochs"),
        (("--search", "3", "--search-space", "out=a,b"), "out"),
    ],
)
def test_what_cannot_be_searched_is_refused(flags, token):
    with pytest.raises(InputError, match=token):
        searched(*flags)


def test_a_wrong_value_of_what_is_searched_ends_with_code_2_and_names_the_field(capsys):
    with pytest.raises(SystemExit) as ended:
        searched("--search", "3", "--search-space", "lr=1e-4,many")
    assert ended.value.code == 2
    assert "--lr" in capsys.readouterr().err


def test_a_search_is_resumed_with_its_own_recipe(tmp_path, tiny_run, monkeypatch):
    made = replace(coco_resnet50_rle(), name="coco_resnet50_rle", epochs=7)
    write_settings(made, tmp_path, {"lr": (1e-3, 1e-2)}, 5)
    parsed_search = parse_train("coco_resnet50_rle", coco_resnet50_rle(), ["--resume", str(tmp_path)])
    assert parsed_search == (made, tmp_path, tmp_path, (None, None))
    assert searched("--resume", str(tmp_path), "--search", "9") == (9, None)
    with pytest.raises(InputError, match="coco_resnet50_rle"):
        parse_train("coco_resnet18_rle", coco_resnet18_rle(), ["--resume", str(tmp_path)])
    with pytest.raises(InputError, match=f"--search: {tiny_run}"):
        searched("--resume", str(tiny_run), "--epochs", "9", "--search", "9")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    requeued = parse_train("coco_resnet50_rle", coco_resnet50_rle(), ["--search", "5", "--out", str(tmp_path)])
    assert (requeued.resume, requeued.search) == (tmp_path, (5, None))


@pytest.mark.parametrize("name", ["lifting_fc_rle", "mask_rcnn_resnet18_rle", "oct_synthetic_rle"])
def test_a_run_of_another_task_is_refused_by_its_recipe_not_its_fields(refused, tiny_run, tmp_path, name):
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    content = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({"recipe": "coco_resnet18_rle"} | content))
    message = refused("train", name, "--resume", folder)
    assert "coco_resnet18_rle" in message
    assert name in message
