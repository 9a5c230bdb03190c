"""Several categories of objects in one skeleton, the union of their joints, so that one model predicts them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from logpose.core.errors import InputError
from logpose.core.skeletons import Category, Skeleton

__all__ = ["united", "with_pairs"]


def united(categories: Sequence[Category]) -> Skeleton:
    """The skeleton that has the joints of several categories; those of one name are one joint.

    Its bones are those of all, and its OKS sigma of a joint that of the first category that has it. It mirrors only
    if it is known of every category which joints a mirrored image swaps.

    Raises:
        InputError: if categories have the same id or name, or disagree about which joints mirror each other.
    """
    joints = tuple(dict.fromkeys(joint for category in categories for joint in category.skeleton.joints))
    number = {joint: i for i, joint in enumerate(joints)}
    bones: dict[tuple[int, int], None] = {}
    sigmas: dict[str, float] = {}
    for own in (category.skeleton for category in categories):
        numbers = [number[joint] for joint in own.joints]
        for a, b in own.bones:
            if (numbers[b], numbers[a]) not in bones:
                bones[numbers[a], numbers[b]] = None
        sigmas = dict(zip(own.joints, own.sigmas, strict=True)) | sigmas
    given = any(category.skeleton.oks_sigmas for category in categories)
    pairs = _pairs(categories)
    return Skeleton(
        ", ".join(category.name for category in categories),
        joints,
        tuple(bones),
        tuple((number[a], number[b]) for a, b in pairs) if all(c.skeleton.mirrors for c in categories) else None,
        tuple(sigmas[joint] for joint in joints) if given else None,
        tuple(categories),
    )


def _pairs(categories: Sequence[Category]) -> list[tuple[str, str]]:
    """The joints that mirror each other in any category, by name.

    Raises:
        InputError: if a joint has another counterpart, or none, in another category.
    """
    found: dict[frozenset[str], tuple[tuple[str, str], Category]] = {}
    for category in categories:
        joints = category.skeleton.joints
        for a, b in category.skeleton.pairs:
            found.setdefault(frozenset((joints[a], joints[b])), ((joints[a], joints[b]), category))
    for category in categories:
        own = category.skeleton
        partner = {joint: own.joints[other] for joint, other in zip(own.joints, own.flip_index, strict=True)}
        for (one, two), other in found.values():
            ways = (one, two), (two, one)
            wrong, counterpart = next((way for way in ways if partner.get(way[0], way[1]) != way[1]), ("", ""))
            if wrong and (own.mirrors or partner[wrong] != wrong):
                what = "none" if partner[wrong] == wrong else partner[wrong]
                raise InputError(
                    f"joint {wrong!r} mirrors {counterpart!r} in category {other.name!r} and {what} in category "
                    f"{category.name!r}: categories of one model must agree; give the file's categories flip_pairs"
                )
    return [pair for pair, _ in found.values()]


def with_pairs(skeleton: Skeleton, pairs: Sequence[str]) -> Skeleton:
    """`Skeleton.with_pairs`, of a skeleton of several categories in each that has both joints of a pair.

    Raises:
        InputError: as there; if a category has one joint of a pair alone.
    """
    changed = skeleton.with_pairs(pairs)
    if not skeleton.categories:
        return changed
    named = [(changed.joints[a], changed.joints[b]) for a, b in changed.pairs]
    categories = []
    for category in skeleton.categories:
        joints = category.skeleton.joints
        if half := [pair for pair in named if len({*pair} & {*joints}) == 1]:
            has, lacks = sorted(half[0], key=lambda joint: joint not in joints)
            raise InputError(f"category {category.name!r} has {has!r} and not {lacks!r}, which is to mirror it")
        own = tuple((joints.index(a), joints.index(b)) for a, b in named if a in joints)
        categories.append(replace(category, skeleton=replace(category.skeleton, flip_pairs=own)))
    return replace(changed, categories=tuple(categories))
