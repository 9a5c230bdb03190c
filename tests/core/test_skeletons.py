from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.skeletons import (
    COCO,
    DEFAULT_OKS_SIGMA,
    H36M,
    H36M_LIFTING,
    HUMANEVA,
    LSP,
    MPII,
    Skeleton,
)

KNOWN = {
    "COCO": COCO,
    "MPII": MPII,
    "LSP": LSP,
    "H36M": H36M,
    "H36M_LIFTING": H36M_LIFTING,
    "HUMANEVA": HUMANEVA,
}

# Written by hand from the data sets' own descriptions, as the released code has them.
PAIRS = {
    "COCO": {(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)},
    "MPII": {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)},
    "LSP": {(0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)},
    "H36M": {(1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)},
    "H36M_LIFTING": {(1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)},
    "HUMANEVA": {(2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13)},
}
COUNTS = {"COCO": 17, "MPII": 16, "LSP": 14, "H36M": 18, "H36M_LIFTING": 17, "HUMANEVA": 15}

each = pytest.mark.parametrize("name", KNOWN)


def skeleton(*joints: str, **more: Any) -> Skeleton:
    return Skeleton("thing", joints, **more)


@each
def test_joint_counts(name: str) -> None:
    assert len(KNOWN[name]) == len(KNOWN[name].joints) == COUNTS[name]


@each
def test_mirror_pairs_are_inferred(name: str) -> None:
    assert KNOWN[name].flip_pairs is None
    assert len(KNOWN[name].pairs) == len(PAIRS[name])
    assert set(KNOWN[name].pairs) == PAIRS[name]


@each
def test_flip_index_swaps_exactly_the_pairs(name: str) -> None:
    expected = list(range(COUNTS[name]))
    for a, b in PAIRS[name]:
        expected[a], expected[b] = b, a
    assert list(KNOWN[name].flip_index) == expected


@each
def test_mirroring_twice_is_nothing(name: str) -> None:
    index = KNOWN[name].flip_index
    assert [index[i] for i in index] == list(range(len(index)))


@each
def test_the_mirror_image_of_a_bone_is_a_bone(name: str) -> None:
    index = KNOWN[name].flip_index
    bones = {frozenset(bone) for bone in KNOWN[name].bones}
    assert len(bones) == len(KNOWN[name].bones), "no bone twice"
    assert {frozenset(index[i] for i in bone) for bone in bones} == bones


@each
def test_every_joint_hangs_together(name: str) -> None:
    # H36M's thorax was added to the data set's joints, as the midpoint of the shoulders; it is not drawn.
    reached = {0}
    for _ in KNOWN[name].joints:
        reached |= {i for bone in KNOWN[name].bones if reached & set(bone) for i in bone}
    assert set(range(COUNTS[name])) - reached == ({17} if name == "H36M" else set())


def test_humaneva_has_the_bones_of_videopose3d() -> None:
    parents = [-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1]  # its HumanEva skeleton
    assert set(HUMANEVA.bones) == {(parent, joint) for joint, parent in enumerate(parents) if parent >= 0}
    assert HUMANEVA.root == H36M_LIFTING.root == (0,)


def test_coco_is_cocos() -> None:
    # From the `categories` of person_keypoints_train2017.json (1-based), and COCO's evaluation code (times 10).
    bones = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9]]
    bones += [[8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]
    assert [[a + 1, b + 1] for a, b in COCO.bones] == bones
    tenfold = [
        0.26,
        0.25,
        0.25,
        0.35,
        0.35,
        0.79,
        0.79,
        0.72,
        0.72,
        0.62,
        0.62,
        1.07,
        1.07,
        0.87,
        0.87,
        0.89,
        0.89,
    ]
    assert COCO.sigmas == pytest.approx([sigma / 10 for sigma in tenfold], abs=1e-12)
    assert COCO.joints[:3] == ("nose", "left_eye", "right_eye")
    assert COCO.joints[-2:] == ("left_ankle", "right_ankle")


def test_coco_is_what_real_files_say(data_root: Any) -> None:
    path = data_root / "coco_mini" / "annotations" / "person_keypoints_val2017.json"
    if not path.is_file():
        pytest.skip(f"no real COCO file: {path}")
    (category,) = json.loads(path.read_text())["categories"]
    read = Skeleton.from_category(category)
    assert (read.joints, read.pairs, read.sigmas) == (COCO.joints, COCO.pairs, COCO.sigmas)
    assert set(read.bones) == set(COCO.bones)


def test_upper_body() -> None:
    assert COCO.upper_body == tuple(range(11)), "the released code's ids 0-10"
    assert MPII.upper_body == (7, 8, 9, 10, 11, 12, 13, 14, 15)
    assert LSP.upper_body == (6, 7, 8, 9, 10, 11, 12, 13)
    assert skeleton("left_eye", "right_eye", "nose").upper_body == (), "a face has no lower body"
    assert skeleton("Nose", "LeftHip", "RKnee", "chip").upper_body == (0, 3), "whole words only"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("LeftEye", "RightEye"),
        ("leftEye", "rightEye"),
        ("Left Eye", "Right Eye"),
        ("left eye", "right eye"),
        ("left-eye", "right-eye"),
        ("LEFT_EYE", "RIGHT_EYE"),
        ("l_hip", "r_hip"),
        ("L_Hip", "R_Hip"),
        ("LWrist", "RWrist"),
        ("L.Wrist", "R.Wrist"),
        ("ankle_l", "ankle_r"),
        ("AnkleL", "AnkleR"),
        ("eye_left", "eye_right"),
        ("outer_left_eye_2", "outer_right_eye_2"),
        ("left_00", "right_00"),
        ("left12", "right12"),
        ("left", "right"),
    ],
)
def test_spellings_of_sides(left: str, right: str) -> None:
    assert skeleton(left, right).pairs == ((0, 1),)
    assert skeleton(right, "nose", left).pairs == ((0, 2),), "the smaller index comes first, whichever side it is"


