"""Labels with what is almost certainly wrong corrected, in a new file, with a log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.coco import coco_content
from logpose.tasks.pose.doubtful import Doubtful

__all__ = ["CERTAIN", "relabelled"]

OTHER = "other person"
CERTAIN = ("sides", "exchanged", OTHER)
"""Kinds that exchange labels: the corrected ones are a person's, at another joint."""


def relabelled(
    file: str | Path, people: Any, doubtful: Sequence[Doubtful], nats: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The content of a COCO file with exchanged labels put right, and a log of what was changed.

    A row is changed once, by its most certain doubt, and two people with each other's labels both or not at all; flags
    of visibility go with the labels.

    Args:
        file: the labels, in COCO's form.
        people: its people, as `open_people` reads them.
        doubtful: what is wrong with them, most certain first.
        nats: least gain of a correction.

    Raises:
        InputError: if the file is not in COCO's form, its annotations have no ids of their own, or several categories
            have joints of their own.
    """
    content = coco_content(Path(file))
    rows = content["annotations"]
    numbers = [row.get("id") for row in rows if isinstance(row, dict)]
    if None in numbers or len(set(map(str, numbers))) < len(numbers):
        raise InputError(f"{file}: its annotations need an id each, and no two the same")
    skeleton: Skeleton = people.skeleton
    if skeleton.categories:
        raise InputError(f"{file}: several categories have joints of their own, which is not implemented here")
    by_id = {row["id"]: row for row in rows if isinstance(row, dict)}
    before = {number: list(row["keypoints"]) for number, row in by_id.items() if isinstance(row.get("keypoints"), list)}
    log, done = [], set[int]()
    partners = {each.row: each for each in doubtful if each.doubt.kind == OTHER and each.other is not None}
    for each in doubtful:
        number = people[each.row].id
        if each.doubt.kind not in CERTAIN or each.doubt.gain < nats or number in done or number not in before:
            continue
        if each.other is None:
            _change(by_id[number], [value for k in each.doubt.source for value in before[number][3 * k : 3 * k + 3]])
            changed = [each]
        else:  # both people, or neither: else labels would be there twice, and others nowhere
            other, back = people[each.other].id, partners.get(each.other)
            if other in done or other not in before or back is None or back.other != each.row:
                continue
            _change(by_id[number], list(before[other]))
            _change(by_id[other], list(before[number]))
            changed = [each, back]
        for one in changed:
            own = people[one.row].id
            done.add(own)
            log.append(one.facts(people, skeleton) | {"before": before[own], "after": by_id[own]["keypoints"]})
    return content, log


def _change(row: dict[str, Any], keypoints: list[Any]) -> None:
    """Give an annotation other keypoints, and their number where it has one."""
    row["keypoints"] = keypoints
    if "num_keypoints" in row:
        row["num_keypoints"] = sum(flag > 0 for flag in keypoints[2::3])
