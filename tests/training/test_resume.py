"""What a run can be resumed from: the same model and loss, on the same data, not finished; of older versions too."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import HUMANEVA
from logpose.losses import L1Loss, RLELoss, WithHeatmaps
from logpose.models import LiftingModel
from logpose.tasks.lifting.recipe import LiftingRecipe
from logpose.training.checkpoint import describe
from logpose.training.resume import check_resumable, is_finished
from logpose.training.run_folder import is_unbegun

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


def test_a_folder_without_a_checkpoint_was_begun_only(tmp_path: Path) -> None:
    assert not is_unbegun(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert is_unbegun(tmp_path)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "last.ckpt").touch()
    assert not is_unbegun(tmp_path)
