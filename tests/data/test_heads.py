"""Heads of MPII's people: sizes, joints that do not count, files that do not belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.data.heads import heads_file, read_heads

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


def written(folder: Path, content: dict[str, np.ndarray]) -> Path:
    savemat(folder / "mpii_gt_val.mat", content)
    return folder / "mpii_gt_val.mat"


def test_either_name(tmp_path: Path) -> None:
    assert heads_file(tmp_path) is None
    (tmp_path / "gt_valid.mat").touch()
    assert heads_file(tmp_path) == tmp_path / "gt_valid.mat"
    (tmp_path / "mpii_gt_val.mat").touch()
    assert heads_file(tmp_path) == tmp_path / "mpii_gt_val.mat"


def test_every_joint_is_measured_by_the_person_s_head(tmp_path: Path) -> None:
    sizes = read_heads(written(tmp_path, variables()), LABELS, places(), first=1)
    np.testing.assert_allclose(sizes, np.repeat([[3.0], [6.0], [15.0]], 16, axis=1))
    boxes = variables()["headboxes_src"]
    boxes[1, 0, 0], boxes[1, :, 1] = np.nan, boxes[0, :, 1]  # one unknown, one of no size
    sizes = read_heads(written(tmp_path, {"headboxes_src": boxes}), LABELS, places(), first=1)
    assert np.isnan(sizes[:2]).all()
    np.testing.assert_allclose(sizes[2], 15)


def test_joints_that_the_file_says_are_missing_do_not_count(tmp_path: Path) -> None:
    missing, there = np.zeros((16, COUNT)), variables()["pos_gt_src"]
    missing[4, 1] = 1
    there[4, :, 1] = -1  # a place that is none, and is not compared
    there[9, 0, 2] = np.nan
    file = written(tmp_path, variables(jnt_missing=missing.astype(np.uint8), pos_gt_src=there))
    sizes = read_heads(file, LABELS, places(), first=1)
    assert np.argwhere(np.isnan(sizes)).tolist() == [[1, 4], [2, 9]]


def test_joints_without_a_label_are_not_compared(tmp_path: Path) -> None:
    joints = places()
    joints[0], joints[1, 3] = np.nan, np.nan
    there = variables()["pos_gt_src"]
    there[:, :, 0] += 40
    there[3, :, 1] += 40
    sizes = read_heads(written(tmp_path, variables(pos_gt_src=there)), LABELS, joints, first=1)
    assert np.isfinite(sizes).all()
    assert read_heads(written(tmp_path, variables()), LABELS, np.full_like(joints, np.nan), first=1) is not None


def test_a_single_person(tmp_path: Path) -> None:
    content = {name: array[..., :1] for name, array in variables(jnt_missing=np.zeros((16, COUNT))).items()}
    content |= {name: content[name][..., 0] for name in ("headboxes_src", "pos_gt_src")}  # as MATLAB writes them
    np.testing.assert_allclose(
        read_heads(written(tmp_path, content), LABELS, places()[:1], first=1), np.full((1, 16), 3.0)
    )


@pytest.mark.parametrize("rounding", [0.0, 0.5])
@pytest.mark.parametrize("first", [1, None])
def test_rounding_is_no_other_joint(tmp_path: Path, rounding: float, first: int | None) -> None:
    joints = places() + np.where(np.arange(2) == 0, rounding, -rounding)
    assert read_heads(written(tmp_path, variables()), LABELS, joints, first) is not None


def test_a_list_that_counts_from_0_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, variables())
    with pytest.raises(InputError, match=r"gt_val\.mat: pixels from 1, valid\.json .*from 0"):
        read_heads(file, LABELS, places() - 1, first=1)
    with pytest.raises(InputError, match=r"from 0"):
        read_heads(file, LABELS, places() - 1.25, first=1)


def test_where_either_will_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = written(tmp_path, variables())
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
        read_heads(written(tmp_path, variables()), LABELS, joints, first)


@pytest.mark.parametrize("first", [1, None])
def test_people_in_another_order(tmp_path: Path, first: int | None) -> None:
    with pytest.raises(InputError, match="person 0"):
        read_heads(written(tmp_path, variables()), LABELS, places()[::-1].copy(), first)


def test_another_number_of_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_heads(written(tmp_path, variables()), LABELS, places()[:2], first=1) is None
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
        read_heads(written(tmp_path, variables(**wrong)), LABELS, places(), first=1)


def test_a_file_without_heads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="headboxes_src"):
        read_heads(written(tmp_path, {"other": np.ones(2)}), LABELS, places(), first=1)
