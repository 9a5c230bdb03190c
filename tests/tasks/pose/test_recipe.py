"""What a recipe holds, and what it refuses."""

from __future__ import annotations

import shutil

import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.models import RegressionModel
from logpose.tasks.pose.recipe import labelled_people
from logpose.training.recipe import plain_fields


def test_plain_fields_are_all_but_the_objects(make_recipe):
    assert not {"people", "loss", "model"} & plain_fields(make_recipe()).keys()
    assert plain_fields(make_recipe())["epochs"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", 0.0), ("lr", float("nan")), ("padding", 0.0), ("size", (16, 64)),
     ("workers", -1), ("seed", -1), ("gradient_clip", -1.0)],
)  # fmt: skip
def test_values_that_cannot_be(make_recipe, field, value):
    with pytest.raises(InputError, match=field):
        make_recipe(**{field: value})


def test_the_model_is_made_as_the_recipe_says(make_recipe):
    recipe = make_recipe(padding=1.5, size=(96, 64))
    model = recipe.model(recipe, COCO, False)
    assert isinstance(model, RegressionModel)
    assert (model.size, model.padding, model.fc_sigma) == ((96, 64), 1.5, None)


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
