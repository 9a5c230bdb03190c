"""What a search varies: usual values, what is refused, how it is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.recipes.coco import coco_resnet18_rle
from logpose.recipes.lifting import lifting_fc_rle
from logpose.recipes.mask_rcnn import mask_rcnn_resnet50_rle
from logpose.recipes.oct import oct_column_rle
from logpose.training.recipe import TrainingRecipe
from logpose.training.search_space import (
    Range,
    check_space,
    default_space,
    default_values,
    described,
    is_search,
    shown,
    space_of,
    stored_settings,
    value_of,
    with_values,
    write_settings,
)


def recipe(**changes: Any) -> Any:
    return replace(coco_resnet18_rle(), **changes)


def test_usual_values_are_around_the_recipe_s() -> None:
    space = default_space(recipe(lr=1e-3, weight_decay=1e-4, size=(256, 192)))
    assert list(space) == ["lr", "weight_decay", "size"]
    assert (space["lr"].low, space["lr"].high) == pytest.approx((1e-4, 1e-2))
    assert (space["weight_decay"].low, space["weight_decay"].high) == pytest.approx((1e-5, 1e-3))
    assert space["size"] == ((128, 96), (256, 192), (384, 288))
    assert default_values(recipe(size=(256, 256)), "size") == tuple((s, s) for s in (128, 192, 256, 320, 384))


def test_a_recipe_without_weight_decay_may_stay_so() -> None:
    adam, adamw = (
        default_values(recipe(weight_decay=0.0, optimizer=name), "weight_decay") for name in ("adam", "adamw")
    )
    assert adam[0] == adamw[0] == 0.0
    assert max(adam) < max(adamw)


def test_what_has_no_effect_is_not_varied(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe()
    monkeypatch.setattr(type(made), "inapplicable", lambda _: {"lr": "it is found"})
    assert list(default_space(made)) == ["weight_decay", "size"]
    with pytest.raises(InputError, match="it is found"):
        check_space(made, {"lr": (1e-3, 1e-2)})


@given(st.integers(32, 1024), st.integers(32, 1024))
def test_sizes_have_the_aspect_ratio_of_the_recipe_s(height: int, width: int) -> None:
    space = default_space(recipe(size=(height, width)))
    for h, w in space.get("size", ()):
        assert h * width == w * height
        assert min(h, w) >= 32
    assert (height, width) in space.get("size", ((height, width),))


def test_recipes_without_a_size_do_not_vary_it() -> None:
    for made in (lifting_fc_rle(), mask_rcnn_resnet50_rle()):
        space = default_space(made)
        assert list(space) == ["lr", "weight_decay"]
        check_space(made, space)
        with pytest.raises(InputError, match="size"):
            default_values(made, "size")


@pytest.mark.parametrize(
    ("name", "values", "token"),
    [
        ("lr", (1e-3,), "two different"),
        ("lr", (1e-3, 1e-3), "two different"),
        ("lr", Range(1e-2, 1e-3), "lower"),
        ("lr", Range(0.0, 1e-3), "lr must be above 0"),
        ("lr", (1e-3, -1.0), "lr must be above 0"),
        ("schedule", Range(1, 2), "number"),
        ("epochs", Range(1.5, 3.0), "whole"),
        ("size", ((16, 16), (64, 64)), "size"),
        ("people", (1, 2), "no such field"),
        ("augmentation", (1, 2), "no such field"),
        ("augmentation.replace", (1, 2), "no such field"),
        ("lr.x", (1, 2), "no such field"),
        ("momentum", (0.8, 0.9), "--optimizer sgd"),
        ("watch", ("error_px", "nll"), "--watch"),
        ("val_data", (Path("a"), Path("b")), "--val-data"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(name: str, values: Any, token: str) -> None:
    with pytest.raises(InputError, match=token) as refused:
        check_space(recipe(), {name: values})
    assert name in str(refused.value)


def test_nothing_to_vary_is_refused() -> None:
    with pytest.raises(InputError, match="--search-space"):
        check_space(recipe(), {})


@pytest.mark.parametrize("watch", ["ap", "error_px", "pck@0.1"])
def test_figures_in_pixels_of_the_images_are_compared_between_sizes(watch: str) -> None:
    check_space(recipe(watch=watch), {"size": ((256, 192), (128, 128)), "padding": Range(1.0, 1.5)})


def test_likelihoods_are_compared_only_where_crops_show_the_same() -> None:
    watched = recipe(watch="nll", size=(256, 192))
    check_space(watched, {"size": ((256, 192), (128, 96))})
    for name, values in (("size", ((256, 192), (128, 128))), ("padding", Range(1.0, 1.5))):
        with pytest.raises(InputError, match=f"--search-space {name}=.*nll"):
            check_space(watched, {name: values})


@pytest.mark.parametrize(
    ("made", "name", "values"),
    [
        (oct_column_rle(), "grader", (1, 2)),
        (oct_column_rle(), "folds", (0, 5)),
        (lifting_fc_rle(), "val_subjects", (("S9",), ("S11",))),
        (lifting_fc_rle(), "cameras", (2, 4)),
    ],
)
def test_the_data_that_trials_are_compared_on_are_not_varied(made: TrainingRecipe, name: str, values: Any) -> None:
    with pytest.raises(InputError, match=f"--search-space {name}=.*cannot be compared"):
        check_space(made, {name: values})


def test_values_reach_fields_and_fields_within_fields() -> None:
    varied = with_values(recipe(), {"lr": 0.5, "augmentation.rotation": 3.0, "augmentation.scale": 0.1})
    assert (varied.lr, varied.augmentation.rotation, varied.augmentation.scale) == (0.5, 3.0, 0.1)
    assert value_of(varied, "augmentation.rotation") == 3.0
    assert varied.augmentation.shift == recipe().augmentation.shift
    check_space(recipe(), {"augmentation.rotation": Range(0.0, 45.0)})
    assert shown({"lr": 0.5, "size": (64, 48), "loss": "l1"}) == "lr 0.5, size 64x48, loss l1"


def test_a_range_is_logarithmic_above_0() -> None:
    assert Range(1e-4, 1e-2).log
    assert not Range(0.0, 45.0).log


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    space = {"lr": Range(1e-4, 1e-2), "epochs": Range(2, 9), "size": ((64, 48), (128, 96)), "loss": ("rle", "l1")}
    assert space_of(yaml.safe_load(yaml.safe_dump(described(space)))) == space
    assert not is_search(tmp_path)
    write_settings(recipe(), tmp_path, space, 7)
    assert is_search(tmp_path)
    assert stored_settings(recipe(workers=3), tmp_path, None) == (space, 7)
    assert stored_settings(recipe(), tmp_path, space) == (space, 7)
    with pytest.raises(InputError, match="--lr"):
        stored_settings(recipe(lr=0.5), tmp_path, None)
    (tmp_path / "search.yaml").write_text("space: [1, 2]\ntrials: 3\nfiles: {}\n")
    with pytest.raises(InputError, match=r"search\.yaml"):
        stored_settings(recipe(), tmp_path, None)


def test_other_labels_are_refused(tmp_path: Path, coco_folder: Path) -> None:
    space = {"lr": (1e-3, 1e-2)}
    write_settings(recipe(data=coco_folder), tmp_path, space, 7)
    assert stored_settings(recipe(data=coco_folder), tmp_path, None)[1] == 7
    other = tmp_path / "moved" / coco_folder.name
    (other / "annotations").mkdir(parents=True)
    for file in (coco_folder / "annotations").iterdir():
        (other / "annotations" / file.name).write_bytes(file.read_bytes())
    assert stored_settings(recipe(data=other), tmp_path, None)[1] == 7
    with (other / "annotations" / file.name).open("a") as changed:
        changed.write(" ")
    with pytest.raises(InputError, match="labels"):
        stored_settings(recipe(data=other), tmp_path, None)
