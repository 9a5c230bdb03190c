"""Entries of a COCO file's `categories`: the pairs of joints that they name, in each of the forms in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from logpose.core.errors import InputError

__all__ = ["joint_pair", "mirror_pairs"]


def joint_pair(pair: Any, joints: Sequence[str], key: str) -> tuple[int, int]:
    """Two joints of an entry of a COCO file, which are names or count from 1."""
    try:
        a, b = (joints.index(end) if end in joints else int(end) - 1 for end in pair)
    except (TypeError, ValueError):
        a = b = -1
    if not (0 <= a < len(joints) and 0 <= b < len(joints)):
        raise InputError(f"{key} has {pair!r:.60}, expected two joints, by name or by number from 1 to {len(joints)}")
    return a, b


def mirror_pairs(category: Mapping[str, Any], joints: tuple[str, ...]) -> tuple[tuple[int, int], ...] | None:
    """The mirror pairs that an entry of a COCO file gives in one of three forms; None if it gives none."""
    if (pairs := category.get("flip_pairs")) is not None:
        return tuple(joint_pair(pair, joints, "flip_pairs") for pair in pairs)
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
