"""Recipes on COCO files: which file serves which part."""

from __future__ import annotations

import shutil

import pytest

from logpose.losses import L1Loss, RLELoss
from logpose.recipes import coco
from logpose.structures import InputError


def test_every_recipe_says_what_it_is_and_can_be_made():
    for name in coco.__all__:
        make = getattr(coco, name)
        assert make.__doc__
        assert make().people is coco.coco_people


def test_the_losses_are_what_the_names_say():
    assert isinstance(coco.coco_resnet50_rle().loss(), RLELoss)
    assert isinstance(coco.coco_resnet50_l1().loss(), L1Loss)
    assert coco.coco_resnet50_rle().size == (256, 192)
    assert coco.coco_resnet50_rle().milestones == (170, 200)


def test_without_data_it_says_what_is_missing(make_recipe):
    with pytest.raises(InputError, match="--data"):
        coco.coco_people(make_recipe(data=None), "train")


def test_a_folder_s_parts_are_taken(make_recipe):
    train, val = (coco.coco_people(make_recipe(), part) for part in ("train", "val"))
    assert train.counts["images"] == 24
    assert val.counts["images"] == 8


def test_a_single_file_is_divided_by_image(make_recipe, coco_folder):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    train, val = (coco.coco_people(make_recipe(data=file), part) for part in ("train", "val"))
    assert len(train.images) + len(val.images) == 24
    assert not train.images.keys() & val.images.keys()
    assert len(val.images) == 2


def test_the_same_file_named_for_both_is_taken_whole(make_recipe, coco_folder):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    recipe = make_recipe(data=file, val_data=file)
    assert len(coco.coco_people(recipe, "train")) == len(coco.coco_people(recipe, "val"))


def test_each_part_has_its_own_folder_of_images(make_recipe, coco_folder, tmp_path):
    moved = {}
    for part in ("train", "val"):
        moved[part] = (tmp_path / "annotations" / part).with_suffix(".json")
        moved[part].parent.mkdir(exist_ok=True)
        shutil.copy(coco_folder / "annotations" / f"person_keypoints_{part}.json", moved[part])
    folders = {"images": coco_folder / "train", "val_images": coco_folder / "val"}
    for data in ({"data": moved["train"], "val_data": moved["val"]}, {"data": tmp_path}):
        train, val = (coco.coco_people(make_recipe(**data, **folders), part) for part in ("train", "val"))
        assert (len(train.images), len(val.images)) == (24, 8)
