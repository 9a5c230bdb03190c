"""The recipe of retinal boundaries, on synthetic B-scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from logpose.cli.recipe_flags import parse_recipe
from logpose.core.errors import InputError
from logpose.data.oct import LabelledScans
from logpose.data.scans import RETINA, ScanWindows
from logpose.data.synthetic_oct import SyntheticScans
from logpose.losses import FactorsRLELoss, L1Loss, Laplace, RLELoss, RowsLoss
from logpose.models import BoundaryModel
from logpose.recipes import oct
from logpose.tasks.boundaries import recipe as recipes
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation
from logpose.tasks.boundaries.recipe import BoundaryRecipe, synthetic_scans
from logpose.training.checkpoint import load
from logpose.training.recipe import plain_fields
from logpose.training.run import fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects of two B-scans each, in the Duke layout."""
    path = tmp_path_factory.mktemp("oct")
    for number in (1, 2):
        scans = SyntheticScans(2, seed=number, size=(96, 80))
        layers = np.stack([scans[i].rows + 1 for i in range(2)], axis=-1)
        layers[:, :7] = np.nan
        images = np.stack([scans[i].image for i in range(2)], axis=-1)
        savemat(path / f"Subject_0{number}.mat", {"images": images, "manualLayers1": layers})
    return path


def small(folder: Path, make=oct.oct_column_rle, **changes) -> BoundaryRecipe:
    settings = {"data": folder, "size": (64, 32), "channels": 4, "depth": 2, "cells": 4, "epochs": 1, "shown": 96}
    settings |= {"batch_size": 4, "loggers": (), "accelerator": "cpu", "validate_every": 1, "precision": "32-true"}
    settings |= {"flow_hidden": (8, 8)}
    return replace(make(), **{**settings, **changes})


@pytest.mark.parametrize(
    ("fields", "loss"),
    [
        ({}, RLELoss),
        ({"factors": True}, FactorsRLELoss),
        ({"loss": "l1"}, L1Loss),
        ({"head": "full"}, RLELoss),
        ({"head": "rows", "loss": "l1"}, L1Loss),
        ({"head": "rows"}, RLELoss),
        ({"head": "rows", "loss": "laplace"}, Laplace),
    ],
)
def test_each_trains_and_is_read_again(folder: Path, tmp_path: Path, fields, loss: type) -> None:
    recipe = small(folder, **fields)
    run = fit(recipe, tmp_path)
    assert {"error_px", "rmse_px", "p95_px", "nll", "band@0.9", "error_px_BM"} <= run.figures.keys()
    assert ("sigma_rank" in run.figures) is (loss is not L1Loss)
    model, claim = load(run.best)
    assert isinstance(model, BoundaryModel)
    assert isinstance(claim, loss)
    assert model.error_distribution.bands is not None
    assert model.error_distribution.bands.isfinite().all()
    data = recipe.people(recipe, "val")
    evaluation = recipe.evaluation(data, model, claim)
    assert isinstance(evaluation, BoundaryEvaluation)
    with torch.inference_mode():
        for batch in recipe.loader(data, model, training=False):
            evaluation.update(batch, model.predict(batch, recipe.flip_test))
    assert evaluation.compute() == pytest.approx(run.figures, rel=1e-4, nan_ok=True)


def test_the_subjects_of_a_part_are_apart(folder: Path) -> None:
    recipe = small(folder)
    train, val = (recipe.people(recipe, part) for part in ("train", "val"))
    assert isinstance(train, LabelledScans)
    assert (train.subjects, val.subjects) == (["Subject_02"], ["Subject_01"])
    recipe = small(folder, folds=2, fold=1)
    parts = [recipe.people(recipe, part) for part in ("train", "val")]
    assert sorted(scan.name for part in parts for scan in part.scans) == [
        f"Subject_0{n}-{i}" for n in (1, 2) for i in (0, 1)
    ]
    one, other = folder / "Subject_01.mat", folder / "Subject_02.mat"
    recipe = small(one, val_data=other)
    assert [recipe.people(recipe, part).subjects for part in ("train", "val")] == [["Subject_01"], ["Subject_02"]]


def test_its_fields_are_flags(folder: Path) -> None:
    recipe, _, _ = parse_recipe(
        "oct_column_rle",
        oct.oct_column_rle(),
        [str(folder), "--size", "112x64", "--folds=5", "--fold", "2", "--shown", "200", "--head", "rows"],
    )
    assert (recipe.size, recipe.folds, recipe.fold, recipe.shown, recipe.head) == ((112, 64), 5, 2, 200, "rows")
    assert "people" not in plain_fields(recipe)
    for words in (["eye0", "eye1"], ["eye0,eye1"], ["[eye0,eye1]"]):
        flags = [str(folder), "--val_subjects", *words, "--epochs", "3"]
        assert parse_recipe("oct_column_rle", oct.oct_column_rle(), flags)[0].val_subjects == ("eye0", "eye1")


