"""What a recipe holds, and what it refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from logpose.core.errors import InputError
from logpose.core.geometry import PADDING
from logpose.core.skeletons import COCO
from logpose.losses import HeatmapLoss, L1Loss, MixedRLELoss, RLELoss, WithHeatmaps
from logpose.models import HeatmapModel, IntegralModel, RegressionModel
from logpose.tasks.pose import recipe as recipes
from logpose.tasks.pose.recipe import H36mRecipe, ImageRecipe, Recipe, labelled_people, released_regression


@pytest.mark.parametrize(
    ("field", "value"),
    [("padding", 0.0), ("size", (16, 64)), ("auxiliary", -1.0)],
)
def test_values_that_cannot_be(make_recipe, field, value):
    with pytest.raises(InputError, match=field):
        make_recipe(**{field: value})


def test_the_model_is_made_as_the_recipe_says(make_recipe):
    recipe = make_recipe(padding=1.5, size=(96, 64))
    model = recipe.model(recipe, COCO, False)
    assert isinstance(model, RegressionModel)
    assert (model.size, model.padding, model.fc_sigma) == ((96, 64), 1.5, None)


@pytest.mark.parametrize(
    ("fields", "model", "loss"),
    [
        ({}, RegressionModel, RLELoss),
        ({"head": "heatmap"}, HeatmapModel, HeatmapLoss),
        ({"head": "integral", "loss": "l1"}, IntegralModel, L1Loss),
        ({"head": "integral"}, IntegralModel, RLELoss),
        ({"auxiliary": 0.5}, RegressionModel, WithHeatmaps),
        ({"dim": 3}, RegressionModel, MixedRLELoss),
        ({"dim": 3, "head": "integral", "loss": "l1"}, IntegralModel, L1Loss),
    ],
)
def test_heads_and_losses_that_go_together(make_recipe, fields, model, loss):
    recipe = make_recipe(size=(64, 64), **fields)
    made = recipe.make_loss(COCO)
    assert type(made) is loss
    network = recipe.model(recipe, COCO, made.learns_sigma)
    assert type(network) is model
    assert network.output_type == made.output_type
    if loss is WithHeatmaps:
        assert made.weight == 0.5
    if "dim" in fields:
        assert made.density.dim == network.dim == 3


def test_fields_of_another_head_are_inapplicable(make_recipe):
    assert {"loss", "base", "convention", "pretrain"} <= make_recipe(head="heatmap").inapplicable().keys()
    assert {"normalisation"} <= make_recipe().inapplicable().keys()
    assert {"auxiliary"} <= make_recipe(head="integral").inapplicable().keys()
    assert {"head", "normalisation"} <= make_recipe(model=released_regression).inapplicable().keys()
    assert not {"loss", "head", "auxiliary", "pretrain"} & make_recipe().inapplicable().keys()


def test_crops_are_as_large_as_models_have_them():
    assert Recipe().padding == PADDING


def test_heatmaps_have_no_depth():
    with pytest.raises(InputError, match="--head heatmap"):
        H36mRecipe(head="heatmap")
    assert "pretrain" in H36mRecipe().inapplicable()


def test_pretraining_is_a_first_stage_until_it_is_done(make_recipe, tmp_path):
    recipe = make_recipe(pretrain="heatmap")
    assert recipe.first is not None
    stage = recipe.first(recipe)
    assert (stage.head, stage.first, stage.data) == ("heatmap", None, recipe.data)
    second = recipe.initialised_from(tmp_path / "best.ckpt")
    assert (second.first, second.head, second.weights) == (None, "regression", str(tmp_path / "best.ckpt"))
    assert second.weights_of == "backbone"
    assert replace(recipe, pretrain="none").first is None
    own = make_recipe(first=lambda r: replace(r, first=None))
    assert "pretrain" in own.inapplicable()


@pytest.mark.parametrize("name", ["PictureRecipe", "regression_in_space", "regression_with_heatmaps"])
def test_names_of_version_0_1_have_a_warning(name):
    with pytest.warns(DeprecationWarning, match=name):
        assert callable(getattr(recipes, name))
    assert issubclass(Recipe, ImageRecipe)


# The data


def test_without_data_it_says_what_is_missing(make_recipe):
    with pytest.raises(InputError, match="--data"):
        labelled_people(make_recipe(data=None), "train")


def test_a_folder_s_parts_are_taken(make_recipe):
    train, val = (labelled_people(make_recipe(), part) for part in ("train", "val"))
    assert train.counts["images"] == 24
    assert val.counts["images"] == 8


def test_a_single_file_is_divided_by_image(make_recipe, coco_folder):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    train, val = (labelled_people(make_recipe(data=file), part) for part in ("train", "val"))
    assert len(train.images) + len(val.images) == 24
    assert not train.images.keys() & val.images.keys()
    assert len(val.images) == 2


def test_the_same_file_named_for_both_is_taken_whole(make_recipe, coco_folder):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    recipe = make_recipe(data=file, val_data=file)
    assert len(labelled_people(recipe, "train")) == len(labelled_people(recipe, "val"))


def test_each_part_has_its_own_folder_of_images(make_recipe, coco_folder, tmp_path):
    moved = {}
    for part in ("train", "val"):
        moved[part] = (tmp_path / "annotations" / part).with_suffix(".json")
        moved[part].parent.mkdir(exist_ok=True)
        shutil.copy(coco_folder / "annotations" / f"person_keypoints_{part}.json", moved[part])
    folders = {"images": coco_folder / "train", "val_images": coco_folder / "val"}
    for data in ({"data": moved["train"], "val_data": moved["val"]}, {"data": tmp_path}):
        train, val = (labelled_people(make_recipe(**data, **folders), part) for part in ("train", "val"))
        assert (len(train.images), len(val.images)) == (24, 8)
