"""MPII as lists of people: boxes from centre and scale, coordinates from 1. And in either form: head sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.skeletons import MPII
from logpose.data.mpii import MpiiOfCoco, MpiiPeople, heads_file, read_heads
from logpose.metrics.pck import distances, pckh


def row(**changes: Any) -> dict[str, Any]:
    joints = [[float(10 + i), float(20 + 2 * i)] for i in range(16)]
    plain = {"image": "a.jpg", "center": [30.0, 40.0], "scale": 0.5, "joints": joints, "joints_vis": [1] * 16}
    return plain | changes


def written(tmp_path: Path, rows: list[Any] | dict[str, Any], name: str = "valid.json") -> Path:
    (tmp_path / "images").mkdir(exist_ok=True)
    for image in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(tmp_path / "images" / image), np.zeros((80, 90, 3), np.uint8))
    (tmp_path / name).write_text(json.dumps(rows))
    return tmp_path / name


def test_a_person(tmp_path: Path) -> None:
    visible = [1] * 15 + [0]
    person = MpiiPeople(written(tmp_path, [row(joints_vis=visible)]), strict=True)[0]
    assert person.keypoints[3].tolist() == [12, 25]  # counted from 0
    assert person.visible.tolist() == [2] * 15 + [0]
    assert not person.keypoints[15].any()
    # The centre is lowered by 15 scale and counted from 0; a person of scale 1 is 200 pixels tall.
    assert person.box.tolist() == [29 - 50, 39 + 7.5 - 50, 100, 100]


def test_the_crop_is_hrnets(tmp_path: Path) -> None:
    # Transcribed: c[1] += 15 s, s *= 1.25, c -= 1; a square of 200 s around c becomes 256 × 256.
    centre, scale = np.array([400.3, 291.7]), 1.37
    person = MpiiPeople(written(tmp_path, [row(center=centre.tolist(), scale=scale)]), strict=True)[0]
    c, s = centre.copy(), scale
    c[1] += 15 * s
    s *= 1.25
    c -= 1
    for point in ([380.0, 200.0], [10.0, 500.0]):
        expected = (np.array(point) - c) * 256 / (200 * s) + 128
        matrix = geometry.crop_matrix(*geometry.box_to_region(person.box, (256, 256)), (256, 256))
        np.testing.assert_allclose(geometry.apply_affine(matrix, np.array(point)), expected, atol=0.01)


def test_an_unknown_centre_is_reported(tmp_path: Path) -> None:
    people = MpiiPeople(written(tmp_path, [row(), row(center=[-1, -1])]))
    assert len(people) == 1
    (problem,) = people.problems
    assert str(problem) == f"{people.file}: person 1 (a.jpg): no center (got -1, -1)"


def test_an_empty_part_states_which_is_held_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'val' .*--val-data"):
        MpiiPeople(written(tmp_path, [row()]), part="val")


# Heads


def coco(rows: list[dict[str, Any]], names: tuple[str, ...] = MPII.joints, first: int = 0) -> dict[str, Any]:
    """The same people in the released code's form, with ids that are not their places."""
    images = [{"id": i, "file_name": name, "width": 90, "height": 80} for i, name in enumerate(("a.jpg", "b.jpg"))]
    annotations = []
    for i, person in enumerate(rows):
        joints = np.array(person["joints"], dtype=np.float64) - 1 + first
        triplets = np.column_stack([joints, np.array(person["joints_vis"]) * 2])
        annotations.append(
            {
                "id": 900 - i,
                "image_id": ("a.jpg", "b.jpg").index(person["image"]),
                "category_id": 1,
                "bbox": [5, 5, 70, 60],
                "keypoints": triplets.ravel().tolist(),
            }
        )
    categories = [{"id": 1, "name": "person", "keypoints": list(names)}]
    return {"images": images, "annotations": annotations, "categories": categories}


