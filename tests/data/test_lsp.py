"""LSP and LSP-Extended: two layouts of one array, boxes from joints, the split of the last thousand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.data.lsp import LspPeople


def positions(count: int) -> np.ndarray:
    """(N, 14, 2) within images of 60 × 50."""
    return np.random.default_rng(0).uniform(5, 45, (count, 14, 2))


def folder(tmp_path: Path, joints: np.ndarray, digits: int = 5, images: int | None = None) -> Path:
    (tmp_path / "images").mkdir()
    count = joints.shape[2] if images is None else images
    for i in range(count):
        cv2.imwrite(str(tmp_path / "images" / f"im{i + 1:0{digits}d}.jpg"), np.full((50, 60, 3), i, np.uint8))
    savemat(tmp_path / "joints.mat", {"joints": joints})
    return tmp_path / "joints.mat"


def extended(count: int = 6, flags: np.ndarray | None = None) -> np.ndarray:
    """14 × 3 × N, the third column saying that a joint is labelled."""
    flags = np.ones((count, 14)) if flags is None else flags
    return np.concatenate([positions(count), flags[..., None]], axis=2).transpose(1, 2, 0)


def test_the_extended_layout_states_what_is_labelled(tmp_path: Path) -> None:
    flags = np.ones((4, 14))
    flags[2, 5:] = 0
    people = LspPeople(folder(tmp_path, extended(4, flags)), strict=True)
    assert len(people) == 4
    np.testing.assert_allclose(people[1].keypoints, positions(4)[1])
    assert people[2].visible.tolist() == [2] * 5 + [0] * 9
    assert not people[2].keypoints[5:].any()
    low, high = positions(4)[2, :5].min(axis=0), positions(4)[2, :5].max(axis=0)
    np.testing.assert_allclose(people[2].box, [*low, *(high - low)])
    assert people[3].image == tmp_path / "images" / "im00004.jpg"
    assert (people[3].id, people[3].image_id) == (4, 4)


def test_the_first_layout_states_what_is_hidden(tmp_path: Path) -> None:
    hidden = np.zeros((3, 14))
    hidden[0, 3] = 1
    joints = np.concatenate([positions(3), hidden[..., None]], axis=2).transpose(2, 1, 0)
    assert joints.shape == (3, 14, 3)
    people = LspPeople(folder(tmp_path, joints, digits=4), strict=True)
    assert people[0].visible.tolist() == [2] * 3 + [1] + [2] * 10
    np.testing.assert_allclose(people[2].keypoints, positions(3)[2])
    assert people[0].image == tmp_path / "images" / "im0001.jpg"


@pytest.mark.parametrize("digits", [4, 5])
def test_a_missing_first_image_does_not_condemn_the_others(tmp_path: Path, digits: int) -> None:
    file = folder(tmp_path, extended(3), digits=digits)
    (tmp_path / "images" / f"im{1:0{digits}d}.jpg").unlink()
    people = LspPeople(file)
    assert [sample.id for sample in people] == [2, 3]
    assert [str(problem).split(": ")[1] for problem in people.problems] == [f"person 1 (im{1:0{digits}d}.jpg)"]


def test_the_end_is_held_out(tmp_path: Path) -> None:
    file = folder(tmp_path, extended(7))
    train, val = (LspPeople(file, part=part) for part in ("train", "val"))
    assert [sample.id for sample in train] == [1, 2, 3, 4]
    assert [sample.id for sample in val] == [5, 6, 7]


def test_who_has_too_few_joints_is_passed_over(tmp_path: Path) -> None:
    flags = np.ones((3, 14))
    flags[0, 1:] = 0
    flags[1] = 0
    people = LspPeople(folder(tmp_path, extended(3, flags)), strict=True)
    assert [sample.id for sample in people] == [3]
    assert people.counts["with too few labelled joints"] == 2


def test_a_line_of_joints_has_a_box_and_an_area(tmp_path: Path) -> None:
    joints = extended(1)
    joints[:, 0] = 20.0
    person = LspPeople(folder(tmp_path, joints), strict=True)[0]
    assert person.box[2] == 0 < person.box[3]
    assert person.area > 0


def test_wrong_rows_are_left_out_and_named(tmp_path: Path) -> None:
    joints = extended(5)
    joints[3, 0, 1] = np.nan
    joints[3, 1, 2] = 1e9
    file = folder(tmp_path, joints, images=4)
    (tmp_path / "images" / "im00001.jpg").write_bytes((tmp_path / "images" / "im00004.jpg").read_bytes()[:-30])
    people = LspPeople(file)
    assert [sample.id for sample in people] == [4]
    report = [str(problem) for problem in people.problems]
    assert "person 1 (im00001.jpg): truncated image" in report[0]
    assert "person 2 (im00002.jpg): joints not finite" in report[1]
    assert "person 3" in report[2]
    assert "person 5 (im00005.jpg): no such file" in report[3]
    with pytest.raises(InputError, match=r"person 1 .*\(and 3 more wrong rows\)"):
        LspPeople(file, strict=True)


def test_labels_that_are_not_looked_at_may_be_anything(tmp_path: Path) -> None:
    joints = extended(2)
    joints[4, 2, 0] = 0
    joints[4, :2, 0] = np.nan
    assert len(LspPeople(folder(tmp_path, joints), strict=True)) == 2


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((16, 3, 5)), "joints must be 14×3×N .* got 16×3×5"),
        (np.zeros((14, 3)), "got 14×3"),
        (np.full((14, 3, 2), 2.0), "person 1"),
        (np.zeros((14, 3, 2)), "no labelled people"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, joints: np.ndarray, message: str) -> None:
    savemat(tmp_path / "joints.mat", {"joints": joints})
    with pytest.raises(InputError, match=message):
        LspPeople(tmp_path / "joints.mat")


def test_the_extended_set_itself(data_root: Path) -> None:
    file = data_root / "lspet" / "joints.mat"
    if not file.is_file():
        pytest.skip(f"no lspet in {data_root}")
    val = LspPeople(file, strict=True, part="val")
    assert val.counts["annotations"] == 1000
    assert len(val) + val.counts["with too few labelled joints"] == 1000
    assert [val[0].id, val[-1].id] == [7001, 8000]
