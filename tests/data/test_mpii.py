"""MPII as lists of people: boxes from centre and scale, coordinates from 1, head sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from logpose import geometry
from logpose.data.mpii import MpiiPeople
from logpose.structures import InputError


def row(**changes: Any) -> dict[str, Any]:
    joints = [[float(10 + i), float(20 + 2 * i)] for i in range(16)]
    plain = {"image": "a.jpg", "center": [30.0, 40.0], "scale": 0.5, "joints": joints, "joints_vis": [1] * 16}
    return plain | changes


def written(tmp_path: Path, rows: list[Any], name: str = "valid.json") -> Path:
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


def test_head_sizes(tmp_path: Path) -> None:
    rows = [row(), row(joints_vis=[0] * 16), row(image="b.jpg")]
    boxes = np.zeros((2, 2, 3))
    boxes[0], boxes[1] = 1, [[4, 9, 7], [5, 9, 9]]
    file = written(tmp_path, rows)
    assert MpiiPeople(file).head_sizes is None
    savemat(tmp_path / "mpii_gt_val.mat", {"headboxes_src": boxes})
    people = MpiiPeople(file)
    assert len(people) == 2
    np.testing.assert_allclose(people.head_sizes, [0.6 * 5, 0.6 * 10])  # of the people who are left
    savemat(tmp_path / "mpii_gt_val.mat", {"headboxes_src": boxes[..., :2]})
    assert MpiiPeople(file).head_sizes is None  # of another part
    boxes[1, :, 0] = np.nan
    boxes[1, :, 2] = 1
    savemat(tmp_path / "mpii_gt_val.mat", {"headboxes_src": boxes})
    assert np.isnan(MpiiPeople(file).head_sizes).all()  # of no size, or none
    savemat(tmp_path / "mpii_gt_val.mat", {"headboxes_src": boxes[0, 0]})
    with pytest.raises(InputError, match="headboxes_src must be 2×2×N"):
        MpiiPeople(file)


def test_heads_in_another_order_are_refused(tmp_path: Path) -> None:
    rows = [row(), row(joints=[[50.0 + i, 9.0] for i in range(16)])]
    file = written(tmp_path, rows)
    boxes = np.ones((2, 2, 2))
    boxes[1] = 6
    joints = np.stack([np.array(r["joints"]) for r in rows], axis=-1)
    (tmp_path / "gt_valid.mat").unlink(missing_ok=True)
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": boxes, "pos_gt_src": joints})  # HRNet's name
    np.testing.assert_allclose(MpiiPeople(file).head_sizes, 0.6 * 5 * np.sqrt(2))
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": boxes, "pos_gt_src": joints[..., ::-1]})
    with pytest.raises(InputError, match=r"gt_valid\.mat: person 0 has other joints there"):
        MpiiPeople(file)


def test_heads_of_another_number_of_people_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    savemat(tmp_path / "mpii_gt_val.mat", {"headboxes_src": np.ones((2, 2, 7))})
    with caplog.at_level("WARNING", "logpose"):
        assert MpiiPeople(written(tmp_path, [row()])).head_sizes is None
    assert "heads of 7 people, the list has 1; not used" in caplog.text


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
        (row(center=[float("nan"), 1]), "not finite"),
        (row(scale=0), "a scale not above 0"),
        (row(joints=[[1e9, 2]] * 16), "beyond 1e"),
        (row(image="gone.jpg"), "no such image file"),
        (row(scale=10**400), "must be numbers"),
        ({"image_id": 3, "bbox": [1, 2, 3, 4], "score": 1}, "detected boxes go to --boxes"),
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
    with pytest.raises(InputError, match="not an MPII file"):
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