@pytest.mark.parametrize(
    "joint", ["nose", "mid_08", "brighton", "cleft", "hair", "lower_lip", "upper_neck", "x", "left"]
)
def test_joints_without_a_partner_stay(joint: str) -> None:
    assert skeleton(joint, "chin").flip_index == (0, 1)


def test_pairs_are_equal_but_for_the_side() -> None:
    assert skeleton("left_00", "right_0").pairs == ()
    assert skeleton("left_00", "left_01", "mid_08", "right_01", "right_00").pairs == ((0, 4), (1, 3))


words = st.sampled_from(["eye", "hip", "Knee", "00", "7", "mid", "A"])


@given(st.lists(st.tuples(st.sampled_from(["left", "right", "l", "r", "mid"]), words), min_size=1, unique=True))
def test_flip_index_is_its_own_inverse_whatever_the_names(parts: list[tuple[str, str]]) -> None:
    index = skeleton(*(f"{side}_{word}" for side, word in parts)).flip_index
    assert sorted(index) == list(range(len(parts)))
    assert [index[i] for i in index] == list(range(len(parts)))


def test_given_pairs_beat_the_names() -> None:
    given_pairs = skeleton("left_a", "right_a", "b", "c", flip_pairs=((3, 2),))
    assert given_pairs.pairs == ((3, 2),)
    assert given_pairs.flip_index == (0, 1, 3, 2)
    assert skeleton("left_a", "right_a", flip_pairs=()).flip_index == (0, 1), "none at all is an answer too"


def test_oks_sigmas_have_a_stated_default() -> None:
    assert skeleton("a", "b").sigmas == (DEFAULT_OKS_SIGMA, DEFAULT_OKS_SIGMA) == (0.05, 0.05)
    assert skeleton("a", "b", oks_sigmas=(0.1, 0.2)).sigmas == (0.1, 0.2)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"joints": ()}, "needs joints with distinct names"),
        ({"joints": ("a", "a")}, "needs joints with distinct names"),
        ({"bones": ((0, 2),)}, r"\(0, 2\) names a joint outside 0\.\.1"),
        ({"bones": ((-1, 0),)}, r"\(-1, 0\) names a joint outside 0\.\.1"),
        ({"flip_pairs": ((0, 5),)}, r"\(0, 5\) names a joint outside"),
        ({"flip_pairs": ((0, 1), (1, 0))}, "more than one mirror pair"),
        ({"flip_pairs": ((1, 1),)}, "more than one mirror pair"),
        ({"oks_sigmas": (0.1,)}, "needs 2 positive OKS sigmas"),
        ({"oks_sigmas": (0.1, 0.0)}, "needs 2 positive OKS sigmas"),
        ({"oks_sigmas": (0.1, -0.1)}, "needs 2 positive OKS sigmas"),
        ({"oks_sigmas": (0.1, float("nan"))}, "needs 2 positive OKS sigmas"),
        ({"oks_sigmas": (0.1, float("inf"))}, "needs 2 positive OKS sigmas"),
    ],
)
def test_impossible_skeletons_are_refused_by_name(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"'thing'.*{message}"):
        Skeleton("thing", **{"joints": ("a", "b"), **parts})


# Plain containers


