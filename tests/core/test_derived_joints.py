from __future__ import annotations

import pytest

from logpose.core.derived_joints import derived_joints
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING, HUMANEVA, LSP, MPII, Skeleton


def derived(source: Skeleton, target: Skeleton) -> dict[str, set[str]]:
    ways = derived_joints(source, target)
    return {name: {source.joints[j] for j in way} for name, way in zip(target.joints, ways, strict=True)}


@pytest.mark.parametrize("skeleton", [COCO, H36M, HUMANEVA])
def test_joints_of_the_same_skeleton_stay(skeleton) -> None:
    assert derived_joints(skeleton, skeleton) == [(joint,) for joint in range(len(skeleton))]


def test_human36m_from_coco() -> None:
    shoulders, hips = {"left_shoulder", "right_shoulder"}, {"left_hip", "right_hip"}
    found = derived(COCO, H36M_LIFTING)
    assert (found["pelvis"], found["neck"], found["torso"]) == (hips, shoulders, shoulders | hips)
    assert (found["head"], found["nose"]) == ({"left_eye", "right_eye"}, {"nose"})
    for side, letter in (("left", "l"), ("right", "r")):
        for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            assert found[f"{letter}_{part}"] == {f"{side}_{part}"}


def test_what_has_a_name_there_is_taken_by_it() -> None:
    assert derived(MPII, HUMANEVA)["pelvis"] == {"pelvis"}
    assert derived(MPII, HUMANEVA)["head"] == {"head_top"}
    assert derived(H36M, H36M_LIFTING)["torso"] == {"torso"}
    assert derived(LSP, HUMANEVA)["thorax"] == {"neck"}
    assert derived(H36M_LIFTING, COCO.__class__("p", ("LHip", "RHip", "spine"))) == {
        "LHip": {"l_hip"}, "RHip": {"r_hip"}, "spine": {"torso"},
    }  # fmt: skip


def test_joints_that_cannot_be_had_are_named() -> None:
    with pytest.raises(InputError, match=r"nose.*r_ankle"):
        derived_joints(MPII, H36M_LIFTING)
    with pytest.raises(InputError, match="tail, l_paw"):
        derived_joints(COCO, Skeleton("dog", ("nose", "tail", "l_paw")))
