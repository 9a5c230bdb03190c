"""YOLO pose data sets: what is read, what is named as wrong, and where images are looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files, open_people

WIDTH, HEIGHT = 80, 60
ROW = "0 0.5 0.5 0.4 0.6 0.4 0.3 2 0.6 0.7 1"
"""A mouse: box from 24, 12 to 56, 48; joints at 32, 18 and, hidden, at 48, 42."""
TABLE = {"train": "images/train", "val": "images/val", "names": {0: "mouse"}, "kpt_shape": [2, 3]}


def image(path: Path, width: int = WIDTH, height: int = HEIGHT, orientation: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if orientation is None:
        path.write_bytes(cv2.imencode(path.suffix.lower(), np.full((height, width, 3), 90, np.uint8))[1].tobytes())
    else:
        from PIL import Image

        pixels = Image.new("RGB", (width, height))
        exif = pixels.getexif()
        exif[0x0112] = orientation
        pixels.save(path, exif=exif)
    return path


def write(root: Path, labels: dict[str, str | bytes | None], **changes: Any) -> Path:
    """A data set of an image for each name ("train/a"), with this text beside; returns the `data.yaml`."""
    for name, text in labels.items():
        image(root / "images" / f"{name}.png")
        if text is not None:
            file = root / "labels" / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = {key: value for key, value in (TABLE | changes).items() if value is not None}
    (root / "data.yaml").write_text(yaml.safe_dump(table))
    return root / "data.yaml"


def people_of(file: Path, part: str | None = None, **more: Any) -> CocoKeypoints:
    people = open_people(file, part=part, **more)
    assert isinstance(people, CocoKeypoints)
    return people


def test_rows_are_people_in_pixels(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": ROW, "val/b": ROW + "\n" + ROW.replace("0.4 0.3", "0.45 0.3")})
    people = people_of(file)
    assert people.skeleton.joints == ("1", "2")
    assert people.skeleton.name == "mouse"
    assert [sample.image.name for sample in people] == ["a.png", "b.png", "b.png"]
    assert people[0].keypoints == pytest.approx(np.array([[32, 18], [48, 42]]))
    assert people[0].visible.tolist() == [2, 1]
    assert people[0].box == pytest.approx(np.array([24, 12, 31, 35]))  # a box ends with its last pixel's centre
    assert not people.problems


def test_the_parts_are_those_of_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": ROW, "val/b": ROW, "test/c": ROW, "train/d": None}, test="images/test")
    assert {part: [s.image.name for s in people_of(file, part)] for part in ("train", "val")} == {
        "train": ["a.png"],
        "val": ["b.png"],
    }
    assert len(people_of(file)) == 3
    assert annotation_files(tmp_path) == {"train": tmp_path, "val": tmp_path}
    assert annotation_files(file) == {"train": file, "val": file}
    assert len(people_of(tmp_path)) == 3


@pytest.mark.parametrize("val", [None, "images/train"])
def test_without_val_images_every_tenth_is_held_out(tmp_path: Path, val: str | None) -> None:
    labels = {f"train/{i:02}": ROW if i % 2 else "" for i in range(40)}
    file = write(tmp_path, labels | {"test/x": ROW}, val=val, test="images/test")
    train, held = people_of(file, "train"), people_of(file, "val")
    assert [sample.image.stem for sample in held] == ["19", "39"]
    assert len(train) == 18
    assert not {"x"} & {path.stem for path in (*train.images.values(), *held.images.values())}
    assert (len(train.unlabelled), len(held.unlabelled)) == (18, 2)
    assert any(str(file) in note for note in train.notes)


def test_images_without_a_person_are_kept(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": ROW, "train/b": None, "train/c": "", "train/d": "\n  \n", "val/e": ROW})
    images = people_of(file, "train").whole_images()
    assert {images[i].image.stem: len(images[i].people) for i in range(len(images))} == {"a": 1, "b": 0, "c": 0, "d": 0}


WRONG = {
    "too few": ("0 0.5 0.5 0.4 0.6 0.4 0.3 2 0.6 0.7", "got 10"),
    "a confidence at its end": (ROW + " 0.9", "got 12"),
    "a segment": ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "got 9"),
    "a box alone": ("0 0.5 0.5 0.4 0.6", "no keypoints"),
    "pixels": ("0 40 30 32 36 32 18 2 48 42 1", "got 40"),
    "a joint outside": (ROW.replace("0.4 0.3", "0.4 -0.3"), "got -0.3"),
    "a comma": (ROW.replace("0.3", "0,3"), "0,3"),
    "a word": (ROW.replace("0.3", "nose"), "nose"),
    "no number": (ROW.replace("0.4 0.3", "nan 0.3"), "finite"),
    "no number in the box": (ROW.replace("0.5", "nan", 1), "finite"),
    "infinite": (ROW.replace("0.4 0.3", "inf 0.3"), "got inf"),
    "another class": ("3" + ROW[1:], "(3)"),
    "half a class": ("0.5" + ROW[1:], "(0.5)"),
    "a flag of its own": (ROW[:-1] + "0.87", "got 0.87"),
    "no width": (ROW.replace("0.4", "0", 1), "no area"),
}


@pytest.mark.parametrize(("row", "detail"), WRONG.values(), ids=WRONG.keys())
def test_each_wrong_row_is_named(tmp_path: Path, row: str, detail: str) -> None:
    file = write(tmp_path, {"train/a": f"{ROW}\n\n{row}\n", "val/b": ROW})
    people = people_of(file, "train")
    assert len(people) == 1
    (problem,) = people.problems
    assert problem.where == f"{tmp_path / 'labels/train/a.txt'}: line 3"
    assert detail in str(problem)
    with pytest.raises(InputError, match="line 3"):
        people_of(file, "train", strict=True)


def test_a_box_alone_is_a_region_to_ignore(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": f"{ROW}\n0 0.25 0.25 0.5 0.5", "val/b": ROW})
    (listed,) = [people_of(file, "train").whole_images()[0]]
    assert [ignored.box.tolist() for ignored in listed.ignored] == [[0, 0, 40, 30]]


def test_every_row_is_used_or_named_or_counted(tmp_path: Path) -> None:
    rows = [ROW, ROW, ROW.replace("0.4 0.3 2 0.6 0.7 1", "0 0 0 0 0 0"), *(row for row, _ in WRONG.values())]
    people = people_of(write(tmp_path, {"train/a": "\n".join(rows), "val/b": ROW}), "train")
    counted = people.counts["repeated rows"] + people.counts["without labelled joints"]
    assert (len(people), counted) == (1, 2)
    assert len(rows) == len(people) + len(people.problems) + counted


@pytest.mark.parametrize(
    "text",
    [ROW.replace(" ", "\t") + "\r\n", "\ufeff" + ROW, "0.0" + ROW[1:], f"  {ROW}  \n\n", ROW.replace("2", "2.0")],
)
def test_texts_of_other_systems(tmp_path: Path, text: str) -> None:
    (person,) = people_of(write(tmp_path, {"train/a": text, "val/b": ROW}), "train")
    assert person.keypoints == pytest.approx(np.array([[32, 18], [48, 42]]))


def test_a_little_overshoot_is_moved_to_the_edge(tmp_path: Path) -> None:
    row = "0 0.9 0.5 0.21 0.6 1.004 0.3 2 0.85 -0.002 2"
    people = people_of(write(tmp_path, {"train/a": row, "val/b": ROW}), "train")
    assert people[0].keypoints.tolist() == [[80, 18], [68, 0]]
    assert sum("joints of 1 people" in note for note in people.notes) == 1


def test_joints_without_flags(tmp_path: Path) -> None:
    rows = ["0 0.5 0.5 0.4 0.6 0.4 0.3 0.6 0.7", "0 0.5 0.5 0.4 0.6 0 0 0.6 0.7", "0 0.5 0.5 0.4 0.6 0.4 0.3 -0.5 0.7"]
    people = people_of(write(tmp_path, {"train/a": "\n".join(rows), "val/b": rows[0]}, kpt_shape=[2, 2]), "train")
    assert [sample.visible.tolist() for sample in people] == [[2, 2], [0, 2], [2, 0]]


def test_classes_are_categories(tmp_path: Path) -> None:
    labels = {"train/a": ROW + "\n1" + ROW[1:], "val/b": ROW}
    names = {"names": ["mouse", "rat"], "nc": 2, "kpt_names": {0: ["nose", "tail"], 1: ["nose", "tail"]}}
    people = people_of(write(tmp_path, labels, **names), "train")
    assert [sample.category_id for sample in people] == [0, 1]
    assert people.skeleton.joints == ("nose", "tail")
    assert [sample.category_id for sample in people_of(tmp_path / "data.yaml", "train", category="rat")] == [1]


def test_joints_of_coco_are_known_by_their_mirror_pairs(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.4 0.6" + " 0.4 0.3 2" * 8 + " 0.5 0.6 2" * 9
    flips = list(COCO.flip_index)
    known = people_of(write(tmp_path / "a", {"train/a": row, "val/b": row}, kpt_shape=[17, 3], flip_idx=flips))
    assert known.skeleton.joints == COCO.joints
    assert any("COCO" in note for note in known.notes)
    flips[0], flips[1] = flips[1], flips[0]
    flips[2], flips[0] = flips[0], 0
    other = people_of(write(tmp_path / "b", {"train/a": row, "val/b": row}, kpt_shape=[17, 3]))
    assert other.skeleton.joints == tuple(map(str, range(1, 18)))
    assert not other.skeleton.mirrors


def test_mirror_pairs(tmp_path: Path) -> None:
    people = people_of(write(tmp_path, {"train/a": ROW, "val/b": ROW}, flip_idx=[1, 0]))
    assert people.skeleton.pairs == ((0, 1),)
    write(tmp_path, {}, flip_idx=[1, 1])
    with pytest.raises(InputError, match=r"flip_idx"):
        people_of(tmp_path / "data.yaml")


def test_images_that_their_exif_data_turn(tmp_path: Path) -> None:
    file = write(tmp_path, {"val/b": ROW})
    image(tmp_path / "images/train/a.jpg", WIDTH, HEIGHT, orientation=6)
    (tmp_path / "labels/train").mkdir()
    (tmp_path / "labels/train/a.txt").write_text(ROW)
    (person,) = people_of(file, "train")
    assert person.keypoints == pytest.approx(np.array([[24, 24], [36, 56]]))  # of 60×80


def test_a_text_without_an_image_and_one_of_two_images(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": ROW, "train/b": ROW, "val/c": ROW})
    (tmp_path / "labels/train/gone.txt").write_text(ROW)
    (tmp_path / "labels/train/classes.txt").write_text("mouse\n")
    image(tmp_path / "images/train/b.jpg")
    people = people_of(file, "train")
    assert [sample.image.name for sample in people] == ["a.png"]
    assert sorted(Path(problem.where).name for problem in people.problems) == ["b.jpg", "b.png", "gone.txt"]
    assert not people.unlabelled


def test_a_text_that_cannot_be_decoded(tmp_path: Path) -> None:
    people = people_of(write(tmp_path, {"train/a": ROW, "train/b": ROW.encode("utf-16"), "val/c": ROW}), "train")
    assert [problem.where for problem in people.problems] == [str(tmp_path / "labels/train/b.txt")]


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": ROW, "train/b": ROW, "val/c": ROW})
    (tmp_path / "images/train/b.png").write_bytes(b"no image")
    people = people_of(file, "train")
    assert len(people) == 1
    assert [problem.detail for problem in people.problems] == [str(tmp_path / "images/train/b.png")]


def test_labels_beside_images_below_and_behind_links(tmp_path: Path) -> None:
    image(tmp_path / "else" / "deep" / "a.png")
    (tmp_path / "else" / "deep" / "a.txt").write_text(ROW)
    (tmp_path / "else" / "licence.txt").write_text("You may")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "else")
    (tmp_path / "else" / "round").symlink_to(tmp_path / "else")
    people = people_of(write(tmp_path / "set", {}, train="linked", val=None))
    assert [sample.image.name for sample in people] == ["a.png"]
    assert not people.problems


def test_images_without_any_text_file_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, {"train/a": None, "val/b": None})
    with pytest.raises(InputError, match=str(tmp_path / "labels" / "train")):
        people_of(file)


def test_an_image_whose_rows_are_all_wrong_is_not_one_without_people(tmp_path: Path) -> None:
    people = people_of(write(tmp_path, {"train/a": ROW, "train/b": ROW + " 0.9", "train/c": "", "val/d": ROW}), "train")
    assert [path.name for path in people.unlabelled.values()] == ["c.png"]


def test_rows_that_are_all_wrong_are_named(tmp_path: Path) -> None:
    """As they are where `kpt_shape` has another number of joints: the images are there."""
    file = write(tmp_path, {"train/a": ROW, "val/b": ROW}, kpt_shape=[3, 3])
    with pytest.raises(InputError, match=r"2 wrong rows: .*a\.txt: line 1: .* 14 numbers .*got 11"):
        people_of(file)
