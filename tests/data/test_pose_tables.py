"""Tables of VideoPose3D's files: what is chosen of them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.skeletons import H36M_LIFTING, HUMANEVA
from logpose.data.pose_tables import (
    KEPT,
    check_pixels,
    check_symmetry,
    checked,
    chosen,
    fingerprints,
    joints_of,
    person,
    sequences_of,
    table_of,
)
from logpose.data.problems import Problem

FILE = Path("folder/data.npz")
THERE = ["Train/P1", "Train/P2", "Validate/P1"]
LEFT, RIGHT = [2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]


def test_a_table_is_one_of_subjects_and_actions() -> None:
    held = {"positions_3d": {"S1": {"Walk": 1, 2: 3}, 5: {}}, "metadata": {}}
    assert table_of(FILE, held, "positions_3d") == {"S1": {"Walk": 1, "2": 3}, "5": {}}
    for wrong in ([1], {"S1": np.zeros((2, 15, 3))}, {"S1": {}, "S2": 3}, None):
        with pytest.raises(InputError, match=r"data\.npz.*positions_3d, other"):
            table_of(FILE, {"positions_3d": wrong, "other": 1}, "positions_3d")
    with pytest.raises(InputError, match="nothing"):
        table_of(FILE, {}, "positions_2d")
    for empty in ({}, {"S1": {}, "S2": {}}):
        with pytest.raises(InputError, match=r"data\.npz.*positions_3d"):
            table_of(FILE, {"positions_3d": empty}, "positions_3d")


def test_a_subject_is_known_again_by_its_poses() -> None:
    rng = np.random.default_rng(0)
    walk, run = rng.normal(size=(2, 4, 15, 3))
    table = {"S1": {"walk": walk, "run": run}, "other": {"run": run.copy(), "walk": walk.copy()}}
    table |= {"S2": {"walk": run, "run": walk}, "S3": {"walk": walk}, "S4": {"walk": walk, "run": run + 1e-9}}
    words = fingerprints(table, table)
    assert list(words) == list(table)
    assert words["S1"] == words["other"]
    assert len(set(words.values())) == 4
    assert fingerprints(table, ["S3"]) == {"S3": words["S3"]}
    ragged = {"S1": {"walk": None, "run": "no", "box": [walk[:2], walk[:1]], "jog": np.array([None, 1])}}
    assert len(fingerprints(ragged, ["S1"])) == 1


def test_a_name_that_a_subject_has_is_that_subject_s_alone() -> None:
    there = ["S1", "S1/more", "Train/S1", "Train/S2"]
    assert chosen(FILE, there, ["S1"]) == ["S1"]
    assert chosen(FILE, there, ["S1", "Train"]) == ["S1", "Train/S1", "Train/S2"]


def test_sequences_are_in_the_files_order() -> None:
    table = {"b": {"z": 1, "a": 2}, "a": {"x": 3}}
    assert list(sequences_of(table, ["a", "b"])) == [("a", "x", 3), ("b", "z", 1), ("b", "a", 2)]


@pytest.mark.parametrize(("subject", "who"), [("Train/S1", "S1"), ("S1", "S1"), ("a/b/c", "c")])
def test_who_somebody_is(subject: str, who: str) -> None:
    assert person(subject) == who


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, THERE),
        (["Train"], ["Train/P1", "Train/P2"]),
        (["Validate/P1", "Train/P2"], ["Train/P2", "Validate/P1"]),
        ([], []),
    ],
)
def test_subjects_are_chosen(wanted: list[str] | None, expected: list[str]) -> None:
    assert chosen(FILE, THERE, wanted) == expected


@pytest.mark.parametrize(
    ("name", "hint"), [("Trian", "; did you mean Train?"), ("P1", ""), ("Train/", "; did you mean Train?")]
)
def test_subjects_that_are_not_there(name: str, hint: str) -> None:
    with pytest.raises(InputError) as refusal:
        chosen(FILE, THERE, ["Train", name])
    report = f"data.npz: no subject {name!r} among Train/P1, Train/P2, Validate/P1{hint}"
    assert str(refusal.value).endswith(report)


def test_joints_are_counted() -> None:
    poses = {"a": np.zeros((2, 17, 3)), "b": np.zeros((1, 17, 3)), "c": np.zeros((9, 15, 3)), "d": 3}
    assert joints_of(FILE, {"S1": poses}) == 17
    with pytest.raises(InputError, match="positions_3d"):
        joints_of(FILE, {"S1": {"a": 1, "b": np.zeros(3)}})
    with pytest.raises(InputError, match="19 joints"):
        joints_of(FILE, {"S1": {"a": np.zeros((2, 19, 3))}})


ONE = np.random.default_rng(0).uniform(0, 1, (5, 15, 3))
HOLED = ONE.copy()
HOLED[[2, 4], 3, 1] = np.nan
PROBLEMS: dict[str, tuple[Any, str]] = {
    "no array": ("word", "here: not an array of frames × joints × 3 (str)"),
    "axes": (ONE[0], "here: not an array of frames × joints × 3 (15×3)"),
    "dimensions": (ONE[..., :2], "here: not an array of frames × joints × 3 (5×15×2)"),
    "joints": (ONE[:, :14], "here: another number of joints (14, expected 15)"),
    "frames": (ONE[:3], "here: too few frames (3, expected 4)"),
    "holes": (HOLED, "here: frames that are not finite (1 of 4, first 2)"),
    "unit": (ONE * 1000, "here: joints more than 10 m from the root; expected metres"),
    "far": (ONE + 2e6, "here: joints more than 10 m from the root; expected metres"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_is_reported(case: str) -> None:
    found, report = PROBLEMS[case]
    problem = checked("here", found, 15, 3, 4)
    assert isinstance(problem, Problem)
    assert str(problem) == report


def test_what_is_right_is_cut_and_picked() -> None:
    found = checked("here", ONE, 15, 3, 4)
    np.testing.assert_array_equal(found, ONE[:4])
    whole = checked("here", np.round(9 * ONE).astype(np.int64)[..., :2], 15, 2)
    assert isinstance(whole, np.ndarray)
    assert (whole.dtype, len(whole)) == (np.float64, 5)
    all32 = np.random.default_rng(0).uniform(0, 1, (3, 32, 2)).astype(np.float32)
    removed = [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]  # VideoPose3D's
    few = checked("here", all32, 32, 2)
    assert isinstance(few, np.ndarray)
    assert few.dtype == np.float32
    np.testing.assert_array_equal(few, np.delete(all32, removed, axis=1))
    assert set(KEPT) == set(range(32)) - set(removed)
    far = checked("here", 1e7 * all32, 32, 2)
    assert str(far) == "here: keypoints beyond ±1e+06 pixels"


SIDES: dict[str, tuple[Any, str]] = {
    "turned": ({"keypoints_symmetry": [RIGHT, LEFT]}, "keypoints_symmetry .*expected"),
    "other": ({"keypoints_symmetry": [[1], [2]]}, r"keypoints_symmetry is \[\[1\], \[2\]\].* 15"),
    "short": ({"keypoints_symmetry": [LEFT, RIGHT[1:]]}, "keypoints_symmetry"),
    "endless": (
        {"keypoints_symmetry": [list(range(10**5))] * 9},
        r"keypoints_symmetry is \[\[0, 1, 2, 3, 4, 5, \.\.\.\], .{,200}, expected",
    ),
    "no number": ({"num_joints": np.arange(2), "keypoints_symmetry": [[np.inf], [1]]}, "keypoints_symmetry"),
    "a word": ({"keypoints_symmetry": "left"}, "keypoints_symmetry is left"),
}


@pytest.mark.parametrize("case", SIDES)
def test_sides_must_be_the_skeleton_s(case: str) -> None:
    metadata, report = SIDES[case]
    with pytest.raises(InputError, match=report):
        check_symmetry(FILE, metadata, HUMANEVA)


@given(st.permutations(range(6)))
def test_sides_may_be_in_any_order_or_untold(order: list[int]) -> None:
    check_symmetry(FILE, {"keypoints_symmetry": [np.array(LEFT)[order], [RIGHT[i] for i in order]]}, HUMANEVA)
    left, right = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
    check_symmetry(FILE, {"keypoints_symmetry": [[left[i] for i in order], [right[i] for i in order]]}, H36M_LIFTING)
    for untold in (None, 5, {}, {"num_joints": 32, "keypoints_symmetry": [[1], [2]]}):
        check_symmetry(FILE, untold, HUMANEVA)


@pytest.mark.parametrize(
    ("factor", "size"), [(1.0, (48, 64)), (10.0, (480, 640)), (0.01, (480, 640)), (-1.0, (480, 640))]
)
def test_keypoints_that_are_no_pixels_of_the_image(factor: float, size: tuple[int, int]) -> None:
    views = [np.random.default_rng(i).uniform([200, 100], [400, 400], (9, 15, 2)) for i in range(3)]
    check_pixels(FILE, [(view, (480, 640)) for view in views])
    check_pixels(FILE, [(view, (480, 640)) for view in [*views, 99 * views[0]]])  # one that is elsewhere
    with pytest.raises(InputError, match=r"\d+ pixels wide and \d+ high"):
        check_pixels(FILE, [(factor * view, size) for view in views])


def test_of_nothing_nothing_is_given() -> None:
    check_pixels(FILE, [])
