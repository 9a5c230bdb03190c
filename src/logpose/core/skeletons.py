"""Skeletons: the joints of a body (or face, or animal), what connects them, and how exactly they can be labelled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from logpose.core.config import Configurable
from logpose.core.errors import InputError

__all__ = [
    "COCO",
    "DEFAULT_OKS_SIGMA",
    "H36M",
    "H36M_LIFTING",
    "HUMANEVA",
    "LSP",
    "MPII",
    "Skeleton",
    "derived_joints",
    "short_names",
]

DEFAULT_OKS_SIGMA = 0.05
"""OKS standard deviation (relative to the square root of the area) of a joint without a measured one.

COCO's own lie between 0.025 (eyes) and 0.107 (hips); see its keypoint evaluation page."""

_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z\d]+")
_LOWER_BODY = {"hip", "knee", "ankle", "foot", "toe", "heel", "pelvis"}


@dataclass(frozen=True)
class Skeleton(Configurable):
    """The joints that a model predicts.

    Attributes:
        name: what the skeleton describes ("person").
        joints: a name for each of the K joints.
        bones: pairs of joint indices that are drawn as lines.
        flip_pairs: pairs of joint indices that are swapped in a mirrored image; when None, inferred
            from names such as left_eye/right_eye, l_hip/r_hip, LWrist/RWrist.
        oks_sigmas: per joint the standard deviation of careful labels relative to the square root of the object's
            area (COCO's "sigmas"); when None, `DEFAULT_OKS_SIGMA` for every joint.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    oks_sigmas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.joints)
        pairs, sigmas = self.flip_pairs or (), self.oks_sigmas
        if not count or len(set(self.joints)) != count:
            raise InputError(f"skeleton {self.name!r} needs joints with distinct names, got {self.joints}")
        for pair in (*self.bones, *pairs):
            if len(pair) != 2 or not all(0 <= joint < count for joint in pair):
                raise InputError(f"skeleton {self.name!r}: {pair} names a joint outside 0..{count - 1}")
        if len({joint for pair in pairs for joint in pair}) != 2 * len(pairs):
            raise InputError(f"skeleton {self.name!r}: a joint is in more than one mirror pair of {pairs}")
        if sigmas is not None and (len(sigmas) != count or not all(0 < s < float("inf") for s in sigmas)):
            raise InputError(f"skeleton {self.name!r} needs {count} positive OKS sigmas, got {sigmas}")

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs that mirror each other: as given, or inferred from the names."""
        if self.flip_pairs is not None:
            return self.flip_pairs
        place = {joint: i for i, joint in enumerate(self.joints)}
        partners = ((i, place.get(_mirrored(joint), i)) for i, joint in enumerate(self.joints))
        return tuple((i, partner) for i, partner in partners if i < partner)

    @cached_property
    def flip_index(self) -> tuple[int, ...]:
        """For each joint, its counterpart in a mirrored image."""
        partner = dict(self.pairs) | {b: a for a, b in self.pairs}
        return tuple(partner.get(joint, joint) for joint in range(len(self)))

    @cached_property
    def sigmas(self) -> tuple[float, ...]:
        """OKS standard deviations: as given, or the stated default."""
        return self.oks_sigmas or (DEFAULT_OKS_SIGMA,) * len(self)

    @cached_property
    def upper_body(self) -> tuple[int, ...]:
        """Joints above the hips, by their names; empty where no joint is a hip, knee, ankle or foot (a face)."""
        lower = self._named(_LOWER_BODY)
        return tuple(i for i in range(len(self)) if i not in lower) if lower else ()

    @cached_property
    def torso(self) -> tuple[tuple[int, int], ...]:
        """The torso's diagonals, a shoulder and the opposite hip, by the joints' names; empty where one is missing."""
        ends = [(self.joints_of(a, ["shoulder"]), self.joints_of(b, ["hip"])) for a, b in list(_SIDES.items())[:2]]
        return tuple((shoulders[0], hips[0]) for shoulders, hips in ends if shoulders and hips)

    @cached_property
    def root(self) -> tuple[int, ...]:
        """The joints whose middle positions in space are relative to: the pelvis, or else both hips; may be empty."""
        pelvis, hips = self._named({"pelvis", "root"}), self._named({"hip"})
        return pelvis[:1] or (hips if len(hips) == 2 else ())

    def joints_of(self, side: str, parts: Sequence[str]) -> tuple[int, ...]:
        """The joints of one side, "left" or "right", whose names have one of these words."""
        of_side = self._named({side, side[0]})
        return tuple(i for i in self._named(set(parts)) if i in of_side)

    def _named(self, words: set[str]) -> tuple[int, ...]:
        """The joints whose names, "left_eye", "LeftEye" and "left-eye" alike, have one of these words."""
        names = [{word.lower() for word in _WORD.findall(joint)} for joint in self.joints]
        return tuple(i for i, name in enumerate(names) if name & words)

    def argument(self, name: str) -> Any:
        """The value of a constructor argument; of mirror pairs and OKS sigmas the inferred or default ones."""
        return getattr(self, {"flip_pairs": "pairs", "oks_sigmas": "sigmas"}.get(name, name))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Skeleton:
        """The skeleton that `config` described.

        Raises:
            InputError: if an entry is missing, unknown or malformed.
        """
        try:
            for name in ("joints", "bones", "flip_pairs", "oks_sigmas"):
                tuple(config[name])  # all are there, and sequences
            return super().from_config(config)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a skeleton: {error!r}") from error

    @classmethod
    def from_category(cls, category: Mapping[str, Any]) -> Skeleton:
        """The skeleton of an entry of a COCO file's `categories` (joint indices there start at 1).

        OKS sigmas come from the entry's `sigmas` if it has any, from COCO when the joints are COCO's, and are
        `DEFAULT_OKS_SIGMA` otherwise; mirror pairs from `flip_pairs` (1-based, as `skeleton`) or from the names.

        Raises:
            InputError: if the entry names no keypoints, or names joints that are not there.
        """
        joints = category.get("keypoints")
        name = str(category.get("name", "object"))
        if not isinstance(joints, Sequence) or isinstance(joints, str) or not joints:
            raise InputError(f"category {name!r} lists no keypoints")
        joints = tuple(map(str, joints))
        sigmas = category.get("sigmas")
        try:
            bones = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
            pairs = category.get("flip_pairs")
            flip_pairs = None if pairs is None else tuple((int(a) - 1, int(b) - 1) for a, b in pairs)
            oks_sigmas = None if sigmas is None else tuple(map(float, sigmas))
        except (TypeError, ValueError) as error:
            raise InputError(f"category {name!r}: skeleton, flip_pairs or sigmas are malformed ({error})") from error
        if oks_sigmas is None and joints == COCO.joints:
            oks_sigmas = COCO.oks_sigmas
        return cls(name, joints, bones, flip_pairs, oks_sigmas)