@pytest.mark.parametrize(
    "changes",
    [
        {"folds": 1},
        {"folds": -2},
        {"folds": 3, "fold": 3},
        {"flip": 2.0},
        {"stretch": 1.0},
        {"shift": -1},
        {"columns": 0},
        {"um_per_px": 0.0},
        {"fold_seed": -1},
    ],
)
def test_what_cannot_be(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(oct.oct_column_rle(), **changes)


def test_any_number_of_boundaries_is_learned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The loss is made for those of the data; that of a recipe of one's own must be of as many."""
    for number, name in enumerate(("a", "b")):
        scan = SyntheticScans(1, seed=number, size=(96, 80))[0]
        cv2.imwrite(str(tmp_path / f"{name}.png"), scan.image)
        np.savetxt(tmp_path / f"{name}.csv", scan.rows[:3], delimiter=",")
    run = fit(small(tmp_path, um_per_px=4.0), tmp_path / "run")
    model, loss = load(run.best)
    assert model.dim == loss.dim == 3
    assert model.um_per_px == 4.0
    assert "B-scans" not in caplog.text
    with pytest.raises(InputError, match=r"3 boundaries.* 8"):
        fit(small(tmp_path, loss=lambda _: RLELoss(dim=8)), tmp_path / "other")
    fit(small(tmp_path, val_data=tmp_path), tmp_path / "both")
    assert "2 training B-scans" in caplog.text


def test_validation_looks_for_the_retina_by_the_training_s_height_of_pixels(tmp_path: Path) -> None:
    """Of scans that do not say theirs, as `eval` and `predict` do: what is measured in training is what comes later."""
    scan = SyntheticScans(1, seed=3)[0]
    scans = LabelledScans(RETINA, (replace(scan, um_per_px=None),), tmp_path)
    tops = {}
    for height in (5.0, 30.0):
        model = BoundaryModel(RETINA, (112, 64), channels=2, depth=1, cells=2, shown=160, um_per_px=height)
        batch = next(iter(oct.oct_column_rle().loader(scans, model, training=False)))
        tops[height] = batch.top
        assert torch.equal(batch.top[:1], ScanWindows(scans, model.size, 160, um_per_px=height)[0, 0].top)
    assert not torch.equal(tops[5.0], tops[30.0])


def test_evaluated_columns_without_a_label_are_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        scan = SyntheticScans(1, seed=number, size=(96, 80))[0]
        layers = scan.rows + 1
        layers[:, 20:] = np.nan
        savemat(tmp_path / f"Subject_0{number}.mat", {"images": scan.image, "manualLayers1": layers})
    with pytest.raises(InputError, match=r"20 columns"):
        fit(small(tmp_path, columns=20), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_boundaries_that_are_never_labelled_are_refused(tmp_path: Path) -> None:
    """RLE of a column trains on complete columns only: without any there would be no gradient, and no error."""
    for number in (1, 2):
        scan = SyntheticScans(1, seed=number, size=(96, 80))[0]
        layers = scan.rows + 1
        layers[0, ::2], layers[1:, 1::2] = np.nan, np.nan
        savemat(tmp_path / f"Subject_0{number}.mat", {"images": scan.image, "manualLayers1": layers})
    with pytest.raises(InputError, match=r"RLELoss.*--factors"):
        fit(small(tmp_path), tmp_path / "run")
    assert fit(small(tmp_path, factors=True), tmp_path / "run").figures["error_px"] > 0
    layers[3] = np.nan
    savemat(tmp_path / "Subject_02.mat", {"images": scan.image, "manualLayers1": layers})
    with pytest.raises(InputError, match="INL/OPL"):
        fit(small(tmp_path, factors=True), tmp_path / "other")


def test_columns_that_are_ignored_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        scan = SyntheticScans(1, seed=number, size=(96, 64))[0]
        layers = scan.rows + 1
        layers[3, 10:] = np.nan
        savemat(tmp_path / f"Subject_0{number}.mat", {"images": scan.image, "manualLayers1": layers})
    fit(small(tmp_path, head="rows", size=(64, 64)), tmp_path / "run")
    assert "10 of 64 labelled columns" in caplog.text
    caplog.clear()
    run = fit(small(tmp_path, head="rows", loss="l1", size=(64, 64)), tmp_path / "rows")
    assert "of 64 labelled columns" not in caplog.text
    model, _ = load(run.best)
    assert (model.error_distribution.std > 0).all()


def test_cells_count_where_features_are_averaged() -> None:
    BoundaryModel(RETINA, (80, 32), "rows", predicts_sigma=False)
    BoundaryModel(RETINA, (80, 32), "full")
    for head in ("rows", "column"):
        with pytest.raises(InputError, match="80 rows cannot be split into 14 cells"):
            BoundaryModel(RETINA, (80, 32), head)


def test_heads_and_losses_that_do_not_go_together_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="RowsLoss"):
        fit(small(folder, loss=RowsLoss), tmp_path)
    with pytest.raises(InputError, match="RLELoss"):
        fit(small(folder, head="rows", loss=lambda n: RLELoss(dim=n)), tmp_path)


@pytest.mark.parametrize(
    ("fields", "flags", "flag"),
    [
        ({}, ["--fold", "1"], "--fold"),
        ({}, ["--val_data", "b.mat", "--folds", "3"], "--folds"),
        ({"head": "full"}, ["--cells", "7"], "--cells"),
        ({"head": "rows", "loss": "l1"}, ["--cells", "7"], "--cells"),
        ({}, ["--loss", "l1", "--factors"], "--factors"),
        ({}, ["--factors", "--convention", "paper"], "--convention"),
        ({"people": synthetic_scans}, ["--grader", "2"], "--grader"),
    ],
)
def test_flags_that_have_no_effect_are_refused(fields, flags: list[str], flag: str) -> None:
    with pytest.raises(InputError, match=f"{flag}:"):
        parse_recipe("mine", BoundaryRecipe(**fields), ["a.mat", *flags])


def test_names_of_version_0_1_have_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="BoundaryRecipe"):
        assert recipes.OctRecipe is BoundaryRecipe
