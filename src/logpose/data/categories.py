"""Which categories of a COCO file are learned from, and their skeleton: of one, of several as one, or their union."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from logpose.core.categories import united
from logpose.core.errors import InputError
from logpose.core.json_files import read_json, whole
from logpose.core.skeletons import Category, Skeleton

__all__ = ["Chosen", "chosen_categories", "chosen_names", "listed_skeleton", "may_be_several", "skeleton_of"]

ALL = "all"
"""The word that takes every category with keypoints, unless one has this name."""
WAYS = "choose one with --category NAME, or several with --category A,B or --category all"


class Chosen(NamedTuple):
    """The categories of a file that are learned from."""

    rows: list[dict[str, Any]]
    """Their entries in the file, in its order."""
    each: bool
    """Whether each has a skeleton of its own; if not they are one class, with the same joints."""


def chosen_categories(path: str | Path, categories: Sequence[Any], wanted: str | None = None) -> Chosen:
    """The categories of a file that name joints: one, several with the same joints as one, or those that are named.

    Animals often have a category for each species and one list of joints for all: unless several are asked for, they
    are trained as one class.

    Args:
        path: of the file, for messages.
        categories: its entries.
        wanted: a category's name, several separated by commas, or "all"; case counts where names differ in it alone.

    Raises:
        InputError: if none has joints or a name that is wanted, or several have different joints and none is wanted.
    """
    named = [row for row in categories if isinstance(row, dict) and row.get("keypoints")]
    if not named:
        raise InputError(f"{path}: no category lists keypoints")
    names = [_name(row) for row in named]
    taken = names if wanted is None else chosen_names(wanted, names, f"{path}: no category {{!r}} with keypoints")
    rows = [row for row in named if _name(row) in taken]
    each = wanted is not None and len(rows) > 1 and (len(set(taken)) > 1 or _is_all(wanted, names))
    if each and len(set(taken)) < len(rows):
        twice = next(name for name in taken if sum(_name(row) == name for row in rows) > 1)
        raise InputError(f"{path}: several categories are called {twice!r}, so that they cannot be kept apart by name")
    if not each and any(row["keypoints"] != rows[0]["keypoints"] for row in rows):
        raise InputError(f"{path}: categories with different keypoints ({', '.join(names)}); {WAYS}")
    return Chosen(rows, each)


def chosen_names(wanted: str, names: Sequence[str], unknown: str) -> list[str]:
    """The names among some that a text asks for: one of them, several separated by commas, or all.

    A name may have commas of its own. Spaces around names, and their case where it makes no difference, are ignored.

    Args:
        wanted: the text.
        names: to choose from.
        unknown: the message about a name that is none of them, with {!r} in its place.

    Raises:
        InputError: if one is none of them.
    """
    if wanted in names:
        return [wanted]
    if _is_all(wanted, names):
        return list(dict.fromkeys(names))
    parts, found = wanted.split(","), []
    while parts:
        ends = range(len(parts), 0, -1)  # the longest first: a name with a comma is not two
        end, name = next(
            ((end, name) for end in ends if (name := _meant(",".join(parts[:end]), names)) is not None), (0, "")
        )
        if not end:
            raise InputError(f"{unknown.format(parts[0].strip())}; choose from {', '.join(dict.fromkeys(names))}")
        found.append(name)
        parts = parts[end:]
    return list(dict.fromkeys(found))


def may_be_several(wanted: str | None) -> bool:
    """Whether a text may ask for several categories; none is asked for by None."""
    return wanted is not None and ("," in wanted or wanted.strip().casefold() == ALL)


def _meant(text: str, names: Sequence[str]) -> str | None:
    """The name that a text is, but for spaces around it and, where only one is so, for its case."""
    text = text.strip()
    if text in names:
        return text
    alike = {name for name in names if name.strip().casefold() == text.casefold()}
    return alike.pop() if len(alike) == 1 else None


def _is_all(wanted: str, names: Sequence[str]) -> bool:
    """Whether a text asks for all categories."""
    return wanted.strip().casefold() == ALL and _meant(wanted, names) is None


def _name(row: Mapping[str, Any]) -> str:
    """The name of a category's entry, as `Skeleton.from_category` has it."""
    return str(row.get("name", "object"))