def _mirrored(joint: str) -> str:
    """The joint's name with its first side word turned round, in the same spelling; the same name if it has none."""
    pieces = _WORD.findall(joint)
    for i, piece in enumerate(pieces):
        if (other := _SIDES.get(piece.lower())) is not None:
            pieces[i] = other.upper() if piece.isupper() else other.title() if piece[0].isupper() else other
            return "".join(pieces)
    return joint


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


def short_names(skeleton: Skeleton, aliases: Mapping[str, str]) -> tuple[str, ...]:
    """Joint names in the short form, "r_hip" of "right_hip" and "R_Hip", with `aliases` replaced."""
    names = (joint.lower().replace("right_", "r_").replace("left_", "l_") for joint in skeleton.joints)
    return tuple(aliases.get(name, name) for name in names)


def _plain_names(skeleton: Skeleton) -> list[str]:
    """Names of the joints that are alike in all skeletons: "left hip" of l_hip, left_hip and LHip."""
    names = [joint.lower() for joint in skeleton.joints]
    for side in ("left", "right"):
        for part in PARTS:
            for joint in skeleton.joints_of(side, [part])[:1]:
                names[joint] = f"{side} {part}"
    return names


COCO = Skeleton(
    "person",
    (
        "nose",
        *("left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    bones=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
        *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
    # The COCO keypoint evaluation's own numbers.
    oks_sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)
"""The 17 joints of COCO."""

MPII = Skeleton(
    "person",
    (
        *("r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "pelvis", "thorax", "upper_neck"),
        *("head_top", "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist"),
    ),
    bones=(
        *((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9)),
        *((10, 11), (11, 12), (12, 7), (7, 13), (13, 14), (14, 15)),
    ),
)
"""The 16 joints of MPII."""

LSP = Skeleton(
    "person",
    (
        *("r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "r_wrist", "r_elbow"),
        *("r_shoulder", "l_shoulder", "l_elbow", "l_wrist", "neck", "head_top"),
    ),
    bones=(
        *((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 12), (12, 9), (9, 10), (10, 11)),
        *((12, 13), (2, 8), (3, 9)),
    ),
)
"""The 14 joints of LSP."""

H36M = Skeleton(
    "person",
    (
        *("pelvis", "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "torso", "neck", "nose"),
        *("head", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist", "thorax"),
    ),
    bones=(
        *((0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10)),
        *((8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16)),
    ),
)
"""The joints of Human3.6M, with the thorax that the released code adds."""

H36M_LIFTING = Skeleton("person", H36M.joints[:17], H36M.bones)
"""The joints in which 3-D errors are reported: the 17 of Human3.6M's 32 that VideoPose3D keeps, in its order."""

HUMANEVA = Skeleton(
    "person",
    (
        *("pelvis", "thorax", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist"),
        *("l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle", "head"),
    ),
    bones=(
        *((0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7)),
        *((0, 8), (8, 9), (9, 10), (0, 11), (11, 12), (12, 13), (1, 14)),
    ),
)
"""The 15 joints of HumanEva-I in VideoPose3D's order: one point for neck and chest, and one for the head."""
