"""Which images are meant, and files of boxes: found by number, name or list, what is wrong named."""

from __future__ import annotations

import json
import math

import PIL.Image
import pytest

from logpose.core.errors import InputError
from logpose.data.inputs import (
    find_images,
    image_id,
    listed_category,
    named_images,
    read_boxes,
)


def test_find_images_searches_folders_and_names_what_is_missing(coco_folder, tmp_path):
    inside = list(find_images([coco_folder / "val"]))
    assert len(inside) == 8
    # An image that is named twice is found once, where it was named first.
    assert list(find_images([inside[3], coco_folder / "val"])) == [inside[3], *inside[:3], *inside[4:]]
    with pytest.raises(InputError, match="nowhere"):
        find_images([tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"\.jpg"):
        find_images([tmp_path])


def test_a_list_of_images_states_which_and_under_what_ids(coco_folder, tmp_path):
    """The file of COCO's test-dev: no labels, a part of the folder's images, ids that need not be the names."""
    names = sorted(file.name for file in (coco_folder / "val").iterdir())[2:5]
    content = {"images": [{"id": 70 + i, "file_name": name} for i, name in enumerate(names)], "categories": []}
    (root := tmp_path / "coco").mkdir()
    (root / "annotations").mkdir()
    (root / "test2017").symlink_to(coco_folder / "val")
    (file := root / "annotations" / "image_info_test-dev2017.json").write_text(json.dumps(content))
    found = find_images([file])
    assert found == {root / "test2017" / name: 70 + i for i, name in enumerate(names)}
    assert find_images([file], coco_folder / "val") == {coco_folder / "val" / n: 70 + i for i, n in enumerate(names)}
    rows = [{"image_id": 71, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    boxes, _, _ = read_boxes(tmp_path / "boxes.json", found)
    assert [len(boxes[image]) for image in found] == [0, 1, 0]
    for wrong, message in (
        ({"images": []}, "images"),
        ([], "images"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": "2", "file_name": "b.jpg"}]}, "image 1: needs"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]}, "image 1: duplicate id 1"),
    ):
        file.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=rf"image_info_test-dev2017\.json: .*{message}"):
            find_images([file])


def test_images_of_one_name_are_told_apart(tmp_path):
    for name in ("cam1/frame_0.jpg", "cam2/frame_0.jpg", "cam2/frame_1.jpg", "cam1/7.jpg", "cam2/007.jpg"):
        (tmp_path / "vid" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "vid" / name).write_bytes(b"")
    names = {name.file_name: name.number for name in named_images([tmp_path / "vid"]).values()}
    assert names == {
        "cam1/frame_0.jpg": "cam1/frame_0", "cam2/frame_0.jpg": "cam2/frame_0", "cam2/frame_1.jpg": "frame_1",
        "cam1/7.jpg": "cam1/7", "cam2/007.jpg": "cam2/007",
    }  # fmt: skip
    files = [tmp_path / "vid" / "cam1" / "frame_0.jpg", tmp_path / "vid" / "cam2" / "frame_0.jpg"]
    assert [name.file_name for name in named_images(files).values()] == [file.as_posix() for file in files]
    assert [name.file_name for name in named_images(files[:1]).values()] == ["frame_0.jpg"]
    folders = [tmp_path / "vid" / "cam1", tmp_path / "vid" / "cam2"]
    assert len({name.number for name in named_images(folders).values()}) == 5
    found = find_images([tmp_path / "vid"])
    rows = [{"image_id": "cam2/frame_0", "bbox": [1, 2, 3, 4], "score": 0.5}]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    boxes = read_boxes(tmp_path / "boxes.json", found).boxes
    assert [len(boxes[file]) for file in files] == [0, 1]
    (tmp_path / "boxes.json").write_text(json.dumps([{**rows[0], "image_id": "frame_0"}]))
    with pytest.raises(InputError, match="frame_0"):
        read_boxes(tmp_path / "boxes.json", found)


def test_the_category_that_lists_give(tmp_path):
    def file(name, *categories):
        (tmp_path / name).write_text(json.dumps({"images": [], "categories": list(categories)}))
        return tmp_path / name

    cat, dog = {"id": 7, "keypoints": ["a", "b"]}, {"id": 0, "keypoints": ["c"]}
    two = file("two.json", cat, dog)
    assert [listed_category([two], joints) for joints in (["a", "b"], ["c"], ["d"])] == [7, 0, None]
    assert listed_category([file("one.json", {"id": 3, "name": "cat"})], ["d"]) == 3
    assert listed_category([file("none.json"), tmp_path / "x.jpg"], ["d"]) is None
    with pytest.raises(InputError, match=r"two\.json.*9 in .*other\.json"):
        listed_category([two, file("other.json", {**cat, "id": 9})], ["a", "b"])


def test_names_of_another_machine_are_looked_for(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    names = [{"id": 1, "file_name": "C:\\x\\a.jpg"}, {"id": 2, "file_name": "/home/x/a.jpg"}]
    (tmp_path / "list.json").write_text(json.dumps({"images": names[:1]}))
    assert find_images([tmp_path / "list.json"], tmp_path) == {tmp_path / "a.jpg": 1}
    (tmp_path / "list.json").write_text(json.dumps({"images": names}))
    with pytest.raises(InputError, match=r"image 1: .*a\.jpg"):
        find_images([tmp_path / "list.json"], tmp_path)


def test_ids_of_a_list_are_not_mixed_up_with_names(tmp_path):
    """Images 1, 2 and 3 whose ids are 2, 3 and 1: a box on image 2 is on the first."""
    images = {tmp_path / f"{name:012}.jpg": number for name, number in ((1, 2), (2, 3), (3, 1))}
    rows = [{"image_id": number, "bbox": [number, 2, 3, 4], "score": 1.0} for number in (1, 2, 3)]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    found, _, _ = read_boxes(tmp_path / "boxes.json", images)
    assert [rows[0, 0] for rows in found.values()] == [2, 3, 1]


def test_boxes_that_nobody_can_be_looked_for_in_are_listed(tmp_path):
    """On no image, or outside theirs, by a header that EXIF data turn: 60 pixels high and 30 wide."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (60, 30)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "bad.jpg").write_text("no")
    images = {tmp_path / "a.jpg": "a", tmp_path / "bad.jpg": "bad"}
    file = tmp_path / "boxes.json"
    boxes = [
        [0, 59, 9, 9],
        [29.5, 0, 9, 9],
        [-9, 0, 9.5, 9],
        [0, 60, 9, 9],
        [30, 0, 9, 9],
        [-9, 0, 9, 9],
        [0, -9, 9, 9],
    ]
    file.write_text(json.dumps({"a.jpg": boxes, "c.jpg": [[1, 2, 3, 4]], "bad.jpg": [[1e4, 1, 2, 3]]}))
    found, problems, _ = read_boxes(file, images)
    assert found[tmp_path / "a.jpg"][:, :4].tolist() == boxes[:3]
    assert len(found[tmp_path / "bad.jpg"]) == 1
    outside = [f"{file}: box {i} of 'a.jpg'" for i in (3, 4, 5, 6)]
    assert [problem.where for problem in problems] == [*outside, f"{file}: box 0 of 'c.jpg'"]
    assert str(problems[0]).endswith("outside the image ([0.0, 60.0, 9.0, 9.0] in a.jpg of 30×60 pixels)")
    assert str(problems[-1]).endswith("not on any of the images ('c.jpg')")
    found, problems, _ = read_boxes(file, images, least_score=1.5)
    assert [problem.kind for problem in problems] == ["not on any of the images"]


class TestBoxFiles:
    @pytest.fixture
    def images(self, tmp_path):
        return [tmp_path / "000000000012.jpg", tmp_path / "b.png"]

    def read(self, tmp_path, content, images, **options):
        file = tmp_path / "boxes.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_boxes(file, {image: image_id(image) for image in images}, **options)[0]

    def test_a_detections_file_by_number_name_or_stem(self, tmp_path, images):
        rows = [
            {"image_id": 12, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
            {"image_id": "b", "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.1},
            {"image_id": 9, "file_name": "b.png", "category_id": 1, "bbox": [9, 9, 9, 9]},
        ]
        found = self.read(tmp_path, rows, images)
        assert found[images[0]].tolist() == [[1, 2, 3, 4, 0.5]]
        assert found[images[1]].tolist() == [[5, 6, 7, 8, 0.1], [9, 9, 9, 9, 1]]
        assert self.read(tmp_path, rows, images, least_score=0.4)[images[1]].tolist() == [[9, 9, 9, 9, 1]]

    def test_a_mapping_of_names(self, tmp_path, images):
        found = self.read(tmp_path, {"b.png": [[1, 2, 3, 4], [5, 6, 7, 8, 0.5]]}, images)
        assert found[images[0]].shape == (0, 5)
        assert found[images[1]].tolist() == [[1, 2, 3, 4, 1], [5, 6, 7, 8, 0.5]]

    def test_several_categories_have_to_be_chosen_from(self, tmp_path, images):
        rows = [{"image_id": 12, "category_id": c, "bbox": [c, 2, 3, 4], "score": 1} for c in (1, 3)]
        with pytest.raises(InputError, match=r"1, 3.*--box-category"):
            self.read(tmp_path, rows, images)
        assert self.read(tmp_path, rows, images, category=3)[images[0]].tolist() == [[3, 2, 3, 4, 1]]
        with pytest.raises(InputError, match=r"category 2 .*1, 3"):
            self.read(tmp_path, rows, images, category=2)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "empty file"),
            ("{", "not JSON: .* line 1"),
            ("3", "expected a list"),
            ([{"image_id": 12}], "row 0: needs bbox"),
            ([{"image_id": 12, "bbox": [1, 2, 3], "score": 1}], "row 0: bbox must"),
            ([{"image_id": 12, "bbox": [1, 2, "w", 4]}], "row 0: must be"),
            ({"b.png": 5}, "'b.png' must be a list"),
            ({"other.png": [[1, 2, 3, 4]]}, "'other.png'"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, images, content, message):
        with pytest.raises(InputError, match=message) as refused:
            self.read(tmp_path, content, images)
        assert "boxes.json" in str(refused.value)


NO_BOXES = [
    ([1, 2, 0, 4], 0.5, "no width or height"),
    ([1, 2, 3, -4], 0.5, "no width or height"),
    ([1, math.nan, 3, 4], 0.5, "not finite"),
    ([1, 2, math.inf, 4], 0.5, "not finite"),
    ([1, 2, 3, 4], math.nan, "not finite"),
    ([1, 2, 3e7, 4], 0.5, "1e+06"),
]
"""What detectors write by rounding or overflow: box, score, and a part of what is reported."""


@pytest.mark.parametrize("form", ["rows", "mapping"])
def test_boxes_that_are_none_are_left_out_and_named(tmp_path, photos, form):
    good = [10.0, 20.0, 30.0, 40.0]
    boxes = [(good, 0.5), *((box, score) for box, score, _ in NO_BOXES), (good, 0.25)]
    rows = [{"file_name": photos[0].name, "bbox": box, "score": score} for box, score in boxes]
    content = rows if form == "rows" else {photos[0].name: [[*box, score] for box, score in boxes]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    found = read_boxes(tmp_path / "boxes.json", {photos[0]: 1})
    assert found.boxes[photos[0]].tolist() == [[*good, 0.5], [*good, 0.25]]
    place = "row {}" if form == "rows" else "box {} of"
    for i, (problem, (_, _, kind)) in enumerate(zip(found.problems, NO_BOXES, strict=True), start=1):
        assert place.format(i) in problem.where
        assert kind in problem.kind


def test_image_ids(tmp_path):
    assert image_id(tmp_path / "000000000012.jpg") == 12
    assert image_id(tmp_path / "walk_3.jpg") == "walk_3"


def test_a_name_that_two_images_share_has_to_be_told_apart(tmp_path):
    images = {tmp_path / "a" / "p.jpg": "p", tmp_path / "b" / "p.jpg": "p"}
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"p.jpg": [[1, 2, 3, 4]]}))
    with pytest.raises(InputError, match=r"p\.jpg"):
        read_boxes(file, images)
    file.write_text(json.dumps({str(tmp_path / "b" / "p.jpg"): [[1, 2, 3, 4]]}))
    assert [len(rows) for rows in read_boxes(file, images)[0].values()] == [0, 1]


def test_a_device_is_no_missing_file() -> None:
    with pytest.raises(InputError, match="/dev/null: is no regular file"):
        find_images(["/dev/null"])
