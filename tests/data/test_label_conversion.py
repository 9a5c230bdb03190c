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
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
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


@pytest.mark.parametrize("step", [1, -1])
def test_one_file_stays_one_and_yolo_gets_parts(tmp_path: Path, step: int) -> None:
    source = coco(tmp_path / "a", {"train": [row(i, 9, 9, 2, 20, 20, 2) for i in range(1, 13)]}, 14)
    file = source / "annotations" / "person_keypoints_train.json"
    table = json.loads(file.read_text())
    file.write_text(json.dumps(table | {"images": table["images"][::step]}))
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


def test_images_that_cannot_be_used_are_no_people(tmp_path: Path) -> None:
    source = coco(tmp_path / "a", {"train": PEOPLE["train"]})
    (source / "train" / "4.png").unlink()
    result = labels_of(source)
    converted(result, tmp_path / "b", "coco")
    assert (result.read, result.left_out.total(), len(result.content.annotations)) == (3, 0, 3)
    assert [problem.where for problem in result.problems] == [str(source / "train" / "4.png")]


def test_rows_without_labels_keep_their_category(tmp_path: Path) -> None:
    rows = [row(1, 9, 9, 2), row(2, category_id=5), row(3, iscrowd=1, category_id=5)]
    file = coco(tmp_path / "a", {"train": rows}) / "annotations" / "person_keypoints_train.json"
    table = json.loads(file.read_text())
    table["categories"].append(MOUSE | {"id": 5, "name": "rat"})
    file.write_text(json.dumps(table))
    assert [person["category_id"] for person in labels_of(file).content.annotations] == [3, 5, 5]
    people = open_people(file)
    assert isinstance(people, CocoKeypoints)
    assert {person["category_id"] for person in people.ground_truth()["annotations"]} == {3}  # one class


def test_images_stay_in_the_folder(tmp_path: Path) -> None:
    """Of names that lead out of the folder of the labels, and in again."""
    for name in ("a/images/1.png", "b/2.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "in" / name), np.full((HEIGHT, WIDTH, 3), 9, np.uint8))
    images = [{"id": 1, "file_name": "images/1.png"}, {"id": 2, "file_name": "images/../../b/2.png"}]
    rows = [{"id": i, "category_id": 3, **row(i, 9, 9, 2, 30, 30, 2)} for i in (1, 2)]
    table = {"images": images, "annotations": rows, "categories": [MOUSE]}
    (tmp_path / "in" / "a" / "l.json").write_text(json.dumps(table))
    converted(labels_of(tmp_path / "in" / "a" / "l.json"), tmp_path / "out" / "new", "yolo")
    written = {path.name: path for path in (tmp_path / "out").rglob("*.png")}
    assert sorted(written) == ["1.png", "2.png"]
    assert all(path.is_relative_to(tmp_path / "out" / "new" / "images") for path in written.values())
    assert len(people_of(tmp_path / "out" / "new", "train") + people_of(tmp_path / "out" / "new", "val")) == 2


def test_a_third_part_is_kept(tmp_path: Path) -> None:
    source = coco(tmp_path / "a", PEOPLE | {"test": PEOPLE["val"]})
    result = labels_of(source)
    converted(result, tmp_path / "b", "coco")
    assert (result.read, result.left_out.total()) == (5, 0)
    assert len(open_people(tmp_path / "b" / "annotations" / "person_keypoints_test.json")) == 1
    file = source / "annotations" / "person_keypoints_test.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    result = labels_of(source)
    assert result.read == 4
    assert sum(str(file) in note for note in result.notes) == 1


def test_images_of_no_part_are_kept(tmp_path: Path) -> None:
    content = labels_of(coco(tmp_path / "a", PEOPLE))
    del content.content.parts[1]
    converted(content, tmp_path / "b", "coco")
    files = (tmp_path / "b" / "annotations").iterdir()
    assert sum(len(json.loads(file.read_text())["annotations"]) for file in files) == 4


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


def test_predictions_are_known_by_the_names_of_their_images(tmp_path: Path) -> None:
    """Ids are those of a list, and are names of other images in the folder."""
    file = predictions(tmp_path)
    rows = json.loads(file.read_text())[:2]
    file.write_text(json.dumps([row | {"image_id": 3 - row["image_id"]} for row in rows]))
    content = predictions_of(file, tmp_path / "photos", SKELETON).content
    names = {row["id"]: Path(row["file_name"]).name for row in content.images}
    assert [names[row["image_id"]] for row in content.annotations] == ["1.png", "2.png"]


def test_predictions_of_several_categories_have_the_ids_of_their_list(coco_folder: Path, tmp_path: Path) -> None:
    """The model learned from ids 4 and 9, and predicted on a list with 7 and 2."""
    folder = write_two_kinds(coco_folder, tmp_path / "two")
    parts = {part: folder / "annotations" / f"person_keypoints_{part}.json" for part in ("train", "val")}
    skeleton = open_people(parts["train"], category="all").skeleton
    content = json.loads(parts["val"].read_text())
    names = {row["id"]: row["name"] for row in content["categories"]}
    counts = {row["id"]: len(row["keypoints"]) for row in content["categories"]}
    rows = [
        {
            "image_id": content["images"][0]["id"], "category_id": number, "category": names[number],
            "keypoints": [5.0, 6.0, 0.5] * counts[number], "score": 0.5,
        }
        for number in (7, 2)
    ]  # fmt: skip
    (tmp_path / "found.json").write_text(json.dumps(rows))
    result = predictions_of(tmp_path / "found.json", parts["val"], skeleton).content
    named = {row["id"]: row["name"] for row in result.categories}
    assert [named[row["category_id"]] for row in result.annotations] == [names[7], names[2]]
    (tmp_path / "wrong.json").write_text(json.dumps([rows[0], rows[0] | {"category": names[2]}]))
    assert len(predictions_of(tmp_path / "wrong.json", parts["val"], skeleton).problems) == 1


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