def people_with_heads() -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Three people, the second without labels, and their file of heads: 5, 10 and 25 pixels across."""
    rows = [row(), row(joints_vis=[0] * 16), row(image="b.jpg", joints=[[50.0 - i, 9.0] for i in range(16)])]
    boxes = np.zeros((2, 2, 3))
    boxes[0], boxes[1] = 1, [[4, 7, 16], [5, 9, 21]]
    joints = np.stack([np.array(r["joints"]) for r in rows], axis=-1)
    return rows, {"headboxes_src": boxes, "pos_gt_src": joints, "jnt_missing": np.zeros((16, 3), np.uint8)}


@pytest.mark.parametrize("form", ["list", "COCO"])
def test_either_form_has_head_sizes(tmp_path: Path, form: str) -> None:
    rows, heads = people_with_heads()
    file = written(tmp_path, rows if form == "list" else coco(rows))
    reader = MpiiPeople if form == "list" else MpiiOfCoco
    assert reader(file).head_sizes is None
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    people = reader(file, strict=True)
    assert [person.image.name for person in people] == ["a.jpg", "b.jpg"]
    np.testing.assert_allclose(people.head_sizes, np.repeat([[3.0], [15.0]], 16, axis=1))  # of those who are left
    (tmp_path / "mpii_gt_val.mat").unlink()
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": heads["headboxes_src"]})  # HRNet's name
    np.testing.assert_allclose(reader(file).head_sizes[:, 0], [3, 15])


@pytest.mark.parametrize("form", ["list", "COCO"])
def test_a_wrong_row_takes_its_head_along(tmp_path: Path, form: str) -> None:
    rows, heads = people_with_heads()
    content: Any = rows if form == "list" else coco(rows)
    if form == "list":
        rows[0] = "text"  # type: ignore[call-overload]
    else:
        content["annotations"][0]["keypoints"] = [1, 2, "text"]
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    people = (MpiiPeople if form == "list" else MpiiOfCoco)(written(tmp_path, content))
    assert len(people.problems) == 1
    np.testing.assert_allclose(people.head_sizes, np.full((1, 16), 15.0))


@pytest.mark.parametrize("form", ["list", "COCO"])
def test_heads_in_another_order_are_refused(tmp_path: Path, form: str) -> None:
    rows, heads = people_with_heads()
    savemat(tmp_path / "mpii_gt_val.mat", heads | {"pos_gt_src": heads["pos_gt_src"][..., ::-1]})
    file = written(tmp_path, rows if form == "list" else coco(rows))
    with pytest.raises(InputError, match=r"mpii_gt_val\.mat.*person 0 .*valid\.json"):
        (MpiiPeople if form == "list" else MpiiOfCoco)(file)


def test_heads_of_another_number_of_people_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    savemat(tmp_path / "mpii_gt_val.mat", {"headboxes_src": np.ones((2, 2, 7))})
    with caplog.at_level("WARNING", "logpose"):
        assert MpiiPeople(written(tmp_path, [row()])).head_sizes is None
        assert MpiiOfCoco(written(tmp_path, coco([row()]), "coco.json")).head_sizes is None
    assert "heads of 7 people, valid.json has 1; not used" in caplog.text
    assert "heads of 7 people, coco.json has 1; not used" in caplog.text


def test_a_list_that_counts_from_0_is_refused(tmp_path: Path) -> None:
    rows, heads = people_with_heads()
    for person in rows:
        person["joints"] = [[x - 1, y - 1] for x, y in person["joints"]]
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    with pytest.raises(InputError, match=r"valid\.json.*from 0"):
        MpiiPeople(written(tmp_path, rows))


def test_coco_s_form_counts_from_0_or_1(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, heads = people_with_heads()
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    for first in (0, 1):
        assert not caplog.records
        people = MpiiOfCoco(written(tmp_path, coco(rows, first=first)), strict=True)
        np.testing.assert_allclose(people.head_sizes[:, 0], [3, 15])
    assert "counts pixels from 1" in caplog.text


def test_the_names_of_coco_s_form(tmp_path: Path) -> None:
    rows, heads = people_with_heads()
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    released = (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelv", "thrx"),
        *("neck", "head", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    )
    assert MpiiOfCoco(written(tmp_path, coco(rows, released))).head_sizes is not None
    assert MpiiOfCoco(written(tmp_path, coco(rows, released[::-1]))).head_sizes is None  # joints in another order
    assert MpiiOfCoco(written(tmp_path, coco(rows, tuple("abcdefghijklmnop")))).head_sizes is None


def test_annotations_that_share_an_id_have_no_heads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, heads = people_with_heads()
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    content = coco(rows)
    content["annotations"][1]["id"] = 900
    assert MpiiOfCoco(written(tmp_path, content)).head_sizes is None
    assert "annotations of valid.json share an id" in caplog.text


@pytest.mark.parametrize("form", ["list", "COCO", "the released code's"])
def test_pckh_by_hand(tmp_path: Path, form: str) -> None:
    """Two people of heads 3 and 15; predictions are 1 and 8 pixels off, one joint of each 100."""
    rows, heads = people_with_heads()
    heads["jnt_missing"][[0, 2], 0] = 1  # r_ankle and r_hip of the first do not count
    heads["jnt_missing"][3, 2] = 1  # nor does l_hip of the last
    savemat(tmp_path / "mpii_gt_val.mat", heads)
    names = MPII.joints if form != "the released code's" else (*MPII.joints[:6], "pelv", "thrx", *MPII.joints[8:])
    file = written(tmp_path, rows if form == "list" else coco(rows, names))
    people = (MpiiPeople if form == "list" else MpiiOfCoco)(file, strict=True)
    truth = np.stack([person.keypoints for person in people])
    predicted = truth + np.array([[[1.0, 0.0]], [[0.0, 8.0]]])
    predicted[0, 0], predicted[1, 4] = 100 + truth[0, 0], 100 + truth[1, 4]  # the first of these does not count
    apart = distances(predicted, truth, np.stack([person.visible for person in people]))
    figures = pckh(apart, people.head_sizes, people.skeleton.joints)
    # Half the heads is 1.5 and 7.5. Of 14 joints (without pelvis and thorax) 12 of the first count, all near enough;
    # of the last 13, none.
    assert figures["pckh@0.5"] == pytest.approx(12 / 25)
    assert figures["pckh@0.5_r_ankle"] == 0  # the last's alone
    assert figures["pckh@0.5_l_hip"] == 1  # the first's alone
    assert figures["pckh@0.5_l_knee"] == 0.5
    # 1 / 3 is below .34 to .5, 17 of 51 thresholds; 8 / 15 below none.
    assert figures["pckh_auc"] == pytest.approx(12 / 25 * 17 / 51)


def test_a_missing_first_image_does_not_condemn_the_others(tmp_path: Path) -> None:
    file = written(tmp_path, [row(image="gone.jpg"), row(), row(image="b.jpg")])
    (tmp_path / "annot").mkdir()
    file = file.rename(tmp_path / "annot" / "valid.json")
    (tmp_path / "annot" / "gone.jpg").touch()  # beside the list is one, too, and none of the others
    people = MpiiPeople(file)
    assert people.image_folder == tmp_path / "images"
    assert [person.id for person in people] == [1, 2]


def test_people_of_an_image_share_its_id_and_its_part(tmp_path: Path) -> None:
    people = MpiiPeople(written(tmp_path, [row(), row(image="b.jpg"), row()]), strict=True)
    assert [person.image_id for person in people] == [0, 1, 0]
    images = tmp_path / "many"
    images.mkdir()
    rows = []
    for i in range(20):
        (images / f"{i}.jpg").write_bytes((tmp_path / "images" / "a.jpg").read_bytes())
        rows += [row(image=f"{i}.jpg")] * 2
    file = written(tmp_path, rows, "all.json")
    train, val = (MpiiPeople(file, images, part=part) for part in ("train", "val"))
    assert {person.image_id for person in val} == {9, 19}
    assert (len(train), len(val)) == (36, 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("text", "needs image, center, scale"),
        ({"image": "a.jpg"}, "needs image, center, scale"),
        (row(scale="big"), "must be numbers"),
        (row(joints=[[1, 2]] * 15), "16 pairs"),
        (row(joints=[[1, 2], [3]] * 8), "must be numbers"),
        (row(joints_vis=[2] * 16), "joints_vis must be 0 or 1"),
        (row(center=[float("nan"), 1]), "finite"),
        (row(scale=0), "scale > 0"),
        (row(joints=[[1e9, 2]] * 16), "±1e"),
        (row(image="gone.jpg"), "no such file"),
        (row(scale=10**400), "must be numbers"),
        ({"image_id": 3, "bbox": [1, 2, 3, 4], "score": 1}, "detections go to --boxes"),
    ],
)
def test_wrong_rows_are_left_out_and_named(tmp_path: Path, wrong: Any, message: str) -> None:
    file = written(tmp_path, [row(), wrong])
    people = MpiiPeople(file)
    assert len(people) == 1
    assert message in str(people.problems[0])
    assert "person 1" in str(people.problems[0])
    with pytest.raises(InputError, match="person 1"):
        MpiiPeople(file, strict=True)


def test_not_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InputError, match="list"):
        MpiiPeople(tmp_path / "a.json")


def test_a_file_of_the_format_itself(data_root: Path) -> None:
    file = data_root / "formats" / "mpii" / "test_mpii.json"
    if not file.is_file():
        pytest.skip(f"no formats/mpii in {data_root}")
    people = MpiiPeople(file, strict=True)
    assert len(people) == people.counts["annotations"]
    inside = [
        (abs(person.keypoints - person.box[:2] - person.box[2:] / 2) < 0.75 * person.box[2:])[person.visible > 0].mean()
        for person in people
    ]
    assert np.mean(inside) > 0.9, "the boxes are not where the people are"


# The file of heads by itself

COUNT = 3
LABELS = Path("valid.json")


def places() -> np.ndarray:
    """(N, 16, 2), whole numbers, counted from 1, no two people alike."""
    return np.random.default_rng(0).permutation(COUNT * 16 * 2).reshape(COUNT, 16, 2) * 3.0 + 5


def variables(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """What the file has; the heads of the people are 5, 10 and 25 pixels across."""
    boxes = np.zeros((2, 2, COUNT))
    boxes[0], boxes[1] = 1, [[4, 7, 16], [5, 9, 21]]
    return {"headboxes_src": boxes, "pos_gt_src": places().transpose(1, 2, 0), **changes}


def heads_of(folder: Path, content: dict[str, np.ndarray]) -> Path:
    savemat(folder / "mpii_gt_val.mat", content)
    return folder / "mpii_gt_val.mat"


def test_either_name(tmp_path: Path) -> None:
    assert heads_file(tmp_path) is None
    (tmp_path / "gt_valid.mat").touch()
    assert heads_file(tmp_path) == tmp_path / "gt_valid.mat"
    (tmp_path / "mpii_gt_val.mat").touch()
    assert heads_file(tmp_path) == tmp_path / "mpii_gt_val.mat"


def test_every_joint_is_evaluated_by_the_person_s_head(tmp_path: Path) -> None:
    sizes = read_heads(heads_of(tmp_path, variables()), LABELS, places(), first=1)
    np.testing.assert_allclose(sizes, np.repeat([[3.0], [6.0], [15.0]], 16, axis=1))
    boxes = variables()["headboxes_src"]
    boxes[1, 0, 0], boxes[1, :, 1] = np.nan, boxes[0, :, 1]  # one unknown, one of no size
    sizes = read_heads(heads_of(tmp_path, {"headboxes_src": boxes}), LABELS, places(), first=1)
    assert np.isnan(sizes[:2]).all()
    np.testing.assert_allclose(sizes[2], 15)


def test_joints_that_the_file_states_are_missing_do_not_count(tmp_path: Path) -> None:
    missing, there = np.zeros((16, COUNT)), variables()["pos_gt_src"]
    missing[4, 1] = 1
    there[4, :, 1] = -1  # a place that is none, and is not compared
    there[9, 0, 2] = np.nan
    file = heads_of(tmp_path, variables(jnt_missing=missing.astype(np.uint8), pos_gt_src=there))
    sizes = read_heads(file, LABELS, places(), first=1)
    assert np.argwhere(np.isnan(sizes)).tolist() == [[1, 4], [2, 9]]


def test_joints_without_a_label_are_not_compared(tmp_path: Path) -> None:
    joints = places()
    joints[0], joints[1, 3] = np.nan, np.nan
    there = variables()["pos_gt_src"]
    there[:, :, 0] += 40
    there[3, :, 1] += 40
    sizes = read_heads(heads_of(tmp_path, variables(pos_gt_src=there)), LABELS, joints, first=1)
    assert np.isfinite(sizes).all()
    assert read_heads(heads_of(tmp_path, variables()), LABELS, np.full_like(joints, np.nan), first=1) is not None


def test_a_single_person(tmp_path: Path) -> None:
    content = {name: array[..., :1] for name, array in variables(jnt_missing=np.zeros((16, COUNT))).items()}
    content |= {name: content[name][..., 0] for name in ("headboxes_src", "pos_gt_src")}  # as MATLAB writes them
    np.testing.assert_allclose(
        read_heads(heads_of(tmp_path, content), LABELS, places()[:1], first=1), np.full((1, 16), 3.0)
    )


@pytest.mark.parametrize("rounding", [0.0, 0.5])
@pytest.mark.parametrize("first", [1, None])
def test_rounding_is_no_other_joint(tmp_path: Path, rounding: float, first: int | None) -> None:
    joints = places() + np.where(np.arange(2) == 0, rounding, -rounding)
    assert read_heads(heads_of(tmp_path, variables()), LABELS, joints, first) is not None


def test_heads_of_a_list_that_counts_from_0_are_refused(tmp_path: Path) -> None:
    file = heads_of(tmp_path, variables())
    with pytest.raises(InputError, match=r"gt_val\.mat: pixels from 1, valid\.json .*from 0"):
        read_heads(file, LABELS, places() - 1, first=1)
    with pytest.raises(InputError, match=r"from 0"):
        read_heads(file, LABELS, places() - 1.25, first=1)


def test_where_either_will_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = heads_of(tmp_path, variables())
    assert read_heads(file, LABELS, places() - 1, first=None) is not None
    assert not caplog.records
    assert read_heads(file, LABELS, places(), first=None) is not None
    assert "valid.json: counts pixels from 1, not from 0 as COCO does" in caplog.text


@pytest.mark.parametrize("first", [1, None])
@pytest.mark.parametrize("pixels", [-2.0, -1.0, 0.6, 1.0])
def test_a_single_joint_elsewhere(tmp_path: Path, first: int | None, pixels: float) -> None:
    joints = places() - (first is None)
    joints[1, 7, 1] += pixels
    with pytest.raises(InputError, match=r"mpii_gt_val\.mat.*person 1 .*valid\.json"):
        read_heads(heads_of(tmp_path, variables()), LABELS, joints, first)


@pytest.mark.parametrize("first", [1, None])
def test_people_in_another_order(tmp_path: Path, first: int | None) -> None:
    with pytest.raises(InputError, match="person 0"):
        read_heads(heads_of(tmp_path, variables()), LABELS, places()[::-1].copy(), first)


def test_another_number_of_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_heads(heads_of(tmp_path, variables()), LABELS, places()[:2], first=1) is None
    assert "heads of 3 people, valid.json has 2; not used" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"headboxes_src": np.ones((2, 3))}, r"headboxes_src must be 2×2×N \(corner, x and y, person\), got 2×3"),
        ({"headboxes_src": np.ones((2, 4, COUNT))}, "headboxes_src must be .* got 2×4×3"),
        ({"headboxes_src": np.ones((2, 2, COUNT, 1, 2))}, "headboxes_src must be .* got 2×2×3×1×2"),
        ({"pos_gt_src": np.ones((5, 7))}, r"pos_gt_src must be 16×2×3 \(joint, x and y, person\), got 5×7"),
        ({"pos_gt_src": np.ones((16, 2, COUNT + 1))}, "pos_gt_src must be .* got 16×2×4"),
        ({"pos_gt_src": np.ones((2, 16, COUNT))}, "pos_gt_src must be .* got 2×16×3"),
        ({"pos_gt_src": np.ones((16, 2))}, "pos_gt_src must be .* got 16×2×1"),
        ({"jnt_missing": np.zeros((COUNT, 16))}, r"jnt_missing must be 16×3 \(joint, person\), got 3×16"),
        ({"jnt_missing": np.zeros((16, COUNT, 2))}, "jnt_missing must be .* got 16×3×2"),
        ({"jnt_missing": np.full((16, COUNT), 2.0)}, "jnt_missing must be 0 or 1"),
        ({"jnt_missing": np.full((16, COUNT), np.nan)}, "jnt_missing must be 0 or 1"),
        ({"jnt_missing": "none"}, "jnt_missing must be an array"),
    ],
)
def test_variables_that_cannot_be(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"mpii_gt_val\.mat: {message}"):
        read_heads(heads_of(tmp_path, variables(**wrong)), LABELS, places(), first=1)


def test_a_file_without_heads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="headboxes_src"):
        read_heads(heads_of(tmp_path, {"other": np.ones(2)}), LABELS, places(), first=1)
