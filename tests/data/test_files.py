"""Which file is which part's, and which reader is a file's."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files, open_people
from logpose.data.mpii import MpiiOfCoco


def write(folder: Path, text: str, name: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


LAYOUTS = {
    "COCO's own": (
        {"train": "annotations/person_keypoints_train2017.json", "val": "annotations/person_keypoints_val2017.json"},
        ["annotations/instances_train2017.json", "annotations/captions_val2017.json"],
    ),
    "plain": ({"train": "train.json", "val": "val.json"}, []),
    "in a folder": ({"train": "annotations/train.json", "val": "annotations/val.json"}, ["notes.json"]),
    "MPII as mmpose has it": (
        {"train": "annotations/mpii_train.json", "val": "annotations/mpii_val.json"},
        ["annotations/mpii_trainval.json", "annotations/mpii_test.json"],
    ),
    "MPII as HRNet has it": (
        {"train": "annot/train.json", "val": "annot/valid.json"},
        ["annot/trainval.json", "annot/test.json"],
    ),
    "Human3.6M": (
        {
            "train": "annotations/Sample_trainmin_train_Human36M_protocol_2.json",
            "val": "annotations/Sample_64_test_Human36M_protocol_2.json",
        },
        ["annotations/annot_mpii.json", "annotations/val.json"],
    ),
    "Roboflow's": (
        {"train": "train/_annotations.coco.json", "val": "valid/_annotations.coco.json"},
        ["test/_annotations.coco.json", "notes.json"],
    ),
    "Roboflow's without a second part": (
        {"train": "train/_annotations.coco.json", "val": "train/_annotations.coco.json"},
        [],
    ),
    "CVAT's": (
        {
            "train": "annotations/person_keypoints_Train.json",
            "val": "annotations/person_keypoints_Validation.json",
        },
        ["annotations/person_keypoints_Test.json"],
    ),
    "CVAT's of one part": (
        dict.fromkeys(("train", "val"), "annotations/person_keypoints_default.json"),
        ["annotations/instances_default.json"],
    ),
    "words": ({"train": "train.json", "val": "val.json"}, ["retrained.json", "intervals.json"]),
    "one": ({"train": "all.json", "val": "all.json"}, []),
}


@pytest.mark.parametrize(("files", "others"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_annotation_files_are_found(tmp_path: Path, files: dict[str, str], others: list[str]) -> None:
    for name in (*files.values(), *others):
        write(tmp_path, "{}", name)
    assert annotation_files(tmp_path) == {part: tmp_path / name for part, name in files.items()}


def test_a_file_is_both_parts(tmp_path: Path) -> None:
    file = write(tmp_path, "{}", "mine.json")
    assert annotation_files(file) == {"train": file, "val": file}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"'train' in its name, got no \.json file"),
        (["a.json", "b.json"], r"'train' in its name, got a\.json, b\.json"),
        (["train.json", "train_2.json", "val.json"], r"'train' in its name, got train\.json, train_2\.json"),
        (["train.json", "test.json"], r"'val' in its name, got test\.json, train\.json"),
        (
            ["Sample_train_Human36M_protocol_2.json", "Sample_20_test_Human36M.json", "Sample_64_test_Human36M.json"],
            r"'test' in its name, got Sample_20_test_Human36M\.json, Sample_64",
        ),
    ],
)
def test_annotation_files_that_nothing_gives_apart(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        write(tmp_path, "{}", name)
    with pytest.raises(InputError, match=message):
        annotation_files(tmp_path)


def test_an_archive_has_to_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set\.ZIP: .*unpack"):
        annotation_files(write(tmp_path, "PK", "set.ZIP"))


def test_text_files_need_a_data_yaml(tmp_path: Path) -> None:
    write(tmp_path, "0 .5 .5 .2 .2", "labels/a.txt")
    with pytest.raises(InputError, match=r"data\.yaml"):
        annotation_files(tmp_path)


def test_images_of_a_roboflow_export_lie_beside_it(tmp_path: Path) -> None:
    """Its first category is the project, without joints."""
    for part in ("train", "valid"):
        file = write(tmp_path, "", f"{part}/_annotations.coco.json")
        cv2.imwrite(str(file.with_name("a_jpg.rf.1.jpg")), np.zeros((40, 50, 3), np.uint8))
        content = {
            "images": [{"id": 0, "file_name": "a_jpg.rf.1.jpg", "width": 50, "height": 40}],
            "categories": [{"id": 0, "name": "mice"}, {"id": 1, "name": "mouse", "keypoints": ["nose", "tail"]}],
            "annotations": [
                {"id": 0, "image_id": 0, "category_id": 1, "bbox": [5, 5, 30, 20], "keypoints": [9, 9, 2, 20, 20, 2]}
            ],
        }
        file.write_text(json.dumps(content))
    for part, file in annotation_files(tmp_path).items():
        assert len(open_people(file)) == 1, part


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone"):
        annotation_files(tmp_path / "gone")


def test_a_matlab_file_is_both_parts(tmp_path: Path) -> None:
    file = write(tmp_path, "", "joints.mat")
    assert annotation_files(tmp_path) == {"train": file, "val": file}


def test_the_content_gives_the_format(tmp_path: Path, coco_folder: Path) -> None:
    assert type(open_people(coco_folder / "annotations" / "person_keypoints_val.json")).__name__ == "CocoKeypoints"
    for begin in ("  \n", "\ufeff", " " * 200):
        with pytest.raises(InputError, match=r"mpii\.json"):
            open_people(write(tmp_path, begin + "[]", "mpii.json"))
    savemat(tmp_path / "joints.mat", {"joints": np.zeros((3, 3, 3))})
    with pytest.raises(InputError, match="joints must be 14×3×N"):
        open_people(tmp_path / "joints.mat")


def test_heads_beside_a_coco_file_are_read(tmp_path: Path, coco_folder: Path) -> None:
    file = tmp_path / "person_keypoints_val.json"
    file.write_bytes((coco_folder / "annotations" / file.name).read_bytes())
    images = tmp_path / "images"
    images.symlink_to(coco_folder / "val")
    assert type(open_people(file, images)).__name__ == "CocoKeypoints"
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": np.zeros((2, 2, 3))})
    people = open_people(file, images)
    assert isinstance(people, MpiiOfCoco)
    assert people.head_sizes is None  # joints of COCO
    assert len(people) == len(CocoKeypoints(file, images))


def test_people_in_space(tmp_path: Path) -> None:
    """Whichever list comes first, and however long it is; a COCO file with cameras is one still."""
    image = {"id": 1, "file_name": "a.jpg", "cam_param": {}}
    pose = {"image_id": 1, "bbox": [1, 2, 3, 4], "keypoints_world": [[0, 0, 0]] * 17}
    for first, then in (("images", "annotations"), ("annotations", "images")):
        content = {"images": [image] * 900, "annotations": [pose] * 900}
        file = write(tmp_path, json.dumps({key: content[key] for key in (first, then)}), "space.json")
        assert file.stat().st_size > 2**17
        with pytest.raises(InputError, match=r"900 .*cam_param"):
            open_people(file)
    coco = {"categories": [], "images": [image], "annotations": [pose]}
    with pytest.raises(InputError, match="1 annotations"):
        open_people(write(tmp_path, json.dumps(coco), "coco.json"))


@pytest.mark.parametrize("name", ["gone.json", "gone.mat"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"gone\.\w+"):
        open_people(tmp_path / name)


def test_another_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"person 0.*image"):
        open_people(write(tmp_path, json.dumps([{"image_id": 3}]), "boxes.json"))


def test_only_coco_s_form_has_kinds_to_choose_from(tmp_path: Path) -> None:
    joints = np.zeros((14, 3, 1))
    joints[:, 0, 0], joints[:, 1, 0], joints[:, 2, 0] = np.arange(14) + 5, np.arange(14) + 9, 1
    savemat(tmp_path / "joints.mat", {"joints": joints})
    assert cv2.imwrite(str(tmp_path / "im00001.jpg"), np.zeros((40, 40, 3), np.uint8))
    assert len(open_people(tmp_path / "joints.mat", tmp_path)) == 1
    with pytest.raises(InputError, match=r"joints\.mat.*--category"):
        open_people(tmp_path / "joints.mat", tmp_path, category="person")


def test_a_device_is_no_folder_without_labels() -> None:
    with pytest.raises(InputError, match="/dev/null: is no regular file"):
        annotation_files("/dev/null")
