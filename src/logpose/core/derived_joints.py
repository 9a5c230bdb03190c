"""The joints of a skeleton from those of another: by their names, or the midpoint of others."""

from __future__ import annotations

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton

__all__ = ["derived_joints"]

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear", "foot", "toe", "heel", "hand")
SHOULDERS, HIPS = ("left shoulder", "right shoulder"), ("left hip", "right hip")
SUBSTITUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "pelvis": (("root",), HIPS),
    "thorax": (("neck",), SHOULDERS),
    "neck": (("upper_neck",), ("thorax",), SHOULDERS),
    "torso": (("spine",), (*SHOULDERS, *HIPS)),
    "spine": (("torso",), (*SHOULDERS, *HIPS)),
    "head": (("head_top",), ("left eye", "right eye"), ("left ear", "right ear")),
}
"""For a missing joint, the joints whose midpoint replaces it: the first tuple whose joints exist.

COCO's to Human3.6M's as is usual: the pelvis between the hips, the neck between the shoulders, the torso half way, and
between the eyes the head, the top of which COCO does not label."""


def derived_joints(source: Skeleton, target: Skeleton) -> list[tuple[int, ...]]:
    """For each joint of a skeleton, the joint of another by its name, or those whose midpoint replaces it.

    Raises:
        InputError: naming the joints that cannot be derived.
    """
    if source.joints == target.joints:
        return [(joint,) for joint in range(len(target))]
    there = {name: joint for joint, name in enumerate(_plain_names(source))}
    found, missing = [], []
    for joint, name in zip(target.joints, _plain_names(target), strict=True):
        ways = ((name,), *SUBSTITUTES.get(name, ()))
        way = next((way for way in ways if all(part in there for part in way)), None)
        found.append(tuple(there[part] for part in way or ()))
        if way is None:
            missing.append(joint)
    if missing:
        raise InputError(
            f"the model needs {', '.join(missing)}, which cannot be derived from the {len(source)} joints "
            f"{', '.join(source.joints)}"
        )
    return found


def _plain_names(skeleton: Skeleton) -> list[str]:
    """Names of the joints that are alike in all skeletons: "left hip" of l_hip, left_hip and LHip."""
    names = [joint.lower() for joint in skeleton.joints]
    for side in ("left", "right"):
        for part in PARTS:
            for joint in skeleton.joints_of(side, [part])[:1]:
                names[joint] = f"{side} {part}"
    return names