@each
def test_round_trip_through_json(name: str) -> None:
    plain = json.loads(json.dumps(KNOWN[name].config()))
    back = Skeleton.from_config(plain)
    assert back.config() == plain
    assert (back.name, back.joints, back.bones) == ("person", KNOWN[name].joints, KNOWN[name].bones)
    assert (back.pairs, back.sigmas) == (KNOWN[name].pairs, KNOWN[name].sigmas)


@pytest.mark.parametrize("key", ["name", "joints", "bones", "flip_pairs", "oks_sigmas"])
def test_from_config_names_the_missing_entry(key: str) -> None:
    plain = COCO.config()
    del plain[key]
    with pytest.raises(InputError, match=f"not a skeleton.*{key}"):
        Skeleton.from_config(plain)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("joints", 3),
        ("bones", [[0]]),
        ("bones", [[0, 1, 2]]),
        ("bones", [["nose", "left_eye"]]),
        ("bones", [[0, 17]]),
        ("flip_pairs", 3),
        ("oks_sigmas", ["wide"] * 17),
        ("oks_sigmas", [0.1] * 16),
    ],
)
def test_from_config_refuses_malformed_entries(key: str, value: Any) -> None:
    with pytest.raises(InputError):
        Skeleton.from_config({**COCO.config(), key: value})


def test_from_config_refuses_unknown_entries() -> None:
    with pytest.raises(InputError, match="limbs"):
        Skeleton.from_config({**COCO.config(), "limbs": []})


# Categories of a COCO file


def category(**more: Any) -> dict[str, Any]:
    return {"id": 1, "name": "fly", "keypoints": ["head", "left_wing", "right_wing"], **more}


def test_from_category_counts_joints_from_one() -> None:
    read = Skeleton.from_category(category(skeleton=[[1, 2], [1, 3]]))
    assert read.name == "fly"
    assert read.joints == ("head", "left_wing", "right_wing")
    assert read.bones == ((0, 1), (0, 2))
    assert read.pairs == ((1, 2),)
    assert read.sigmas == (DEFAULT_OKS_SIGMA,) * 3


def test_from_category_takes_the_file_s_values() -> None:
    read = Skeleton.from_category(category(sigmas=[0.1, 0.2, 0.3], flip_pairs=[[1, 3]]))
    assert read.sigmas == (0.1, 0.2, 0.3)
    assert read.flip_index == (2, 1, 0)
    assert Skeleton.from_category(category(flip_pairs=[])).pairs == ()


@pytest.mark.parametrize(
    "given",
    [
        {"flip_pairs": [[1, 3]]},
        {"flip_pairs": [["head", "right_wing"]]},
        {"flip_idx": [2, 1, 0]},
        {"swap": ["right_wing", "", "head"]},
        {"swap": ["right_wing", None, "head"]},
    ],
)
def test_mirror_pairs_of_a_category_in_every_form(given: dict[str, Any]) -> None:
    read = Skeleton.from_category(category(skeleton=[["head", "left_wing"]], **given))
    assert (read.flip_index, read.bones) == ((2, 1, 0), ((0, 1),))
    assert read.mirrors


@pytest.mark.parametrize(
    ("joints", "unpaired"),
    [
        (("left_eye", "right_eye", "nose", "beard"), ()),
        (("nose", "neck", "tail_base", "C7"), ()),  # all on the midline
        (("1", "2", "3"), ("1", "2", "3")),
        (("head", "fin"), ("fin",)),
        (("left_eye", "right_eye", "leftear"), ("leftear",)),
        (("left_eye", "right_eye", "kp_7"), ("kp_7",)),
        (("left_eye", "r_eye"), ("left_eye", "r_eye")),
        (("left_eye", "right_eye", *(f"mid_{i}" for i in range(9))), ()),
        (("left_eye", "right_eye", *(f"lip_{i}" for i in range(5))), tuple(f"lip_{i}" for i in range(5))),
        (("handle",), ()),  # one joint cannot be taken for another
        (("left_hand",), ("left_hand",)),
    ],
)
def test_joints_without_a_known_counterpart(joints: tuple[str, ...], unpaired: tuple[str, ...]) -> None:
    found = Skeleton("thing", joints)
    assert (found.unpaired, found.mirrors) == (unpaired, not unpaired)
    assert Skeleton("thing", joints, flip_pairs=()).mirrors, "who gives the pairs knows them"
    again = Skeleton.from_config(json.loads(json.dumps(found.config())))
    assert (again.unpaired, again.pairs) == (unpaired, found.pairs)


