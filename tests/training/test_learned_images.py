"""Checkpoints know the images that their weights learned from, wherever these are later."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.data.files import open_people
from logpose.data.fingerprints import encoded, fingerprints
from logpose.training.checkpoint import load, load_model, read, save
from logpose.training.learned_images import count_learned, note_learned, report_learned, report_shared
from logpose.training.run import fit


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def data_of(folder: Path, names: dict[Path, str], rows: slice = slice(None), source: str = "train") -> Path:
    """A data set in `folder` of copies of images, renamed, with the labels of a part of `coco_folder`."""
    coco = next(iter(names)).parents[1]
    content = json.loads((coco / "annotations" / f"person_keypoints_{source}.json").read_text())
    content["images"] = content["images"][rows]
    (folder / "images").mkdir(parents=True)
    for row in content["images"]:
        path = coco / source / row["file_name"]
        row["file_name"] = names.get(path, path.name)
        shutil.copy(path, folder / "images" / row["file_name"])
    kept = {row["id"] for row in content["images"]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in kept]
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def test_a_run_and_what_is_made_of_it_know_the_training_images(tiny_run, coco_folder, tmp_path, command):
    wanted = fingerprints(files(coco_folder / "train"))
    assert len(wanted) == 24
    for name in ("best.ckpt", "last.ckpt"):
        np.testing.assert_array_equal(load_model(tiny_run / name).learned_images, wanted)
    save(*load(tiny_run / "best.ckpt"), tmp_path / "saved")
    assert command("convert", tiny_run / "best.ckpt", "--out", tmp_path / "converted")[0] == 0
    for folder in ("saved", "converted"):
        np.testing.assert_array_equal(load_model(tmp_path / folder).learned_images, wanted)


@pytest.mark.parametrize(
    ("part", "rows", "learned"), [("train", slice(None), 24), ("train", slice(3, 9), 6), ("val", slice(None), 0)]
)
def test_copies_of_another_name_and_other_labels_are_known(
    command, tiny_run, coco_folder, tmp_path, part, rows, learned
):
    """Of the validation part the copies get the names of training images."""
    names = [path.name for path in files(coco_folder / "train")]
    if part == "train":
        names = [f"renamed-{i}.jpg" for i in range(len(names))]
    renamed = dict(zip(files(coco_folder / part), names, strict=False))
    file = data_of(tmp_path / "d", renamed, rows, part)
    words = (file, "--device", "cpu", "--json", "--report", tmp_path / "page.html")
    code, out, err = command("eval", tiny_run / "best.ckpt", *words)
    assert code == 0, err
    assert json.loads(out)["images_learned"] == learned
    assert ("trained on" in err) == (learned > 0)
    if learned:
        assert f"{learned} of the {learned} images" in err
    assert "images_learned" in (tmp_path / "page.html").read_text()


def test_a_share_of_the_images_is_counted(tiny_run, coco_folder, tmp_path):
    both = [*files(coco_folder / "train")[:3], *files(coco_folder / "val")[:2]]
    model = load_model(tiny_run / "best.ckpt")
    data = type("Data", (), {"image_files": [*both, both[0], tmp_path / "missing.jpg"]})()
    assert count_learned(model.learned_images, data) == (6, both[:3])


def test_fine_tuning_and_resuming_add_to_what_was_learned(make_recipe, tiny_run, coco_folder, tmp_path):
    other = data_of(tmp_path / "d", {path: path.name for path in files(coco_folder / "val")}, source="val")
    recipe = make_recipe(data=other, epochs=1, val_data=coco_folder, weights=str(tiny_run / "best.ckpt"))
    both = fingerprints([*files(coco_folder / "train"), *files(coco_folder / "val")])
    tuned = fit(recipe, tmp_path / "tuned")
    np.testing.assert_array_equal(load_model(tuned.best).learned_images, both)
    fresh = load_model(tuned.best)
    note_learned(fresh, open_people(other), replace(recipe, weights_of="backbone"), None)
    np.testing.assert_array_equal(fresh.learned_images, both)
    note_learned(fresh, open_people(other), replace(recipe, weights="random"), None)
    assert len(fresh.learned_images) == 8
    # Labels may change between the parts of a run: what it was trained on at first stays known.
    content = json.loads(other.read_text())
    content["images"] = content["images"][:4]
    kept = {row["id"] for row in content["images"]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in kept]
    other.write_text(json.dumps(content))
    again = fit(replace(recipe, epochs=2), tmp_path / "tuned", tmp_path / "tuned" / "last.ckpt")
    np.testing.assert_array_equal(load_model(again.folder / "last.ckpt").learned_images, both)


def test_training_reports_validation_images_that_are_training_images(make_recipe, coco_folder, tmp_path, caplog):
    train = coco_folder / "annotations" / "person_keypoints_train.json"
    renamed = {path: f"other-{i}.jpg" for i, path in enumerate(files(coco_folder / "train"))}
    some = data_of(tmp_path / "d", renamed, slice(0, 5))
    fit(make_recipe(data=train, epochs=1, val_data=train), tmp_path / "run")
    people = open_people(train)
    report_shared(people, open_people(some))
    report_shared(people, open_people(coco_folder / "annotations" / "person_keypoints_val.json"))
    found = [record.message for record in caplog.records if "training images too" in record.message]
    assert [message.split()[:3] for message in found] == [["24", "of", "24"], ["5", "of", "5"]]


def test_a_checkpoint_without_fingerprints_is_judged_by_its_recipe(tiny_run, coco_folder, tmp_path, caplog):
    content = torch.load(tiny_run / "best.ckpt", weights_only=True)
    del content["logpose"]["learned_images"]
    torch.save(content, old := tmp_path / "old.ckpt")
    model = load_model(old)
    assert len(model.learned_images) == 0
    people = {
        part: open_people(coco_folder / "annotations" / f"person_keypoints_{part}.json") for part in ("train", "val")
    }
    assert report_learned(old, model, people["val"]) is None
    assert not caplog.records
    assert report_learned(old, model, people["train"]) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("entry", [encoded(np.arange(3))[:-3], 5, "?"])
def test_a_damaged_entry_is_refused(make_recipe, tiny_run, coco_folder, tmp_path, entry):
    content = read(tiny_run / "best.ckpt")
    content["logpose"]["learned_images"] = entry
    torch.save(content, bad := tmp_path / "bad.ckpt")
    with pytest.raises(InputError, match=r"bad\.ckpt"):
        load_model(bad)
    people = open_people(coco_folder / "annotations" / "person_keypoints_val.json")
    with pytest.raises(InputError, match=r"bad\.ckpt"):
        note_learned(load_model(tiny_run / "best.ckpt"), people, make_recipe(weights=str(bad)), None)
