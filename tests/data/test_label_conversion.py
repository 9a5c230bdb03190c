"""Labels through every format and back; predictions as what a person corrects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from tests.support.two_kinds import write_two_kinds

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Sample
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files, open_people
from logpose.data.label_conversion import (
    WRITERS,
    category_of,
    converted,
    is_predictions,
    labels_of,
    predictions_of,
)

MOUSE = {
    "id": 3,
    "name": "mouse",
    "keypoints": ["left ear & eye", "right ear & eye", 'tail "tip"'],
    "skeleton": [[1, 3], [2, 3]],
}
WIDTH, HEIGHT = 64, 48


def coco(root: Path, rows: dict[str, list[dict[str, Any]]], count: int = 4, **category: Any) -> Path:
    """A COCO folder with a file for each part: the rows of images 1 to `count`, of one file 1 to `count` again."""
    (root / "annotations").mkdir(parents=True)
    for part, own in rows.items():
        images = []
        for number in range(1, count + 1):
            (root / part).mkdir(exist_ok=True)
            cv2.imwrite(str(root / part / f"{number}.png"), np.full((HEIGHT, WIDTH, 3), number, np.uint8))
            images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        annotations = [{"id": i, "category_id": 3, "iscrowd": 0, **row} for i, row in enumerate(own)]
        table = {"images": images, "annotations": annotations, "categories": [MOUSE | category]}
        (root / "annotations" / f"person_keypoints_{part}.json").write_text(json.dumps(table))
    return root


def row(image: int = 1, *joints: float, box: tuple[float, ...] = (4, 5, 40, 30), **more: Any) -> dict[str, Any]:
    keypoints = [*joints, *(0.0,) * (9 - len(joints))]
    return {"image_id": image, "keypoints": keypoints, "bbox": list(box), "area": 400.0, **more}


PEOPLE = {
    "train": [row(1, 10, 11, 2, 20, 21, 1), row(1, 30.25, 12.5, 2, 0, 0, 0, 40, 30, 2), row(3, 8, 9, 2)],
    "val": [row(2, 12, 13, 1, 22, 23, 2, 32, 33, 2, box=(0, 0, 64, 48))],
}


def plain(sample: Sample) -> tuple[Any, ...]:
    where = str(cv2.imread(str(sample.image))[0, 0, 0])  # an image is known by its grey value
    return where, sample.keypoints.round(2).tolist(), sample.visible.tolist(), sample.box.round(2).tolist()


def people_of(path: Path, part: str | None = None, category: str | None = None) -> list[tuple[Any, ...]]:
    files = annotation_files(path)
    alone = files["train"] == files["val"]
    people = open_people(files[part or "train"], part=part if alone else None, category=category)
    return sorted(map(plain, people))


@pytest.mark.parametrize("to", ["coco", "yolo", "cvat"])
def test_both_parts_are_kept(tmp_path: Path, to: str) -> None:
    source = coco(tmp_path / "a", PEOPLE)
    result = labels_of(source)
    converted(result, tmp_path / "b", to)
    assert (result.read, result.left_out.total()) == (4, 0)
    for part in ("train", "val"):
        assert people_of(tmp_path / "b", part) == people_of(source, part)
        files = annotation_files(tmp_path / "b")
        people = open_people(files[part], part=part if files["train"] == files["val"] else None)
        assert isinstance(people, CocoKeypoints)
        assert len(people.images | people.unlabelled) == 4
        assert people.skeleton.joints == tuple(MOUSE["keypoints"])
        assert people.skeleton.bones == ((0, 2), (1, 2))
        assert people.skeleton.pairs == ((0, 1),)


def test_to_label_studio_and_back(tmp_path: Path) -> None:
    source = coco(tmp_path / "a", PEOPLE)
    converted(labels_of(source), tmp_path / "b", "label-studio")
    back = sorted(map(plain, open_people(annotation_files(tmp_path / "b")["train"])))
    assert len(back) == 4
    for found, expected in zip(back, sorted(people_of(source, "train") + people_of(source, "val")), strict=True):
        assert found[0] == expected[0]
        assert np.allclose(found[1], expected[1], atol=0.02)
        assert found[2] == expected[2]


@pytest.mark.parametrize("to", ["coco", "yolo", "cvat"])
@settings(
    max_examples=8,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    joints=st.lists(
        st.tuples(st.floats(2, WIDTH), st.floats(2, HEIGHT), st.sampled_from([0, 1, 2])), min_size=3, max_size=3
    ),
    box=st.tuples(st.floats(0, 30), st.floats(0, 20), st.floats(2, 30), st.floats(2, 25)),
)  # fmt: skip
def test_any_person_comes_back(
    tmp_path_factory: pytest.TempPathFactory, to: str, joints: list[tuple[float, ...]], box: tuple[float, ...]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    flat = [value for joint in joints for value in joint]
    source = coco(folder / "a", {part: [row(1, *flat, box=box), row(2, 9, 9, 2)] for part in ("train", "val")}, 2)
    converted(labels_of(source), folder / "b", to)
    found, expected = people_of(folder / "b", "train"), people_of(source, "train")
    assert [person[2] for person in found] == [person[2] for person in expected]
    for person, other in zip(found, expected, strict=True):
        assert np.allclose(person[1], other[1], atol=0.011)
        assert np.allclose(person[3], other[3], atol=0.021)


@pytest.mark.parametrize("to", ["coco", "cvat"])
def test_categories_keep_their_own_joints(tmp_path: Path, to: str) -> None:
    fly = {"id": 5, "name": "fly", "keypoints": ['tail "tip"', "wing"], "skeleton": [[1, 2]]}
    people = [row(1, 10, 11, 2, 20, 21, 1, 30, 31, 2), row(1, 9, 9, 2, 25, 25, 1) | {"category_id": 5}]
    people[1]["keypoints"] = people[1]["keypoints"][:6]
    source = coco(tmp_path / "a", {"train": people, "val": people})
    for file in (source / "annotations").iterdir():
        table = json.loads(file.read_text())
        table["categories"].append(fly)
        file.write_text(json.dumps(table))
    result = labels_of(source, category="all")
    converted(result, tmp_path / "b", to)
    assert [len(person["keypoints"]) for person in result.content.annotations] == [9, 6] * 2
    assert people_of(tmp_path / "b", "train", "all") == people_of(source, "train", "all")
    (one, other) = open_people(annotation_files(tmp_path / "b")["train"], category="all").skeleton.categories
    assert (one.skeleton.joints, other.skeleton.joints) == (tuple(MOUSE["keypoints"]), ('tail "tip"', "wing"))
    with pytest.raises(InputError, match="--category"):
        converted(labels_of(source, category="all"), tmp_path / "c", "yolo")
    converted(labels_of(source, category="fly"), tmp_path / "d", "yolo")
    assert [person[1] for person in people_of(tmp_path / "d", "train")] == [[[9, 9], [25, 25]]]


def test_one_file_stays_one_and_yolo_gets_parts(tmp_path: Path) -> None:
    source = coco(tmp_path / "a", {"train": [row(i, 9, 9, 2, 20, 20, 2) for i in range(1, 13)]}, 14)
    converted(labels_of(source), tmp_path / "b", "coco")
    assert set(annotation_files(tmp_path / "b").values()) == {tmp_path / "b/annotations/person_keypoints.json"}
    converted(labels_of(source), tmp_path / "c", "yolo")
    for part in ("train", "val"):
        assert people_of(tmp_path / "b", part) == people_of(source, part) == people_of(tmp_path / "c", part)
    assert len(people_of(source, "val")) == 1


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    crowd = row(1, box=(0, 0, 20, 20), iscrowd=1)
    wrong = [row(4, 1, 1, 7), row(1, 1, 1, 7), row(9, 9, 9, 2)]
    source = coco(tmp_path / "a", {"train": [*PEOPLE["train"], crowd, row(2, box=(1, 2, 20, 20)), *wrong], "val": []})
    (source / "annotations" / "person_keypoints_val.json").unlink()
    for to, count in (("coco", 3), ("yolo", 4)):
        result = labels_of(source)
        converted(result, tmp_path / to, to)
        assert result.left_out.total() == count, to
        assert result.read - count == len(result.content.annotations)
        # The image whose only person is wrong is no image without people.
        assert sorted(Path(image["file_name"]).name for image in result.content.images) == ["1.png", "2.png", "3.png"]
    table = json.loads((tmp_path / "coco/annotations/person_keypoints.json").read_text())
    assert sorted(row["iscrowd"] for row in table["annotations"]) == [0, 0, 0, 0, 1]
    assert sorted(row["num_keypoints"] for row in table["annotations"]) == [0, 0, 1, 2, 2]


def test_parts_of_lsp_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logpose.data.lsp.HELD_OUT", 3)
    joints = np.random.default_rng(0).uniform(5, 40, (3, 14, 8)) * np.array([1, 1, 0])[:, None, None]
    (tmp_path / "a" / "images").mkdir(parents=True)
    for i in range(1, 9):
        cv2.imwrite(str(tmp_path / "a" / "images" / f"im{i:04}.jpg"), np.full((HEIGHT, WIDTH, 3), 10 * i, np.uint8))
    savemat(tmp_path / "a" / "joints.mat", {"joints": joints})
    result = labels_of(tmp_path / "a")
    converted(result, tmp_path / "b", "yolo")
    assert (result.read, result.left_out.total()) == (8, 0)
    names = {part: {path.stem for path in (tmp_path / "b/labels" / part).iterdir()} for part in ("train", "val")}
    assert names == {"train": {f"im000{i}" for i in range(1, 6)}, "val": {"im0006", "im0007", "im0008"}}


def test_images_of_one_name_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    images = []
    for number, name in enumerate(("cam1/f.png", "cam2/f.png", "cam2/f.jpg", "g.png"), start=1):
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "a" / name), np.full((HEIGHT, WIDTH, 3), number, np.uint8))
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
    rows = [{"id": i, "category_id": 3, **row(i, 9 + i, 9, 2, 30, 30, 2)} for i in (1, 2, 3, 4)]
    (tmp_path / "a" / "l.json").write_text(json.dumps({"images": images, "annotations": rows, "categories": [MOUSE]}))
    converted(labels_of(tmp_path / "a"), tmp_path / "b", "yolo")
    assert people_of(tmp_path / "b") == people_of(tmp_path / "a")
    assert {path.name for path in (tmp_path / "b" / "labels").rglob("*.txt")} == {"f.txt", "f_2.txt", "g.txt"}


def test_a_joint_outside_the_image(tmp_path: Path) -> None:
    source = coco(tmp_path / "a", {"train": [row(1, 9, 9, 2, 70, 20, 2), row(2, 5, 5, 2)], "val": PEOPLE["val"]})
    result = labels_of(source)
    converted(result, tmp_path / "b", "yolo")
    assert [person[2] for person in people_of(tmp_path / "b", "train")] == [[2, 0, 0], [2, 0, 0]]
    assert sum("1 joints" in note for note in result.content.notes) == 1
    converted(labels_of(source), tmp_path / "c", "cvat")
    assert people_of(tmp_path / "c", "train") == people_of(source, "train")


def test_a_category_keeps_what_the_skeleton_has() -> None:
    given = Skeleton("fly", ("a", "b", "c"), ((0, 2),), ((0, 1),), (0.1, 0.1, 0.2))
    assert Skeleton.from_category(category_of(given, 5)) == given
    unknown = Skeleton("fly", ("1", "2"))
    assert not Skeleton.from_category(category_of(unknown)).mirrors


def test_nothing_is_written_over_and_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = coco(tmp_path / "a", PEOPLE)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("precious")
    with pytest.raises(InputError, match="b: "):
        converted(labels_of(source), tmp_path / "b", "yolo")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("logpose.data.label_conversion.shutil.copyfile", full)
    with pytest.raises(OSError, match="space"):
        converted(labels_of(source), tmp_path / "c", "yolo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["mine"]


def predictions(root: Path) -> Path:
    """What `logpose predict FOLDER --save-json` writes of two images."""
    rows = []
    for name in ("1", "2"):
        (root / "photos").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "photos" / f"{name}.png"), np.full((HEIGHT, WIDTH, 3), int(name), np.uint8))
        rows.append({
            "image_id": int(name), "category_id": 1, "keypoints": [10, 11, 0.9, 20, 21, 0.4, 40, 30, 0.7],
            "sigma": [1.0] * 6, "bbox": [5, 6, 40, 30], "score": 0.8, "file_name": f"{name}.png",
        })  # fmt: skip
    rows.append({**rows[0], "image_id": 9, "file_name": "9.png"})
    rows.append({**rows[0], "keypoints": [1, 2, 0.5]})
    (root / "found.json").write_text(json.dumps(rows))
    return root / "found.json"


SKELETON = Skeleton.from_category(MOUSE)


@pytest.mark.parametrize("to", ["cvat", "label-studio"])
def test_predictions_are_there_to_correct(tmp_path: Path, to: str) -> None:
    file = predictions(tmp_path)
    assert is_predictions(file)
    result = predictions_of(file, tmp_path / "photos", SKELETON)
    converted(result, tmp_path / "b", to)
    assert (result.read, result.left_out.total(), len(result.problems)) == (4, 2, 2)
    assert [problem.where for problem in result.problems] == [f"{file}: row 2", f"{file}: row 3"]
    if to == "cvat":
        text = (tmp_path / "b" / "annotations.xml").read_text()
        assert text.count('source="auto"') == 2 * 5  # a skeleton of three joints, and a box
        assert people_of(tmp_path / "b")[0][1:3] == ([[10, 11], [20, 21], [40, 30]], [2, 2, 2])
        labels = json.loads((tmp_path / "b" / "labels.json").read_text())
        assert [label["name"] for label in labels[0]["sublabels"]] == list(SKELETON.joints)
    else:
        tasks = json.loads((tmp_path / "b" / "tasks.json").read_text())
        assert [task["predictions"][0]["score"] for task in tasks] == [0.8, 0.8]
        assert "annotations" not in tasks[0]
        assert (tmp_path / "b" / "config.xml").is_file()


@pytest.mark.parametrize("to", ["coco", "yolo"])
def test_predictions_are_no_labels(tmp_path: Path, to: str) -> None:
    result = predictions_of(predictions(tmp_path), tmp_path / "photos", SKELETON)
    with pytest.raises(InputError, match="label-studio"):
        converted(result, tmp_path / "b", to)
    assert not (tmp_path / "b").exists()


def test_predictions_of_other_images_are_refused(tmp_path: Path) -> None:
    file = predictions(tmp_path)
    (tmp_path / "others").mkdir()
    cv2.imwrite(str(tmp_path / "others" / "x.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"found\.json.*others"):
        predictions_of(file, tmp_path / "others", SKELETON)


@pytest.mark.parametrize("text", ['{"images": []}', "[]", '[{"image": "a.png", "joints": []}]', "[1]"])
def test_labels_are_no_predictions(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.json").write_text(text)
    assert not is_predictions(tmp_path / "l.json")


def test_every_format_has_a_writer() -> None:
    assert set(WRITERS) == {"coco", "yolo", "cvat", "label-studio"}


def test_categories_keep_joints_of_their_own(coco_folder, tmp_path):
    """COCO's file of several skeletons is what it was."""
    folder = write_two_kinds(coco_folder, tmp_path / "two")
    file = folder / "annotations" / "person_keypoints_val.json"
    content = labels_of(file, category="all").content
    given = json.loads(file.read_text())
    assert [(row["id"], row["name"], row["keypoints"]) for row in content.categories] == [
        (row["id"], row["name"], row["keypoints"]) for row in given["categories"]
    ]

    def plain(rows):
        each = ((row["image_id"], row["category_id"], np.array(row["keypoints"]).reshape(-1, 3)) for row in rows)
        return sorted((*ids, np.where(joints[:, 2:] > 0, joints, 0).round(3).tolist()) for *ids, joints in each)

    assert plain(content.annotations) == plain(given["annotations"])