def test_pairs_by_name_are_added_to_the_known_ones() -> None:
    known = skeleton("left_eye", "right_eye", "1", "2", "a-b", "c")
    given = known.with_pairs(["1-2", "a-b-c"])
    assert set(given.pairs) == {(0, 1), (2, 3), (4, 5)}
    assert given.mirrors
    assert not known.with_pairs([]).unpaired
    assert set(known.with_pairs(["left_eye-1"]).pairs) == {(0, 2)}, "in place of the pair that its name gives"
    for wrong in ("1", "1-9", "-", "1-2-3"):
        with pytest.raises(InputError, match=re.escape(repr(wrong))):
            known.with_pairs([wrong])
    with pytest.raises(InputError, match="more than one"):
        known.with_pairs(["1-2", "2-c"])


@pytest.mark.parametrize("bones", [None, []])
def test_from_category_needs_no_bones(bones: Any) -> None:
    assert Skeleton.from_category(category(skeleton=bones)).bones == ()
    assert Skeleton.from_category(category()).bones == ()


def test_from_category_knows_cocos_sigmas_by_its_joints() -> None:
    people = {"name": "person", "keypoints": list(COCO.joints)}
    assert Skeleton.from_category(people).sigmas == COCO.sigmas
    assert Skeleton.from_category({**people, "sigmas": [0.07] * 17}).sigmas == (0.07,) * 17
    reordered = {**people, "keypoints": list(COCO.joints[::-1])}
    assert Skeleton.from_category(reordered).sigmas == (DEFAULT_OKS_SIGMA,) * 17


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keypoints": None}, "'fly'"),
        ({"keypoints": []}, "'fly'"),
        ({"keypoints": "head"}, "'fly'"),
        ({"keypoints": 3}, "'fly'"),
        ({"keypoints": ["head", "head"]}, "'fly' needs joints with distinct names"),
        ({"skeleton": [[0, 1]]}, r"'fly': skeleton .*\[0, 1\].* 1 to 3"),
        ({"skeleton": [[1, 4]]}, r"'fly': skeleton .*\[1, 4\].* 1 to 3"),
        ({"skeleton": [1, 2]}, r"'fly': skeleton .* 1\b"),
        ({"skeleton": [["head", "tail"]]}, r"'fly': skeleton .*'tail'"),
        ({"skeleton": [[1, 2, 3]]}, r"'fly': skeleton .*\[1, 2, 3\]"),
        ({"flip_pairs": [[2]]}, r"'fly': flip_pairs .*\[2\]"),
        ({"flip_pairs": [[2, 9]]}, r"'fly': flip_pairs .*\[2, 9\]"),
        ({"flip_pairs": [[0, 1]]}, r"'fly': flip_pairs .*\[0, 1\].* 1 to 3"),
        ({"flip_idx": [0, 2]}, r"'fly': flip_idx .*\[0, 2\]"),
        ({"flip_idx": [0, 2, 3]}, r"'fly': flip_idx .*\[0, 2, 3\]"),
        ({"flip_idx": [1, 2, 0]}, r"'fly': flip_idx .*\[1, 2, 0\]"),
        ({"flip_idx": 7}, "'fly': .* malformed"),
        ({"swap": ["", "right_wing", "head"]}, "'fly': swap .*right_wing"),
        ({"swap": ["", "right_wing", "tail"]}, "'fly': .* malformed"),
        ({"flip_pairs": [[1, 2], [2, 3]]}, "'fly'.*more than one mirror pair"),
        ({"sigmas": 0.1}, "category 'fly': .* malformed"),
        ({"sigmas": [None, 1, 1]}, "category 'fly': .* malformed"),
        ({"sigmas": [0.1, 0.1]}, "'fly' needs 3 positive OKS sigmas"),
        ({"sigmas": []}, "'fly' needs 3 positive OKS sigmas"),
    ],
)
def test_from_category_errors_name_the_category(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Skeleton.from_category(category(**changed))
    assert not re.search("\n", str(caught.value)), "one sentence"


def test_a_category_without_a_name_is_an_object() -> None:
    assert Skeleton.from_category({"keypoints": ["a"]}).name == "object"
    with pytest.raises(InputError, match="'object'"):
        Skeleton.from_category({})


def test_the_torso_s_diagonals():
    assert [[COCO.joints[a], COCO.joints[b]] for a, b in COCO.torso] == [
        ["left_shoulder", "right_hip"],
        ["right_shoulder", "left_hip"],
    ]
    assert LSP.torso == ((9, 2), (8, 3))
    assert MPII.torso == ((13, 2), (12, 3))
    assert Skeleton("face", ("left_eye", "right_eye")).torso == ()
    assert Skeleton("half", ("LShoulder", "RShoulder", "RHip")).torso == ((0, 2),)
