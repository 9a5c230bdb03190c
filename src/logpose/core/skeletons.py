"""Skeletons: the joints of a body (or face, or animal), what connects them, and how exactly they can be labelled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from logpose.core.category_rows import joint_pair, mirror_pairs
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
    "Category",
    "Skeleton",
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
        categories: of a skeleton that is the union of several categories' joints (see `categories.united`), each of
            them with a skeleton of its own; a joint belongs to the categories that have one of its name.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    oks_sigmas: tuple[float, ...] | None = None
    categories: tuple[Category, ...] = ()

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
        for kind in ("id", "name"):
            if len({getattr(category, kind) for category in self.categories}) != len(self.categories):
                raise InputError(f"skeleton {self.name!r}: several categories have the same {kind}")
        if others := {joint for category in self.categories for joint in category.skeleton.joints} - {*self.joints}:
            raise InputError(f"skeleton {self.name!r} lacks joints of its categories: {', '.join(sorted(others))}")

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs that mirror each other: as given, or inferred from the names, or known of one of the categories."""
        if self.flip_pairs is None and self.categories:
            each = (([*map(self.joints.index, c.skeleton.joints)], c.skeleton.pairs) for c in self.categories)
            return tuple(dict.fromkeys((own[a], own[b]) for own, pairs in each for a, b in pairs))
        return infer_pairs(self.joints) if self.flip_pairs is None else self.flip_pairs

    @cached_property
    def unpaired(self) -> tuple[str, ...]:
        """Joints whose counterpart in a mirrored image is not known; none where `flip_pairs` are given.

        Without a single pair these are all joints that are not on the midline by their names; beside pairs, those with
        a side or with a number in place of a name. Of several categories these are the joints of each.
        """
        if self.flip_pairs is None and self.categories:
            return tuple(dict.fromkeys(name for category in self.categories for name in category.skeleton.unpaired))
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

    @cached_property
    def _by_category(self) -> dict[int, tuple[Skeleton, list[int]]]:
        return {c.id: (c.skeleton, [*map(self.joints.index, c.skeleton.joints)]) for c in self.categories}

    def of(self, category_id: int) -> tuple[Skeleton, list[int]]:
        """The skeleton of a category, and the numbers that its joints have here; without categories, this one.

        Raises:
            InputError: if the category is none of this skeleton's.
        """
        if not self.categories:
            return self, list(range(len(self)))
        if (found := self._by_category.get(category_id)) is None:
            known = ", ".join(f"{c.name} ({c.id})" for c in self.categories)
            raise InputError(f"category {category_id} is none of this skeleton's: {known}")
        return found

    def owned(self, category_ids: Sequence[int]) -> Bool[np.ndarray, "N K"]:
        """Which joints objects of these categories have."""
        mask = np.zeros((len(category_ids), len(self)), dtype=bool)
        for row, category in enumerate(category_ids):
            mask[row, self.of(category)[1]] = True
        return mask

    def sigmas_of(self, category_ids: Sequence[int]) -> Float[np.ndarray, "N K"]:
        """The OKS standard deviations of objects of these categories; of joints that they lack, this skeleton's."""
        sigmas = np.tile(np.asarray(self.sigmas, dtype=np.float64), (len(category_ids), 1))
        for row, category in enumerate(category_ids):
            own, joints = self.of(category)
            sigmas[row, joints] = own.sigmas
        return sigmas

    def config(self) -> dict[str, Any]:
        """As of every `Configurable`; without `categories` where there are none, as before they existed."""
        values = super().config()
        return values if self.categories else {name: value for name, value in values.items() if name != "categories"}

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
            categories = tuple(Category.from_config(row) for row in config.get("categories", ()))
            return super().from_config({**config, "categories": categories})
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
            bones = tuple(joint_pair(pair, joints, "skeleton") for pair in category.get("skeleton") or ())
            flip_pairs = mirror_pairs(category, joints)
            oks_sigmas = None if sigmas is None else tuple(map(float, sigmas))
        except InputError as error:
            raise InputError(f"category {name!r}: {error}") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"category {name!r}: skeleton, mirror pairs or sigmas are malformed ({error})") from error
        if oks_sigmas is None and joints == COCO.joints:
            oks_sigmas = COCO.oks_sigmas
        return cls(name, joints, bones, flip_pairs, oks_sigmas)


@dataclass(frozen=True)
class Category(Configurable):
    """A category of objects with joints of their own, one of several that a model predicts.

    Attributes:
        id: its number in the file that it was read from (COCO's `category_id`).
        skeleton: its joints, in its file's order, with its own bones, mirror pairs and OKS sigmas.
    """

    nested = {"skeleton": Skeleton.from_config}  # noqa: RUF012  # as of every `Configurable`

    id: int
    skeleton: Skeleton

    @property
    def name(self) -> str:
        """That of its skeleton."""
        return self.skeleton.name


def short_names(skeleton: Skeleton, aliases: Mapping[str, str]) -> tuple[str, ...]:
    """Joint names in the short form, "r_hip" of "right_hip" and "R_Hip", with `aliases` replaced."""
    names = (joint.lower().replace("right_", "r_").replace("left_", "l_") for joint in skeleton.joints)
    return tuple(aliases.get(name, name) for name in names)


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