def skeleton_of(
    path: str | Path, categories: Sequence[Any], wanted: str | None = None, like: Skeleton | None = None
) -> tuple[Skeleton, tuple[int, ...]]:
    """The skeleton of the categories of a file that are chosen, and their ids.

    Of several that are asked for it is the union of theirs (`core.categories.united`).

    Args:
        path: of the file, for messages.
        categories: its entries.
        wanted: as of `chosen_categories`.
        like: the skeleton of a model to measure. Where it has categories, those of the same names are taken, with the
            union's joints in its order; of another the categories with its joints are, where the file has others too.

    Raises:
        InputError: as `chosen_categories`; if an entry is malformed; if none is one of the model's, or one of its has
            other joints there.
    """
    if like is not None and (like.categories or wanted is None):
        wanted = _of_model(path, categories, wanted, like)
    chosen = chosen_categories(path, categories, wanted)
    for row in chosen.rows:
        if whole(row.get("id")) is None:
            raise InputError(f"{path}: category id must be an integer, got {row.get('id')!r:.40}")
    ids = tuple(row["id"] for row in chosen.rows)
    try:
        if like is not None and like.categories:
            return replace(like, categories=tuple(_read(row, like) for row in chosen.rows)), ids
        if not chosen.each:
            return Skeleton.from_category(chosen.rows[0]), ids
        skeleton = united([_read(row) for row in chosen.rows])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if like is not None and {*like.joints} == {*skeleton.joints}:  # a model of one class, whose joints they all have
        skeleton = replace(like, categories=skeleton.categories)
    return skeleton, ids


def _of_model(path: str | Path, categories: Sequence[Any], wanted: str | None, like: Skeleton) -> str | None:
    """What to ask a file for so that it fits a model; as given where that is all the same."""
    named = [row for row in categories if isinstance(row, dict) and row.get("keypoints")]
    if not like.categories:  # of one class
        fitting = [_name(row) for row in named if list(row["keypoints"]) == list(like.joints)]
        return fitting[0] if len(fitting) == 1 < len(named) else None
    own = [category.name for category in like.categories]
    there = list(dict.fromkeys(_name(row) for row in named if _name(row) in own))
    if not there:
        names = ", ".join(_name(row) for row in named) or "none with keypoints"
        raise InputError(f"{path}: has no category of the model ({', '.join(own)}), but {names}")
    if wanted is None:
        return ",".join(there)
    known = chosen_names(wanted, [_name(row) for row in named], f"{path}: no category {{!r}} with keypoints")
    if others := [name for name in known if name not in own]:
        raise InputError(f"{path}: category {others[0]!r} is none of the model's ({', '.join(own)})")
    return wanted


def _read(row: Mapping[str, Any], like: Skeleton | None = None) -> Category:
    """A category of its entry; `like` has one of its name, with the same joints, whose sigmas it takes without any.

    Raises:
        InputError: if the entry is malformed, or has other joints than the model's category of this name.
    """
    skeleton = Skeleton.from_category(row)
    for own in (category.skeleton for category in (like.categories if like else ()) if category.name == skeleton.name):
        if {*own.joints} != {*skeleton.joints}:
            theirs = ", ".join(sorted({*own.joints} ^ {*skeleton.joints}))
            raise InputError(f"category {own.name!r} has other joints than the model's: {theirs}")
        if skeleton.oks_sigmas is None:
            sigmas = dict(zip(own.joints, own.sigmas, strict=True))
            skeleton = replace(skeleton, oks_sigmas=tuple(sigmas[joint] for joint in skeleton.joints))
    return Category(row["id"], skeleton)


def listed_skeleton(paths: Sequence[str | Path], skeleton: Skeleton) -> Skeleton:
    """A model's skeleton of several categories, with the ids that COCO files give those of the same names.

    Where a file lists a category's keypoints their order is the file's. Unchanged if no file has one of them.

    Raises:
        InputError: if a category has several ids, or other joints than the model's.
    """
    found: dict[str, tuple[Category, str | Path]] = {}
    own = {category.name: category for category in skeleton.categories}
    for path in paths:
        content = read_json(Path(path))
        rows = content.get("categories") if isinstance(content, dict) else None
        for row in rows if isinstance(rows, list) else []:
            if not isinstance(row, dict) or _name(row) not in own or whole(row.get("id")) is None:
                continue
            try:
                category = _read(row, skeleton) if row.get("keypoints") else replace(own[_name(row)], id=row["id"])
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            before, file = found.setdefault(category.name, (category, path))
            if before.id != category.id:
                ids = f"{before.id} in {file} and {category.id} in {path}"
                raise InputError(
                    f"category {category.name!r} has several ids, {ids}: predict these files one at a time"
                )
    listed = [category for category, _ in found.values()]
    taken = {category.id for category in listed}
    rest = [category for name, category in own.items() if name not in found and category.id not in taken]
    return replace(skeleton, categories=(*listed, *rest)) if listed else skeleton
