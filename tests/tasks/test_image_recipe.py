"""Labelled images of a recipe: which file serves for which part, and with which images."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from logpose.core.errors import InputError
from logpose.tasks.image_recipe import labelled_people


def test_without_data_it_says_what_is_missing(make_recipe):
    with pytest.raises(InputError, match="train RECIPE"):
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


def test_other_sigmas_and_many_people_of_the_validation_data_are_reported(make_recipe, coco_folder, tmp_path, caplog):
    caplog.set_level("INFO")
    recipe = make_recipe(val_data=tmp_path / "val.json", val_images=coco_folder / "val")
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    found = []
    for sigmas, copies in ((None, 0), ([0.3] * 17, 25)):
        if sigmas:
            content["categories"][0]["sigmas"] = sigmas
        row = content["annotations"][0]
        content["annotations"] += [row | {"id": 1000 + i} for i in range(copies)]
        (tmp_path / "val.json").write_text(json.dumps(content))
        caplog.clear()
        recipe.report_data(*(labelled_people(recipe, part) for part in ("train", "val")))
        found.append([record.message for record in caplog.records])
    assert found[0] == []
    assert "0.3 for every joint" in found[1][0]
    assert re.search(r"up to 2[67] people", found[1][1])


# Mirrored images
