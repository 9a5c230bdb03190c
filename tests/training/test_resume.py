"""What a run can be resumed from: the same model and loss, on the same data, not finished; of older versions too."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import HUMANEVA
from logpose.losses import L1Loss, RLELoss, WithHeatmaps
from logpose.models import LiftingModel
from logpose.tasks.lifting.recipe import LiftingRecipe
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import describe
from logpose.training.recipe import plain_recipe
from logpose.training.resume import check_data, check_resumable, data_files, is_finished, validation_identity

RECIPE = LiftingRecipe(epochs=3)


def model(learned_from: tuple[str, ...] = ("a", "b")) -> LiftingModel:
    return LiftingModel("fc", HUMANEVA, settings={"width": 8}, learned_from=learned_from)


def written(folder: Path, described: dict[str, Any], **more: Any) -> Path:
    content = {"state_dict": {}, "optimizer_states": [], "epoch": 0, "logpose": described, **more}
    torch.save(content, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_the_same_goes_on_and_what_is_finished_does_not(tmp_path: Path) -> None:
    wanted = describe(model(), RLELoss(dim=3))
    check_resumable(written(tmp_path, wanted), wanted, RECIPE)
    with pytest.raises(InputError, match=r"last\.ckpt: all 3 epochs .*--epochs"):
        check_resumable(written(tmp_path, wanted, epoch=2), wanted, RECIPE)
    by_steps = LiftingRecipe(steps=50)
    check_resumable(written(tmp_path, wanted, global_step=49, epoch=2), wanted, by_steps)
    with pytest.raises(InputError, match=r"last\.ckpt: all 50 steps .*--steps"):
        check_resumable(written(tmp_path, wanted, global_step=50), wanted, by_steps)
    assert is_finished({"epoch": 2}, RECIPE)
    assert not is_finished({}, RECIPE)


@pytest.mark.parametrize(
    ("other", "token"),
    [
        (
            describe(model(("a", "c")), RLELoss(dim=3)),
            "other data.*--out",
        ),
        (describe(LiftingModel("fc", HUMANEVA, settings={"width": 9}), RLELoss(dim=3)), "another model.*settings"),
        (describe(model(), RLELoss(dim=3, convention="paper")), "another loss.*convention"),
        (describe(model(), L1Loss(3)), "another loss"),
    ],
)
def test_others_are_refused(tmp_path: Path, other: dict[str, Any], token: str) -> None:
    with pytest.raises(InputError, match=token):
        check_resumable(written(tmp_path, other), describe(model(), RLELoss(dim=3)), RECIPE)


def test_what_an_older_version_does_not_say_has_its_default(tmp_path: Path) -> None:
    wanted = describe(model(), WithHeatmaps(RLELoss(dim=3), weight=2.0))
    older = copy.deepcopy(wanted)
    del older["model"]["learned_from"], older["loss"]["cells"]
    check_resumable(written(tmp_path, older), wanted, RECIPE)
    older["recipe"] = {"train_subjects": list(RECIPE.train_subjects), "epochs": 3}
    check_resumable(written(tmp_path, older), wanted, RECIPE)
    older["recipe"]["data"] = str(Path("data_3d_x.npz").absolute())  # as it is written, wherever it was begun
    check_resumable(written(tmp_path, older), wanted, replace(RECIPE, data=Path("data_3d_x.npz")))
    older["recipe"]["train_subjects"] = ["S1", "S2"]  # whom it learned from is not known, but that it was others is
    with pytest.raises(InputError, match=r"last\.ckpt: .*other data"):
        check_resumable(written(tmp_path, older), wanted, RECIPE)


def test_a_loss_that_cannot_be_made_is_another(tmp_path: Path) -> None:
    wanted = describe(model(), L1Loss(3))
    other = copy.deepcopy(wanted)
    other["loss"] = {"kind": "CellLoss", "shared": False, "temperature": 1}
    with pytest.raises(InputError, match=r"last\.ckpt: .*another loss"):
        check_resumable(written(tmp_path, other), wanted, RECIPE)


@pytest.mark.parametrize(
    ("before", "now", "within", "token"),
    [
        ({"optimizer": "adamw"}, {}, False, "--optimizer adamw"),
        ({"batch_size": 5}, {}, True, "--batch-size 5"),
        ({"batch_size": 5}, {}, False, None),
        ({"seed": 7}, {}, True, "--seed 7"),
        ({"accumulate": 4}, {}, True, "--accumulate 4"),
        ({"accumulate": 4}, {}, False, None),
        ({"freeze": 2}, {}, False, "--freeze 2"),
        ({"layer_decay": 0.5}, {}, False, "--layer-decay 0.5"),
        ({"backbone_lr": 0.1}, {}, False, "--backbone-lr 0.1"),
        ({"ema": 0.9}, {}, False, "--ema 0.9"),
        ({"patience": 9, "freeze_norm": True, "find_lr": False}, {}, False, None),
        ({"lr": 7.0, "weight_decay": 1.0, "workers": 9}, {}, True, None),
    ],
)
def test_settings_that_a_resumed_run_cannot_apply_are_refused(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], within: bool, token: str | None
) -> None:
    wanted = describe(model(), RLELoss(dim=3))
    resume: dict[str, Any] = {"within_epoch": within, "processes": [{}], "data": {}}
    path = written(tmp_path, {**wanted, "recipe": plain_recipe(RECIPE) | before}, resume=resume)
    if token is None:
        assert check_resumable(path, wanted, RECIPE) == resume
        return
    with pytest.raises(InputError, match=rf"last\.ckpt: .*{token}"):
        check_resumable(path, wanted, RECIPE)


def test_what_an_older_version_had_no_setting_for_was_off(tmp_path: Path) -> None:
    wanted = describe(model(), RLELoss(dim=3))
    path = written(tmp_path, {**wanted, "recipe": {"epochs": 3}})
    check_resumable(path, wanted, replace(RECIPE, ema=0.9))
    for name, value in {"freeze": 1, "backbone_lr": 0.1, "layer_decay": 0.5}.items():
        with pytest.raises(InputError, match=rf"last\.ckpt: .*--{name.replace('_', '-')}"):
            check_resumable(path, wanted, replace(RECIPE, **{name: value}))


def test_within_an_epoch_the_number_of_processes_stays(tmp_path: Path) -> None:
    wanted = describe(model(), RLELoss(dim=3))
    for within in (True, False):
        path = written(tmp_path, wanted, resume={"within_epoch": within, "processes": [{}, {}], "data": {}})
        check_resumable(path, wanted, RECIPE, processes=2)
        if within:
            with pytest.raises(InputError, match="2 processes, not of 1"):
                check_resumable(path, wanted, RECIPE)
        else:
            check_resumable(path, wanted, RECIPE)


def test_weights_alone_are_not_resumed_from(tmp_path: Path) -> None:
    wanted = describe(model(), RLELoss(dim=3))
    torch.save({"state_dict": {}, "epoch": 0, "logpose": wanted}, tmp_path / "best.ckpt")
    with pytest.raises(InputError, match=r"best\.ckpt.*last\.ckpt"):
        check_resumable(tmp_path / "best.ckpt", wanted, RECIPE)


def test_an_epoch_that_is_not_over_is_not_finished() -> None:
    assert is_finished({"epoch": 2, "resume": {"within_epoch": False}}, RECIPE)
    assert not is_finished({"epoch": 2, "resume": {"within_epoch": True}}, RECIPE)


def test_labels_that_have_changed_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "labels" / "part" / "train.json"
    file.parent.mkdir(parents=True)
    file.write_text("[1]")
    (file.parent / "image.jpg").touch()
    recipe = replace(RECIPE, data=tmp_path / "labels")
    before = {"data": {"files": data_files(recipe), "training": 9, "validation": 4}}
    check_data("last.ckpt", before, {"files": data_files(recipe), "training": 9, "validation": 4}, strict=True)
    file.rename(moved := tmp_path / "labels" / "part" / "x.json")
    moved.rename(file)
    file.write_text("[2]")
    now = {"files": data_files(recipe), "training": 8, "validation": 4}
    check_data("last.ckpt", before, now, strict=False)
    assert " data: part/train.json" in caplog.text
    assert "9 training samples became 8" in caplog.text
    with pytest.raises(InputError, match=r"part/train\.json"):
        check_data("last.ckpt", before, now, strict=True)
    check_data("last.ckpt", {}, now, strict=True)  # of version 0.1


def test_other_files_of_other_names_are_changes_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.json").write_text("[1]")
    recipe = replace(RECIPE, data=tmp_path / "a.json")
    before = {"data": {"files": data_files(recipe), "training": 9, "validation": 4}}
    renamed = replace(RECIPE, data=(tmp_path / "a.json").rename(tmp_path / "b.json"))
    check_data("last.ckpt", before, {"files": data_files(renamed), "training": 9, "validation": 4}, strict=True)
    (tmp_path / "b.json").write_text("[2]")
    check_data("last.ckpt", before, {"files": data_files(renamed), "training": 9, "validation": 4}, strict=False)
    assert "labels have changed" in caplog.text


class Labels:
    """Validation data, of a file if one is given."""

    def __init__(self, file: Path | None = None, count: int = 4, shift: float = 0.0) -> None:
        self.file, self.count, self.shift = file, count, shift

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return SimpleNamespace(keypoints=np.full((3, 2), index + self.shift))


def test_validation_data_are_the_same_wherever_they_are(tmp_path: Path) -> None:
    """Their file decides, and what of it is chosen; not those of training, nor its place or name."""

    def identity(recipe: Any, **settings: Any) -> dict[str, Any]:
        return validation_identity(recipe, Labels(**settings), data_files(recipe))

    folder = tmp_path / "here"
    folder.mkdir()
    for part in ("train", "val"):
        (folder / f"{part}.json").write_text(f"[{part!r}]")
    recipe = Recipe(data=folder)
    before = identity(recipe, file=folder / "val.json")
    there = shutil.copytree(folder, tmp_path / "there")
    val = (there / "val.json").rename(there / "valid.json")
    (there / "train.json").write_text("[3]")
    moved = replace(recipe, data=there)
    assert identity(moved, file=val) == before
    assert identity(replace(recipe, data=there / "train.json", val_data=val), file=val) == before
    assert identity(moved, file=val, count=5) != before
    assert identity(replace(moved, category="cat"), file=val) != before
    val.write_text("[4]")
    assert identity(moved, file=val) != before
    nowhere = replace(recipe, data=None)
    assert identity(nowhere) == identity(nowhere)
    assert identity(nowhere) != identity(nowhere, shift=0.5)
    assert identity(nowhere, count=100) != identity(nowhere, count=0)
