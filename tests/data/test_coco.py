"""Anyone's COCO file: every wrong row is named and left out, every sound one is read as it stands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files
from logpose.data.problems import Problem, log_problems
from logpose.metrics.oks import coco_ap

JOINTS = ["left_ear", "right_ear", "tail"]
ROW = {
    "id": 10,
    "image_id": 1,
    "category_id": 3,
    "iscrowd": 0,
    "bbox": [10, 20, 30, 16],
    "area": 200.5,
    "keypoints": [12, 22, 2, 30.5, 25, 1, 0, 0, 0],
    "num_keypoints": 2,
}


def write(folder: Path, content: Any, name: str = "annotations.json") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def content(*rows: Any, images: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": i + 1, "file_name": f"{i + 1}.png", "width": 64, "height": 48} for i in range(images)],
        "annotations": list(rows) or [ROW],
        "categories": [{"id": 3, "name": "cat", "keypoints": JOINTS, "skeleton": [[1, 3], [2, 3]]}],
        **more,
    }


def draw(folder: Path, count: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        assert cv2.imwrite(str(folder / f"{i + 1}.png"), np.full((48, 64, 3), 7 * i % 256, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw(tmp_path / "images", 3)
    return tmp_path


# What is right


def test_a_sound_row(folder: Path) -> None:
    people = CocoKeypoints(write(folder, content()))
    assert len(people) == 1
    person = people[0]
    assert person.image == folder / "images" / "1.png"
    assert person.box.tolist() == [10, 20, 29, 15]  # the far corner is x + w - 1
    assert person.keypoints.tolist() == [[12, 22], [30.5, 25], [0, 0]]
    assert person.visible.tolist() == [2, 1, 0]
    assert (person.area, person.image_id, person.id, person.score) == (200.5, 1, 10, 1.0)
    assert people.problems == []
    assert people.category == 3
    assert dict(people.counts) == {"images": 1, "images used": 1, "annotations": 1, "people": 1}


def test_any_skeleton(folder: Path) -> None:
    skeleton = CocoKeypoints(write(folder, content())).skeleton
    assert skeleton.name == "cat"
    assert skeleton.joints == tuple(JOINTS)
    assert skeleton.bones == ((0, 2), (1, 2))
    assert skeleton.pairs == ((0, 1),)
    assert skeleton.sigmas == (0.05,) * 3
    of_coco = content({**ROW, "keypoints": [30, 30, 2] * 17})
    of_coco["categories"][0]["keypoints"] = list(COCO.joints)
    assert CocoKeypoints(write(folder, of_coco)).skeleton.sigmas == COCO.sigmas


def test_what_may_be_left_out(folder: Path) -> None:
    bare = {key: ROW[key] for key in ("image_id", "category_id", "bbox", "keypoints")}
    file = content(bare, {**bare, "keypoints": [math.nan, math.nan, 0, 30, 25, 2, 12, 22, 1]})
    del file["images"][0]["width"], file["images"][0]["height"]
    people = CocoKeypoints(write(folder, file))
    assert people.problems == []
    assert people[0].area == pytest.approx(0.53 * 30 * 16)
    assert [person.id for person in people] == [0, 1]
    assert np.isfinite(people[1].keypoints).all()
    # And such a file can be evaluated.
    results = [
        {"image_id": 1, "category_id": 3, "keypoints": [12, 22, 1, 30.5, 25, 1, 0, 0, 1], "score": 0.9},
        {"image_id": 1, "category_id": 3, "keypoints": [0, 0, 1, 30, 25, 1, 12, 22, 1], "score": 0.8},
    ]
    assert coco_ap(people.ground_truth(), results, people.skeleton.sigmas)["ap"] == pytest.approx(1)


def test_crowds_other_categories_and_people_without_joints_are_passed_over(folder: Path) -> None:
    rows = [
        ROW,
        {**ROW, "id": 11, "iscrowd": 1, "keypoints": [0] * 9},
        {**ROW, "id": 12, "keypoints": [5, 5, 0] * 3, "num_keypoints": 0},
        {**ROW, "id": 13, "category_id": 9},
    ]
    people = CocoKeypoints(write(folder, content(*rows)), strict=True)
    assert [person.id for person in people] == [10]
    assert people.problems == []
    assert people.counts["crowds"] == 1
    assert people.counts["without labelled joints"] == 1
    assert people.counts["of other categories"] == 1
    # The evaluation wants to know of the crowd, and of whoever has no joints, but not of dogs.
    truth = people.ground_truth()
    assert [row["iscrowd"] for row in truth["annotations"]] == [0, 1, 0]
    assert [row["num_keypoints"] for row in truth["annotations"]] == [2, 0, 0]
    assert [row["area"] for row in truth["annotations"]] == [ROW["area"]] * 3
    assert len({row["id"] for row in truth["annotations"]}) == 3
    assert 0 not in {row["id"] for row in truth["annotations"]}
    assert [row["id"] for row in truth["categories"]] == [3]


# What is wrong with a row

BAD_ROWS: dict[str, tuple[Any, str]] = {
    "no keypoints": ({key: value for key, value in ROW.items() if key != "keypoints"}, "no keypoints"),
    "keypoints are null": ({**ROW, "keypoints": None}, "no keypoints"),
    "keypoints are an object": ({**ROW, "keypoints": {"x": 1}}, "no keypoints"),
    "wrong number": ({**ROW, "keypoints": [1, 2, 2]}, "got 3"),
    "one too many": ({**ROW, "keypoints": [*ROW["keypoints"], 1]}, "9 numbers (3 joints × 3) (got 10)"),
    "nan": ({**ROW, "keypoints": [math.nan, 22, 2, *[0] * 6]}, "keypoints must be finite"),
    "infinite": ({**ROW, "keypoints": [12, -math.inf, 1, *[0] * 6]}, "keypoints must be finite"),
    "flag is nan": ({**ROW, "keypoints": [12, 22, math.nan, *[0] * 6]}, "keypoints must be finite"),
    "flag 3": ({**ROW, "keypoints": [12, 22, 3, *[0] * 6]}, "(got 3)"),
    "flag -1": ({**ROW, "keypoints": [12, 22, -1, *[0] * 6]}, "(got -1)"),
    "flag .5": ({**ROW, "keypoints": [12, 22, 0.5, *[0] * 6]}, "(got 0.5)"),
    "words": ({**ROW, "keypoints": ["a", 22, 2, *[0] * 6]}, "keypoints must be numbers"),
    "numbers as words": ({**ROW, "keypoints": ["12", "22", "2", *["0"] * 6]}, "keypoints must be numbers"),
    "nested": ({**ROW, "keypoints": [[12, 22, 2]] * 9}, "keypoints must be numbers"),
    "nulls": ({**ROW, "keypoints": [None] * 9}, "keypoints must be numbers"),
    "endless integer": ({**ROW, "keypoints": [10**400, 22, 2, *[0] * 6]}, "keypoints must be numbers"),
    "no box": ({**ROW, "bbox": None}, "bbox must be four finite numbers"),
    "box of three": ({**ROW, "bbox": [1, 2, 3]}, "bbox must be four finite numbers"),
    "box of words": ({**ROW, "bbox": ["1", "2", "30", "16"]}, "bbox must be four finite numbers"),
    "box with nan": ({**ROW, "bbox": [1, math.nan, 30, 16]}, "bbox must be four finite numbers"),
    "bbox has no area": ({**ROW, "bbox": [10, 20, 0, 16]}, "bbox has no area ([10.0, 20.0, 0.0, 16.0])"),
    "negative box": ({**ROW, "bbox": [10, 20, -30, 16]}, "bbox has no area"),
    "outside": ({**ROW, "bbox": [70, 20, 30, 16]}, "bbox outside the image ([70.0, 20.0, 30.0, 16.0])"),
    "unknown image": ({**ROW, "image_id": 77}, "(image_id 77)"),
    "image id is a word": ({**ROW, "image_id": "1"}, "(image_id 1)"),
    "image id is a list": ({**ROW, "image_id": [1]}, "image_id"),
    "no image id": ({key: value for key, value in ROW.items() if key != "image_id"}, "image_id"),
}


@pytest.mark.parametrize(("row", "message"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_bad_rows_are_listed_and_left_out(folder: Path, row: dict[str, Any], message: str) -> None:
    row = {**row, "id": 345}
    file = write(folder, content(ROW, row, {**ROW, "id": 12}))
    people = CocoKeypoints(file)
    assert [person.id for person in people] == [10, 12]
    (problem,) = people.problems
    assert str(problem).startswith(f"{file}: annotation 1 (id 345): ")
    assert message in str(problem)
    assert "\n" not in str(problem)
    assert people.counts["people"] == 2
    # Nor is it to be found in the evaluation: where its box can be read, somebody is there, found or not.
    truth, box = people.ground_truth(), row.get("bbox")
    sound = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    there = sound and row.get("image_id") == 1 and np.abs(box).max() <= 1e6 and min(box[2:]) > 0
    assert [annotation["iscrowd"] for annotation in truth["annotations"]] == ([0, 0, 1] if there else [0, 0])
    results = [
        {"image_id": 1, "category_id": 3, "keypoints": [12, 22, 1, 30.5, 25, 1, 0, 0, 1], "score": score}
        for score in (0.9, 0.8)
    ]
    assert coco_ap(truth, results, people.skeleton.sigmas)["ap"] == pytest.approx(1)
    with pytest.raises(InputError) as caught:
        CocoKeypoints(file, strict=True)
    assert str(caught.value) == f"{problem} (and 0 more wrong rows)"


@pytest.mark.parametrize("row", [None, 5, "row", [1]])
def test_rows_that_are_no_rows(folder: Path, row: Any) -> None:
    people = CocoKeypoints(write(folder, content(ROW, row)))
    assert [str(problem).rsplit(": ", 2)[-2:] for problem in people.problems] == [["annotation 1", "not a JSON object"]]
    assert len(people.ground_truth()["annotations"]) == 1


@pytest.mark.parametrize("number", ["x", None, 1.5, [2]])
def test_an_annotations_own_number_does_not_matter(folder: Path, number: Any) -> None:
    people = CocoKeypoints(write(folder, content(ROW, {**ROW, "id": number})), strict=True)
    assert [person.id for person in people] == [10, 1]


def test_all_problems_are_listed(folder: Path) -> None:
    rows = [{**row, "id": 100 + i} for i, (row, _) in enumerate(BAD_ROWS.values())]
    file = write(folder, content(ROW, *rows))
    people = CocoKeypoints(file)
    assert len(people) == 1
    assert len(people.problems) == len(BAD_ROWS)
    assert len({problem.where for problem in people.problems}) == len(BAD_ROWS)
    with pytest.raises(InputError, match=rf"and {len(BAD_ROWS) - 1} more wrong rows"):
        CocoKeypoints(file, strict=True)


def test_nobody_left_names_the_first_fault(folder: Path) -> None:
    file = write(folder, content({**ROW, "bbox": [10, 20, 0, 0]}, {**ROW, "iscrowd": -1}))
    with pytest.raises(
        InputError,
        match=r"no labelled cat; the first of 2 wrong rows: .*annotation 0 \(id 10\): bbox has no area",
    ):
        CocoKeypoints(file)
    with pytest.raises(InputError, match=r"cat$"):
        CocoKeypoints(write(folder, content({**ROW, "iscrowd": 1})))


@pytest.mark.parametrize("given", ["0", 2, None, "false"])
def test_whether_it_is_a_crowd_must_be_given_as_in_coco(folder: Path, given: object) -> None:
    people = CocoKeypoints(write(folder, content(ROW, {**ROW, "id": 11, "iscrowd": given})))
    assert len(people) == 1
    (problem,) = people.problems
    assert "annotation 1 (id 11)" in problem.where
    assert (problem.kind, problem.detail) == ("iscrowd must be 0 or 1", f"got {given!r}")


def test_true_and_false_are_crowds_and_none(folder: Path) -> None:
    people = CocoKeypoints(write(folder, content({**ROW, "iscrowd": False}, {**ROW, "id": 11, "iscrowd": True})))
    assert len(people) == 1
    assert people.counts["crowds"] == 1
    assert not people.problems


def test_one_missing_image_does_not_say_where_the_others_are(tmp_path: Path) -> None:
    rows = [{**ROW, "id": i, "image_id": i + 1} for i in range(3)]
    file = write(tmp_path / "annotations", content(*rows, images=3), "cats_val.json")
    draw(tmp_path / "images", 3)
    (tmp_path / "images" / "1.png").unlink()
    people = CocoKeypoints(file)
    assert people.image_folder == tmp_path / "images"
    assert len(people) == 2


# What is wrong with an image


def two_images(folder: Path) -> dict[str, Any]:
    return content(ROW, {**ROW, "id": 11, "image_id": 2}, images=2)


def broken(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "no such file"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (broken, "truncated image"),
        (lambda path: path.write_text("<html>"), "not a readable image"),
    ],
    ids=["missing", "empty", "truncated", "a web page"],
)
def test_bad_images_are_listed_once_and_their_people_left_out(
    folder: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(folder / "images" / "2.png")
    rows = two_images(folder)
    rows["annotations"].append({**ROW, "id": 12, "image_id": 2})
    file = write(folder, rows)
    people = CocoKeypoints(file)
    assert [person.id for person in people] == [10]
    (problem,) = people.problems
    assert str(problem) == f"{file}: image 1 (id 2): {message} ({folder / 'images' / '2.png'})"
    assert problem == Problem(f"{file}: image 1 (id 2)", message, str(folder / "images" / "2.png"))
    assert [row["id"] for row in people.ground_truth()["images"]] == [1]
    with pytest.raises(InputError, match="image 1"):
        CocoKeypoints(file, strict=True)


def test_a_image_with_a_hole_is_a_problem_of_its_own(folder: Path) -> None:
    image = folder / "images" / "2.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:20] + b"?" * 8 + whole[-12:])  # its end is as it should be
    people = CocoKeypoints(write(folder, two_images(folder)))
    assert [person.id for person in people] == [10]
    assert [problem.kind for problem in people.problems] == ["not a readable image"]


@pytest.mark.parametrize("number", ["x", [1], 1.5, math.inf, None, True])
def test_a_category_needs_a_number(folder: Path, number: Any) -> None:
    rows = content()
    rows["categories"][0]["id"] = number
    with pytest.raises(InputError, match="category id"):
        CocoKeypoints(write(folder, rows))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [1e300, 22, 2, 30.5, 25, 1, 0, 0, 0]}, "keypoints beyond ±1e+06 pixels"),
        ({"bbox": [0.1, 0.2, 0.5, 0.6]}, "bbox of a pixel or less (relative coordinates? expected pixels)"),
        ({"bbox": [5, 5, 1, 1]}, "bbox of a pixel or less"),
        ({"bbox": [1e308, 5, 1e308, 10]}, "bbox must be four finite numbers x, y, width, height"),
    ],
)
def test_numbers_that_cannot_be_pixels(folder: Path, change: dict[str, Any], message: str) -> None:
    people = CocoKeypoints(write(folder, content(ROW, {**ROW, "id": 11, **change})))
    assert [problem.kind for problem in people.problems] == [message]


def test_width_and_height_that_are_swapped_in_the_file(folder: Path) -> None:
    rows = two_images(folder)
    rows["images"][1] |= {"width": 48, "height": 64}
    (problem,) = CocoKeypoints(write(folder, rows)).problems
    assert "swapped" in problem.detail
    assert "EXIF" not in problem.detail


def test_people_without_a_box_have_one_around_their_joints(folder: Path) -> None:
    without = {key: value for key, value in ROW.items() if key != "bbox"}
    single = {**without, "id": 12, "keypoints": [12, 22, 2, 0, 0, 0, 0, 0, 0]}
    people = CocoKeypoints(write(folder, content({**without, "id": 11}, single)))
    assert [person.box.tolist() for person in people] == [pytest.approx([12, 21.1875, 18.5, 4.625])]
    assert [problem.where.rpartition("id ")[2] for problem in people.problems] == ["12)"]
    assert "1 people without a bbox" in people.notes[0]


def test_boxes_given_by_their_corners_are_reported(folder: Path) -> None:
    corners = {**ROW, "bbox": [10, 20, 41, 46]}
    assert any("corners" in note for note in CocoKeypoints(write(folder, content(corners))).notes)
    assert not CocoKeypoints(write(folder, content())).notes


def test_annotations_of_no_category_are_counted_where_nobody_is_left(folder: Path) -> None:
    without = {key: value for key, value in ROW.items() if key != "category_id"}
    with pytest.raises(InputError, match="2 annotations have other category_ids"):
        CocoKeypoints(write(folder, content(without, {**without, "id": 11})))


@pytest.mark.parametrize("orientation", [1, 6])
def test_labels_made_on_a_image_of_another_size_or_before_turning_it(folder: Path, orientation: int) -> None:
    image = folder / "images" / "2.jpg"
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.new("RGB", (64 if orientation == 6 else 80, 48)).save(image, exif=exif)
    rows = two_images(folder)
    rows["images"][1]["file_name"] = "2.jpg"
    file = write(folder, rows)
    people = CocoKeypoints(file)
    assert [person.id for person in people] == [10]
    seen, why = ("48×64", "; its EXIF data rotate it, so labels made before the rotation do not fit")
    if orientation == 1:
        seen, why = "80×48", ""
    (problem,) = people.problems
    assert str(problem) == (
        f"{file}: image 1 (id 2): width and height are not the image's (64×48, {image} has {seen}{why})"
    )
    # Without a size there is nothing to disagree with.
    del rows["images"][1]["width"]
    assert len(CocoKeypoints(write(folder, rows))) == 2


def test_images_that_nobody_is_in_are_not_looked_at(folder: Path) -> None:
    file = write(
        folder, content(images=3) | {"images": [*content(images=1)["images"], {"id": 9, "file_name": "gone.png"}]}
    )
    people = CocoKeypoints(file, strict=True)
    assert people.counts["images"] == 2
    assert people.counts["images used"] == 1


@pytest.mark.parametrize(
    "row",
    [
        None,
        3,
        {"id": 2},
        {"file_name": "2.png"},
        {"id": 2, "file_name": 7},
        {"id": "2", "file_name": "2.png"},
        {"id": [2], "file_name": "2.png"},
    ],
)
def test_bad_image_rows(folder: Path, row: Any) -> None:
    rows = two_images(folder)
    rows["images"][1] = row
    people = CocoKeypoints(write(folder, rows))
    assert [person.id for person in people] == [10]
    assert [problem.kind for problem in people.problems] == [
        "needs an integer id and a file_name",
        "no image with this image_id",
    ]


def test_two_images_of_one_number(folder: Path) -> None:
    rows = content(images=2)
    rows["images"][1]["id"] = 1
    rows["images"].append({**rows["images"][0], "id": 3, "file_name": "3.png"})
    rows["annotations"].append({**ROW, "id": 12, "image_id": 3})
    file = write(folder, rows)
    people = CocoKeypoints(file)
    assert [person.image.name for person in people] == ["3.png"], "whose labels the others are is not known"
    assert [(problem.where, problem.kind) for problem in people.problems] == [
        (f"{file}: image 0", "id of several images"),
        (f"{file}: image 1", "id of several images"),
        (f"{file}: annotation 0 (id 10)", "image_id of several images"),
    ]
    rows["images"][1] = dict(rows["images"][0])  # the same image twice
    people = CocoKeypoints(write(folder, rows))
    assert [person.image.name for person in people] == ["1.png", "3.png"]
    assert [problem.kind for problem in people.problems] == ["duplicate id"]


@pytest.mark.parametrize(
    "name",
    ["/home/somebody/data/{}", "images\\{}", "..\\..\\media\\upload\\4\\{}", "C:\\data\\{}", "data/{}", "file/a/{}"],
)
def test_names_of_another_machine_are_looked_for_in_the_folder_that_is_named(tmp_path: Path, name: str) -> None:
    draw(tmp_path / "somewhere", 3)
    rows = content(*({**ROW, "id": i, "image_id": i} for i in (1, 2, 3)), images=3)
    for row in rows["images"]:
        row["file_name"] = name.format(row["file_name"])
    file = write(tmp_path / "labels", rows)
    people = CocoKeypoints(file, tmp_path / "somewhere")
    assert [person.image for person in people] == [tmp_path / "somewhere" / f"{i}.png" for i in (1, 2, 3)]
    with pytest.raises(InputError, match="--images") as caught:
        CocoKeypoints(file)
    assert str(tmp_path / "labels" / "images") in str(caught.value), "which folders were tried"
    with pytest.raises(InputError, match=f"{tmp_path / 'nowhere'}; --images"):
        CocoKeypoints(file, tmp_path / "nowhere")


def test_backslashes_are_paths_in_the_usual_places_too(folder: Path) -> None:
    rows = content()
    rows["images"][0]["file_name"] = ".\\1.png"
    assert CocoKeypoints(write(folder, rows))[0].image == folder / "images" / "1.png"


def test_one_file_is_not_two_images(folder: Path) -> None:
    rows = content(*({**ROW, "id": i, "image_id": i} for i in (1, 2, 3)), images=3)
    rows["images"][0]["file_name"], rows["images"][1]["file_name"] = "cam1/1.png", "cam2/1.png"
    people = CocoKeypoints(write(folder, rows), folder / "images")
    assert [person.image_id for person in people] == [3]
    assert {problem.kind for problem in people.problems} == {"file_name fits the file of another image"}
    (folder / "images" / "cam1").mkdir()
    draw(folder / "images" / "cam1")
    people = CocoKeypoints(write(folder, rows), folder / "images")
    assert [person.image.parent.name for person in people] == ["cam1", "images", "images"]


# What is wrong with a file

FILES = {
    "empty": ("", r"empty"),
    "blank": ("  \n\n", r"empty"),
    "not JSON": ('{"images": [],\n "annotations": oops}', r"not JSON: .* at line 2, column 17"),
    "breaks off": ('{"images": [\n\n{"id": 1', r"not JSON: .* at line 3"),
    "a list": ("[]", r"'images'"),
    "no annotations": ('{"images": []}', r"'annotations'"),
    "annotations are an object": (
        '{"images": [], "annotations": {}, "categories": []}',
        r"'annotations'",
    ),
    "no categories": ('{"images": [], "annotations": []}', r"'categories'"),
    "thousands of brackets": ("[" * 100_000, r"unreadable JSON"),
    "a number of thousands of digits": ("1" * 5000, r"unreadable JSON"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES.keys())
def test_files_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InputError, match=rf"annotations\.json: .*{message}") as caught:
        CocoKeypoints(file)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json"):
        CocoKeypoints(tmp_path / "gone.json")
    (tmp_path / "x.json").write_bytes(b"\x89PNG\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"x\.json"):
        CocoKeypoints(tmp_path / "x.json")


def test_a_detection_file_has_no_keypoints(folder: Path) -> None:
    boxes_only = {key: value for key, value in ROW.items() if key != "keypoints"}
    with pytest.raises(InputError, match="2 annotations"):
        CocoKeypoints(write(folder, content(boxes_only, boxes_only)))


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([], "category"),
        ([{"id": 1, "name": "dog"}], "category"),
        ([{"id": i, "name": n, "keypoints": [n]} for i, n in ((1, "dog"), (2, "cat"))], r"different .*\(dog, cat\)"),
        ([{"name": "cat", "keypoints": JOINTS}], "got None"),
        ([{"id": "three", "name": "cat", "keypoints": JOINTS}], "three"),
        ([{"id": 3, "name": "cat", "keypoints": ["a", "a", "b"]}], "distinct names"),
        ([{"id": 3, "name": "cat", "keypoints": JOINTS, "skeleton": [[1, 9]]}], r"\[1, 9\].* 1 to 3"),
    ],
)
def test_one_category_names_the_joints(folder: Path, categories: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"annotations\.json: .*{message}"):
        CocoKeypoints(write(folder, content(categories=categories)))


def two_kinds(folder: Path, joints: list[str]) -> Path:
    """A file of a cat (id 10), and of a dog (id 11) with joints of its own."""
    dog = {**ROW, "id": 11, "category_id": 5, "keypoints": ROW["keypoints"][: 3 * len(joints)]}
    rows = content(ROW, dog)
    rows["categories"].append({"id": 5, "name": "dog", "keypoints": joints, "skeleton": []})
    return write(folder, rows)


def test_kinds_with_the_same_joints_are_learned_as_one(folder: Path) -> None:
    people = CocoKeypoints(two_kinds(folder, JOINTS))
    assert [sample.id for sample in people.samples] == [10, 11]
    assert (people.category, people.category_ids) == (3, (3, 5))
    assert {row["category_id"] for row in people.ground_truth()["annotations"]} == {3}


def test_each_keeps_its_kind(folder: Path) -> None:
    people = CocoKeypoints(two_kinds(folder, JOINTS))
    assert [sample.category_id for sample in people.samples] == [3, 5]


@pytest.mark.parametrize("box", [[20, 10, 1.0, 12], [20, 10, 0, 0], [500, 10, 8, 8], "none"])
def test_of_people_without_labels_the_box_may_be_anything(folder: Path, box: Any) -> None:
    """They are passed over, as pycocotools does, and not reported as wrong: nothing is to be learned of them."""
    nobody = {**ROW, "id": 11, "keypoints": [0] * 9, "num_keypoints": 0, "bbox": box}
    people = CocoKeypoints(write(folder, content(ROW, nobody)), strict=True)
    assert [sample.id for sample in people.samples] == [10]
    assert people.counts["without labelled joints"] == 1
    assert [row["num_keypoints"] for row in people.ground_truth()["annotations"]] == [2, 0]


@pytest.mark.parametrize("area", [0, 1, 4.7, -200, math.nan, math.inf, 600, 1e12, 10**400, "200", None, [200], True])
def test_an_area_that_no_segment_in_the_box_has_is_that_of_coco_s_mean(area: Any, folder: Path) -> None:
    """The box has 480 square pixels. Somebody 1 px off is found; with an area of 1 their OKS would be 0."""
    rows = {**ROW, "id": 11}, {**ROW, "id": 12, "area": area}
    people = CocoKeypoints(write(folder, content(*rows)), strict=True)
    assert [who.area for who in people.samples] == [200.5, pytest.approx(0.53 * 480)]
    assert [row["area"] for row in people.ground_truth()["annotations"]] == [200.5, pytest.approx(0.53 * 480)]
    [note] = people.notes
    assert all(token in note for token in ("1 people", "annotations.json", "annotation 1 (id 12)", "0.53"))
    near = [[value + (i % 3 == 0) for i, value in enumerate(ROW["keypoints"])]] * 2
    found = [{"image_id": 1, "category_id": 3, "keypoints": keypoints, "score": 1.0} for keypoints in near]
    assert coco_ap(people.ground_truth(), found, people.skeleton.sigmas)["ap50"] == pytest.approx(1)


@pytest.mark.parametrize("area", [4.9, 480, 480.01, 32 * 18])
def test_an_area_that_fits_the_box_is_taken_as_it_stands(area: float, folder: Path) -> None:
    """A mask may have a pixel more than its box at each end."""
    people = CocoKeypoints(write(folder, content({**ROW, "area": area})))
    assert people[0].area == area
    assert people.notes == []


def test_of_a_box_that_leaves_the_image_the_part_inside_decides(folder: Path) -> None:
    people = CocoKeypoints(write(folder, content({**ROW, "bbox": [10, 20, 1000, 1000], "area": 54000.0})))
    assert people[0].area == pytest.approx(0.53 * 54 * 28)


def test_areas_are_reported_once_and_with_whole_images_too(folder: Path) -> None:
    file = content({**ROW, "area": 0}, {**ROW, "id": 11, "area": 0}, {**ROW, "area": 0, "keypoints": [0] * 9})
    people = CocoKeypoints(write(folder, file))
    assert len(people.notes) == 1
    assert "2 people" in people.notes[0]
    assert list(people.whole_images().notes) == people.notes


def test_a_wrong_row_is_neither_to_be_found_nor_not(folder: Path) -> None:
    """Somebody is there, so finding them is not false; nothing is known of them, so missing them is no miss."""
    lame = {**ROW, "id": 11, "bbox": [40, 20, 20, 20], "keypoints": [None] * 9}
    people = CocoKeypoints(write(folder, content(ROW, lame)))
    found = [
        {"image_id": 1, "category_id": 3, "keypoints": keypoints, "score": score}
        for keypoints, score in ((ROW["keypoints"], 0.5), ([50, 30, 1, 51, 31, 1, 52, 32, 1], 0.9))
    ]
    assert coco_ap(people.ground_truth(), found, people.skeleton.sigmas)["ap"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("box", "report"), [([10, 20, 1.0, 16], "bbox of a pixel or less"), ([100, 20, 30, 16], "bbox outside the image")]
)
def test_why_a_box_is_none(folder: Path, box: list[float], report: str) -> None:
    people = CocoKeypoints(write(folder, content(ROW, {**ROW, "bbox": box})))
    assert [problem.kind for problem in people.problems] == [report]


@pytest.mark.parametrize(("name", "number", "joints"), [("cat", 10, 3), ("dog", 11, 2)])
def test_a_kind_can_be_chosen(folder: Path, name: str, number: int, joints: int) -> None:
    people = CocoKeypoints(two_kinds(folder, JOINTS[:2]), category=name)
    assert [sample.id for sample in people.samples] == [number]
    assert (len(people.skeleton), people.skeleton.name) == (joints, name)
    assert people.counts["of other categories"] == 1


def test_a_kind_that_is_not_there_is_reported(folder: Path) -> None:
    with pytest.raises(InputError, match=r"'cow'.*cat, dog"):
        CocoKeypoints(two_kinds(folder, JOINTS[:2]), category="cow")
    with pytest.raises(InputError, match=r"cat, dog.*--category"):
        CocoKeypoints(two_kinds(folder, JOINTS[:2]))


def test_further_categories_without_joints_do_no_harm(folder: Path) -> None:
    rows = content()
    rows["categories"].append({"id": 1, "name": "dog"})
    assert CocoKeypoints(write(folder, rows)).skeleton.name == "cat"


# Several kinds, each its own


def test_each_of_several_kinds_has_its_joints_in_the_union(folder: Path) -> None:
    people = CocoKeypoints(two_kinds(folder, ["tail", "fin"]), category="all")
    assert people.skeleton.joints == (*JOINTS, "fin")
    assert (people.category_ids, people.categories) == ((3, 5), {3: "cat", 5: "dog"})
    cat, dog = people.samples
    assert (cat.category_id, dog.category_id) == (3, 5)
    assert cat.visible.tolist() == [2, 1, 0, 0]
    assert dog.visible.tolist() == [0, 0, 2, 1], "its first joint is the cat's third"
    assert dog.keypoints[2].tolist() == cat.keypoints[0].tolist()
    truth = people.ground_truth()
    assert [(row["category_id"], len(row["keypoints"])) for row in truth["annotations"]] == [(3, 9), (5, 6)]
    assert truth["annotations"][1]["keypoints"] == ROW["keypoints"][:6]
    assert truth["categories"] == [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]
    assert people.notes == []


def test_wrong_and_unlabelled_rows_are_of_their_kind(folder: Path) -> None:
    file = two_kinds(folder, ["tail", "fin"])
    rows = json.loads(file.read_text())
    dog = rows["annotations"][1]
    rows["annotations"] += [
        {**dog, "id": 12, "keypoints": [0] * 6},
        {**dog, "id": 13, "keypoints": ROW["keypoints"]},
        {**dog, "id": 14, "iscrowd": 1, "keypoints": None},
    ]
    people = CocoKeypoints(write(folder, rows), category="dog, cat")
    assert len(people.samples) == 2
    assert people.counts["without labelled joints"] == 1
    assert "6 numbers (2 joints × 3)" in str(people.problems[0])
    added = people.ground_truth()["annotations"][2:]
    assert {(row["category_id"], len(row["keypoints"])) for row in added} == {(5, 6)}


def test_kinds_learned_as_one_are_said_to_be_that(folder: Path) -> None:
    [note] = CocoKeypoints(two_kinds(folder, JOINTS)).notes
    assert all(token in note for token in ("cat", "dog", "AP", "--category all"))
    each = CocoKeypoints(two_kinds(folder, JOINTS), category="all")
    assert (each.notes, each.skeleton.joints) == ([], tuple(JOINTS))
    assert {row["category_id"] for row in each.ground_truth()["annotations"]} == {3, 5}
    with pytest.raises(InputError, match="--category all"):
        CocoKeypoints(two_kinds(folder, JOINTS[::-1]))
    turned = CocoKeypoints(two_kinds(folder, JOINTS[::-1]), category="all")
    assert turned[1].visible.tolist() == [0, 1, 2], "joints are matched by name"


def test_a_kind_that_nobody_is_of(folder: Path) -> None:
    rows = content()
    rows["categories"].append({"id": 1, "name": "dog", "keypoints": ["fin"]})
    people = CocoKeypoints(write(folder, rows), category="all")
    assert (len(people), len(people.skeleton)) == (1, 4)
    with pytest.raises(InputError, match="no labelled dog"):
        CocoKeypoints(write(folder, rows), category="dog")


# Depth


def in_depth(row: dict[str, Any], depths: list[float | None]) -> dict[str, Any]:
    """A row whose keypoints are x, y, z, v."""
    triplets = [row["keypoints"][i : i + 3] for i in range(0, len(row["keypoints"]), 3)]
    return {**row, "keypoints": [n for (x, y, v), z in zip(triplets, depths, strict=True) for n in (x, y, z, v)]}


def test_x_y_z_v_are_read_if_asked_for(folder: Path) -> None:
    file = write(folder, content(in_depth(ROW, [-120.5, None, 7.0])))
    people = CocoKeypoints(file, depth=True)
    assert people[0].visible.tolist() == [2, 1, 0]
    assert np.array_equal(people[0].keypoints[:2, 2], [-120.5, np.nan], equal_nan=True)
    flat = CocoKeypoints(write(folder, content(ROW), "flat.json"))
    assert people[0].keypoints[:, :2].tolist() == flat[0].keypoints.tolist()
    for part in ("annotations", "images", "categories"):
        assert people.ground_truth()[part] == flat.ground_truth()[part]
    with pytest.raises(InputError, match=r"annotation 0.*9 numbers.*--depth reads x, y, z, v.*got 12"):
        CocoKeypoints(file)
    with pytest.raises(InputError, match=r"12 numbers .3 joints × 4.; without --depth they are x, y, v.*got 9"):
        CocoKeypoints(folder / "flat.json", depth=True)


@pytest.mark.parametrize("depth", [math.inf, 1e9, -math.inf])
def test_depths_that_are_none(folder: Path, depth: float) -> None:
    with pytest.raises(InputError, match="depths beyond"):
        CocoKeypoints(write(folder, content(in_depth(ROW, [0.0, depth, 0.0]))), depth=True)


def test_depth_is_of_one_kind_at_a_time(folder: Path) -> None:
    with pytest.raises(InputError, match="--category NAME"):
        CocoKeypoints(two_kinds(folder, ["tail", "fin"]), category="all", depth=True)


def test_people_whose_root_is_not_known_are_counted(folder: Path) -> None:
    rows = content(in_depth(ROW, [3000.0, 2000.0, 0.0]), {**in_depth(ROW, [3100.0, 2000.0, 0.0]), "id": 11})
    rows["categories"][0]["keypoints"] = ["pelvis", "head", "tail"]
    rows["annotations"][1]["keypoints"][3] = 0
    people = CocoKeypoints(write(folder, rows), depth=True)
    assert people[0].keypoints[:2, 2].tolist() == [0, -1000]
    assert np.isnan(people[1].keypoints[1, 2])
    assert len(people.notes) == 1


# Parts


@pytest.mark.parametrize("count", [2, 9])
def test_of_fewer_than_ten_images_the_last_is_held_out(tmp_path: Path, count: int) -> None:
    draw(tmp_path / "images", count + 3)
    rows = [{**ROW, "id": i, "image_id": i} for i in range(1, count + 1)]
    file = write(tmp_path, content(*rows, images=count + 3))
    train, val = (CocoKeypoints(file, part=part) for part in ("train", "val"))
    assert [person.image_id for person in val] == [count]
    assert [person.image_id for person in train] == [*range(1, count)]
    assert len(train.unlabelled) == 3, "without labels every tenth is held out"


def test_a_single_image_cannot_be_in_two_parts(folder: Path) -> None:
    file = write(folder, content())
    assert len(CocoKeypoints(file, part="train")) == 1
    with pytest.raises(InputError, match="--val-data"):
        CocoKeypoints(file, part="val")


@pytest.mark.parametrize("count", [10, 23])
def test_hold_out_is_disjoint_and_complete(tmp_path: Path, count: int) -> None:
    draw(tmp_path / "images", count)
    rows = [{**ROW, "id": i, "image_id": 1 + i % count} for i in range(2 * count)]
    file = write(tmp_path, content(*rows, images=count))
    train, val, whole = (CocoKeypoints(file, part=part) for part in ("train", "val", None))
    ids = [{person.id for person in people} for people in (train, val, whole)]
    assert ids[0] | ids[1] == ids[2] == set(range(2 * count))
    assert not ids[0] & ids[1]
    assert {person.image_id for person in val} == {i for i in range(1, count + 1) if i % 10 == 0}
    assert not {p.image_id for p in train} & {p.image_id for p in val}, "nobody is seen in training and validation"
    assert {row["image_id"] for row in val.ground_truth()["annotations"]} == {person.image_id for person in val}
    assert train.problems == val.problems == []


def test_rows_of_one_file_are_of_one_part(tmp_path: Path) -> None:
    """Lists with a row for each person have an image several times."""
    draw(tmp_path / "images", 20)
    images = [{"id": i, "file_name": f"{(i - 1) // 2 + 1}.png"} for i in range(1, 41)]
    rows = [{**ROW, "id": i, "image_id": i} for i in range(1, 41)]
    file = write(tmp_path, content(*rows) | {"images": images})
    train, val = (CocoKeypoints(file, part=part) for part in ("train", "val"))
    assert sorted(sample.image_id for sample in val) == [19, 20, 39, 40]
    assert len(train) == 36


@pytest.mark.parametrize(("first", "every"), [(0, 10), (9, 10), (0, 2)])
def test_every_tenth_image_with_labels_is_held_out(tmp_path: Path, first: int, every: int) -> None:
    draw(tmp_path / "images", 200)
    labelled = range(1, 201)[first::every]
    nothing = {**ROW, "keypoints": [0] * 9}
    rows = [{**(ROW if i in labelled else nothing), "id": i, "image_id": i} for i in range(1, 201)]
    file = write(tmp_path, content(*rows, images=200))
    train, val = (CocoKeypoints(file, part=part) for part in ("train", "val"))
    assert [person.image_id for person in val] == list(labelled)[9::10]
    assert {person.image_id for person in train} == {*labelled} - {*labelled[9::10]}
    assert len(val.images) + len(train.images) == 200
    assert not val.images.keys() & train.images.keys()


def test_relative_keypoints_are_found_out(folder: Path) -> None:
    relative = {**ROW, "keypoints": [0.2, 0.5, 2, 0.6, 0.7, 1, 0, 0, 0]}
    rows = content(relative, {**ROW, "id": 11, "keypoints": [0.4, 0.6, 2, *[0] * 6]}, {**ROW, "id": 12})
    people = CocoKeypoints(write(folder, rows))
    assert [person.id for person in people] == [12]
    assert [problem.where[-7:] for problem in people.problems] == ["(id 10)", "(id 11)"]
    assert all("relative" in problem.kind for problem in people.problems)
    near = {**ROW, "bbox": [0, 0, 30, 16], "keypoints": [0.4, 0.6, 2, *[0] * 6]}
    assert len(CocoKeypoints(write(folder, content(near)))) == 1, "a joint in the first pixel of its box"


def test_joints_at_the_corner_outside_their_box_are_not_labelled(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corner = {**ROW, "keypoints": [0, 0, 2, 30.5, 25, 1, 0, 0, 0]}
    inside = {**corner, "id": 11, "bbox": [0, 0, 40, 40]}
    alone = {**ROW, "id": 12, "keypoints": [0, 0, 2, *[0] * 6]}
    people = CocoKeypoints(write(folder, content(corner, inside, alone)))
    assert [person.visible.tolist() for person in people] == [[0, 1, 0], [2, 1, 0]]
    (note,) = people.notes
    assert " 1 joints at exactly 0, 0" in note
    assert [problem.where[-7:] for problem in people.problems] == ["(id 12)"]
    for data in (people, people.whole_images()):
        caplog.clear()
        log_problems(data, "training data: ")
        assert f"training data: {note}" in caplog.messages


def test_a_bad_image_is_a_problem_of_its_own_part_only(tmp_path: Path) -> None:
    draw(tmp_path / "images", 10)
    (tmp_path / "images" / "10.png").unlink()
    (tmp_path / "images" / "2.png").unlink()
    file = write(tmp_path, content(*({**ROW, "id": i, "image_id": i + 1} for i in range(10)), images=10))
    assert [problem.where[-6:] for problem in CocoKeypoints(file, part="train").problems] == ["(id 2)"]
    with pytest.raises(InputError, match=r"id 10"):
        CocoKeypoints(file, part="val")


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/person_keypoints_train2017.json", "train2017"),
        ("annotations/train.json", "images/train"),
        ("annotations/train.json", "images"),
        ("annotations/train.json", "."),
        ("train.json", "train"),
        ("train.json", "images"),
        ("train.json", "."),
        ("annotations/train.json", "annotations"),
        ("labels.json", "data"),
    ],
)
def test_images_are_found_in_the_usual_places(tmp_path: Path, file: str, images: str) -> None:
    draw(tmp_path / images)
    people = CocoKeypoints(write(tmp_path, content(), file), strict=True)
    assert people[0].image.resolve() == (tmp_path / images / "1.png").resolve()


def test_or_where_one_states(tmp_path: Path) -> None:
    draw(tmp_path / "images", 1)
    draw(tmp_path / "elsewhere" / "deep", 1)
    people = CocoKeypoints(write(tmp_path, content()), images=tmp_path / "elsewhere" / "deep")
    assert people[0].image == tmp_path / "elsewhere" / "deep" / "1.png"


# COCO itself


@pytest.mark.parametrize(
    ("part", "images", "people", "labelled", "crowds"), [("train", 32, 147, 86, 5), ("val", 36, 93, 68, 1)]
)
def test_a_subset_of_coco(data_root: Path, part: str, images: int, people: int, labelled: int, crowds: int) -> None:
    if not (data_root / "coco_mini").is_dir():
        pytest.skip(f"no coco_mini in {data_root}")
    file = annotation_files(data_root / "coco_mini")[part]
    found = CocoKeypoints(file, strict=True)
    assert found.counts["images"] == images
    assert found.counts["annotations"] == people
    assert found.counts["crowds"] == crowds
    assert len(found) == found.counts["people"] == labelled
    assert found.counts["without labelled joints"] == people - labelled - crowds
    assert found.skeleton.joints == COCO.joints
    assert found.skeleton.sigmas == COCO.sigmas
    truth, report = found.ground_truth(), json.loads(file.read_text())
    assert len(truth["annotations"]) == people
    for key in ("num_keypoints", "area", "iscrowd", "image_id"):
        assert sorted(row[key] for row in truth["annotations"]) == sorted(row[key] for row in report["annotations"])
