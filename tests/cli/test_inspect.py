"""`logpose inspect`: the data choose the task."""

from __future__ import annotations

import zipfile


def test_bad_data_files_are_refused_by_name(refused, coco_folder, tmp_path):
    assert "nowhere: no such file or folder" in refused("inspect", tmp_path / "nowhere")
    for name, text, message in (
        ("empty.json", "", "empty file"),
        ("broken.json", '{"images": [}', "not JSON"),
        ("list.json", "[]", "an empty list"),
    ):
        (tmp_path / name).write_text(text)
        sentence = refused("inspect", tmp_path / name)
        assert name in sentence
        assert message in sentence


def test_an_archive_has_to_be_unpacked(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("data.yaml", "kpt_shape: [2, 3]")
    assert "unpack" in refused("inspect", tmp_path / "set.zip")


def test_labels_are_not_overwritten_by_what_is_found_in_them(refused, coco_folder):
    labels = coco_folder / "annotations" / "person_keypoints_val.json"
    before = labels.read_bytes()
    for data in (coco_folder, labels):
        message = refused("inspect", data, "--model", "person", "--save-json", labels)
        assert "is an input of this command" in message
    assert labels.read_bytes() == before
