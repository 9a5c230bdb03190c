"""Skeletons: the joints of a body (or face, or animal), what connects them, and how exactly they can be labelled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from logpose.core.config import Configurable
from logpose.core.errors import InputError
from logpose.core.sides import has_side, in_series, infer_pairs, is_midline, is_numbered

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

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z\d]+")
_LOWER_BODY = {"hip", "knee", "ankle", "foot", "toe", "heel", "pelvis"}


@dataclass(frozen=True)
class Skeleton(Configurable):
    """The joints that a model predicts.

    Attributes:
        name: what the skeleton describes ("person").
        joints: a name for each of the K joints.
        bones: pairs of joint indices that are drawn as lines.
        flip_pairs: pairs of joint indices that are swapped in a mirrored image; when None, inferred from names such as
            left_eye/right_eye, LWrist/RWrist, oeil_gauche/oeil_droit (see `sides`).
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
        return infer_pairs(self.joints) if self.flip_pairs is None else self.flip_pairs

    @cached_property
    def unpaired(self) -> tuple[str, ...]:
        """Joints whose counterpart in a mirrored image is not known; none where `flip_pairs` are given.

        Without a single pair these are all joints that are not on the midline by their names; beside pairs, those with
        a side or with a number in place of a name.
        """
        paired = {joint for pair in self.pairs for joint in pair}
        rest = [name for joint, name in enumerate(self.joints) if joint not in paired]
        if self.flip_pairs is not None:
            return ()
        if paired or len(self) == 1:
            series = in_series(rest)
            return tuple(name for name in rest if has_side(name) or (paired and (is_numbered(name) or name in series)))
        return tuple(name for name in rest if has_side(name) or not is_midline(name))

    @property
    def mirrors(self) -> bool:
        """Whether it is known which joints a mirrored image swaps."""
        return not self.unpaired

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
        crossed = ("left", "right"), ("right", "left")
        ends = [(self.joints_of(a, ["shoulder"]), self.joints_of(b, ["hip"])) for a, b in crossed]
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
        """The value of a constructor argument; of mirror pairs and OKS sigmas the inferred or default ones.

        Pairs that are not all known stay None: a model that is read again has none either.
        """
        if name == "flip_pairs" and not self.mirrors:
            return None
        return getattr(self, {"flip_pairs": "pairs", "oks_sigmas": "sigmas"}.get(name, name))

    def with_pairs(self, pairs: Sequence[str]) -> Skeleton:
        """The same skeleton with mirror pairs by the joints' names, each as "left_ear-right_ear", beside those known.

        Known pairs of these joints are replaced. All other joints count as joints on the midline.

        Raises:
            InputError: if one does not name two joints, or a joint is in several.
        """
        given = [self._pair(text) for text in pairs]
        named = {joint for pair in given for joint in pair}
        return replace(self, flip_pairs=(*(pair for pair in self.pairs if not named & {*pair}), *given))

    def _pair(self, text: str) -> tuple[int, int]:
        """The two joints of "left_ear-right_ear"; names may have hyphens of their own."""
        place = {name: joint for joint, name in enumerate(self.joints)}
        words = text.split("-")
        ways = [("-".join(words[:at]), "-".join(words[at:])) for at in range(1, len(words))]
        found = [(place[a], place[b]) for a, b in ways if a in place and b in place]
        if len(found) != 1:
            raise InputError(
                f"pair {text!r}: expected the names of two joints, as {self.joints[0]}-{self.joints[-1]}; the joints "
                f"are {', '.join(self.joints)}"
            )
        return found[0]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Skeleton:
        """The skeleton that `config` described.

        Raises:
            InputError: if an entry is missing, unknown or malformed.
        """
        try:
            for name in ("joints", "bones", "flip_pairs", "oks_sigmas"):
                # All are there, and sequences but for pairs that are not known.
                tuple((config[name] or ()) if name == "flip_pairs" else config[name])
            return super().from_config(config)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a skeleton: {error!r}") from error

    @classmethod
    def from_category(cls, category: Mapping[str, Any]) -> Skeleton:
        """The skeleton of an entry of a COCO file's `categories`.

        Pairs of joints, of `skeleton` and `flip_pairs`, are numbers that count from 1, or names. Mirror pairs may also
        be `flip_idx`, the permutation of YOLO's `data.yaml`, which counts from 0, or `swap`, the name of each joint's
        counterpart (mmpose); else they come from the names. OKS sigmas come from `sigmas`, from COCO when the joints
        are COCO's, and are `DEFAULT_OKS_SIGMA` otherwise.

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
            bones = tuple(_joint_pair(pair, joints, "skeleton") for pair in category.get("skeleton") or ())
            flip_pairs = _category_pairs(category, joints)
            oks_sigmas = None if sigmas is None else tuple(map(float, sigmas))
        except InputError as error:
            raise InputError(f"category {name!r}: {error}") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"category {name!r}: skeleton, mirror pairs or sigmas are malformed ({error})") from error
        if oks_sigmas is None and joints == COCO.joints:
            oks_sigmas = COCO.oks_sigmas
        return cls(name, joints, bones, flip_pairs, oks_sigmas)


def _joint_pair(pair: Any, joints: Sequence[str], key: str) -> tuple[int, int]:
    """Two joints of an entry of a COCO file, which are names or count from 1."""
    try:
        a, b = (joints.index(end) if end in joints else int(end) - 1 for end in pair)
    except (TypeError, ValueError):
        a = b = -1
    if not (0 <= a < len(joints) and 0 <= b < len(joints)):
        raise InputError(f"{key} has {pair!r:.60}, expected two joints, by name or by number from 1 to {len(joints)}")
    return a, b


def _category_pairs(category: Mapping[str, Any], joints: tuple[str, ...]) -> tuple[tuple[int, int], ...] | None:
    """The mirror pairs that an entry of a COCO file gives in one of three forms; None if it gives none."""
    if (pairs := category.get("flip_pairs")) is not None:
        return tuple(_joint_pair(pair, joints, "flip_pairs") for pair in pairs)
    if (order := category.get("flip_idx")) is not None:
        order, key = [int(joint) for joint in order], "flip_idx"
    elif (swap := category.get("swap")) is not None:
        order, key = [joints.index(other) if other else joint for joint, other in enumerate(swap)], "swap"
    else:
        return None
    if len(order) != len(joints) or any(not 0 <= b < len(order) or order[b] != a for a, b in enumerate(order)):
        raise InputError(
            f"{key} must give each of the {len(joints)} joints its counterpart or itself, got {category[key]}"
        )
    return tuple((a, b) for a, b in enumerate(order) if a < b)


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
