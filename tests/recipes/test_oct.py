"""Recipes of retinal boundaries, on B-scans drawn here."""

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
from logpose.losses import FactorsRLELoss, L1Loss, RLELoss
from logpose.models import BoundaryModel
from logpose.recipes import oct
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation
from logpose.training.checkpoint import load
from logpose.training.fit import fit
from logpose.training.recipe import plain_fields


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


def small(folder: Path, make=oct.oct_column_rle, **changes) -> oct.OctRecipe:
    settings = {"data": folder, "size": (64, 32), "channels": 4, "depth": 2, "cells": 4, "epochs": 1, "shown": 96}
    settings |= {"batch_size": 4, "loggers": (), "accelerator": "cpu", "validate_every": 1, "precision": "32-true"}
    return replace(make(), **{**settings, **changes})


@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (oct.oct_column_rle, RLELoss),
        (oct.oct_column_rle_factors, FactorsRLELoss),
        (oct.oct_column_l1, L1Loss),
        (oct.oct_full_rle, RLELoss),
        (oct.oct_softargmax, L1Loss),
        (oct.oct_softargmax_rle, RLELoss),
    ],
)
def test_each_trains_and_is_read_again(folder: Path, tmp_path: Path, make, loss: type) -> None:
    recipe = small(folder, make)
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


@pytest.mark.slow
@pytest.mark.parametrize("make", [oct.oct_synthetic_rle, oct.oct_synthetic_l1])
def test_drawn_scans_are_learned(tmp_path: Path, make) -> None:
    figures = fit(replace(make(), loggers=()), tmp_path).figures
    assert figures["truth_px"] < 2
    assert figures["band@0.9"] == pytest.approx(0.9, abs=0.06)


def test_a_recipe_that_draws_wants_no_data(folder: Path) -> None:
    recipe = replace(oct.oct_synthetic_rle(), data=folder)
    with pytest.raises(InputError, match="draws its B-scans itself"):
        recipe.people(recipe, "train")
    recipe = oct.oct_synthetic_rle()
    assert (len(recipe.people(recipe, "train")), len(recipe.people(recipe, "val"))) == (oct.TRAIN, oct.VAL)
    assert not np.array_equal(recipe.people(recipe, "train")[0].image, recipe.people(recipe, "val")[0].image)
    recipe = oct.oct_column_rle()
    with pytest.raises(InputError, match="say which with --data"):
        recipe.people(recipe, "train")


def test_its_fields_are_flags(folder: Path) -> None:
    recipe, _, _ = parse_recipe(
        "oct_column_rle",
        oct.oct_column_rle(),
        ["--data", str(folder), "--size", "112x64", "--folds=5", "--fold", "2", "--shown", "200", "--head", "rows"],
    )
    assert (recipe.size, recipe.folds, recipe.fold, recipe.shown, recipe.head) == ((112, 64), 5, 2, 200, "rows")
    assert "people" not in plain_fields(recipe)
    for words in (["eye0", "eye1"], ["eye0,eye1"], ["[eye0,eye1]"]):
        flags = ["--data", str(folder), "--val_subjects", *words, "--epochs", "3"]
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
    assert "among those that are measured on" not in caplog.text
    with pytest.raises(InputError, match="the data have 3 boundaries, and the loss is of 8"):
        fit(small(tmp_path, loss=lambda _: RLELoss(dim=8)), tmp_path / "other")
    fit(small(tmp_path, val_data=tmp_path), tmp_path / "both")
    assert "2 B-scans that are learned from are among those that are measured on" in caplog.text


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


def test_measured_columns_without_a_label_are_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        scan = SyntheticScans(1, seed=number, size=(96, 80))[0]
        layers = scan.rows + 1
        layers[:, 20:] = np.nan
        savemat(tmp_path / f"Subject_0{number}.mat", {"images": scan.image, "manualLayers1": layers})
    with pytest.raises(InputError, match=r"no label in the 20 columns that are measured of any B-scan"):
        fit(small(tmp_path, columns=20), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_boundaries_that_are_never_labelled_are_refused(tmp_path: Path) -> None:
    """RLE of a column learns from whole columns only: without any it would teach nothing, and say so nowhere."""
    for number in (1, 2):
        scan = SyntheticScans(1, seed=number, size=(96, 80))[0]
        layers = scan.rows + 1
        layers[0, ::2], layers[1:, 1::2] = np.nan, np.nan
        savemat(tmp_path / f"Subject_0{number}.mat", {"images": scan.image, "manualLayers1": layers})
    with pytest.raises(InputError, match=r"no column that is learned from has a label of every boundary"):
        fit(small(tmp_path), tmp_path / "run")
    assert fit(small(tmp_path, oct.oct_column_rle_factors), tmp_path / "run").figures["error_px"] > 0
    layers[3] = np.nan
    savemat(tmp_path / "Subject_02.mat", {"images": scan.image, "manualLayers1": layers})
    with pytest.raises(InputError, match="INL/OPL is labelled in no scan that is learned from"):
        fit(small(tmp_path, oct.oct_column_rle_factors), tmp_path / "other")


def test_columns_that_teach_nothing_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        scan = SyntheticScans(1, seed=number, size=(96, 64))[0]
        layers = scan.rows + 1
        layers[3, 10:] = np.nan
        savemat(tmp_path / f"Subject_0{number}.mat", {"images": scan.image, "manualLayers1": layers})
    fit(small(tmp_path, oct.oct_softargmax_rle, size=(64, 64)), tmp_path / "run")
    assert "10 of 64 labelled columns have a label of every boundary, and RowsLoss learns from no others" in caplog.text
    caplog.clear()
    run = fit(small(tmp_path, oct.oct_softargmax, size=(64, 64)), tmp_path / "rows")
    assert "no others" not in caplog.text
    model, _ = load(run.best)
    assert (model.error_distribution.std > 0).all()


def test_cells_count_where_features_are_averaged() -> None:
    BoundaryModel(RETINA, (80, 32), "rows", predicts_sigma=False)
    BoundaryModel(RETINA, (80, 32), "full")
    for head in ("rows", "column"):
        with pytest.raises(InputError, match="80 rows cannot be split into 14 cells"):
            BoundaryModel(RETINA, (80, 32), head)


def test_heads_and_losses_that_do_not_go_together_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"RowsLoss goes with --head rows"):
        fit(small(folder, oct.oct_softargmax, head="column"), tmp_path)
    with pytest.raises(InputError, match=r"RLELoss does not go with --head rows: oct_softargmax"):
        fit(small(folder, head="rows"), tmp_path)


@pytest.mark.parametrize(
    ("make", "flags", "told"),
    [
        (oct.oct_column_rle, ["--fold", "1"], "--fold: about --folds"),
        (oct.oct_column_rle, ["--val_data", "b.mat", "--folds", "3"], "--folds: about a part of --data"),
        (oct.oct_full_rle, ["--cells", "7"], "--cells: about features that are averaged in each column"),
        (oct.oct_softargmax, ["--cells", "7"], "--cells: about what sigma is read from, and this loss has none"),
        (oct.oct_synthetic_rle, ["--grader", "2"], "--grader: about scans of a file"),
    ],
)
def test_flags_that_would_change_nothing_are_refused(make, flags: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_recipe(make.__name__, make(), ["--data", "a.mat", *flags])
