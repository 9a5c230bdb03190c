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

CERTAIN = ("sides", "exchanged", "other person")
"""Kinds that exchange labels: the corrected ones are a person's, at another joint."""


def relabelled(
    file: str | Path, people: Any, doubtful: Sequence[Doubtful], nats: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The content of a COCO file with exchanged labels put right, and a log of what was changed.

    A row is changed once, by its most certain doubt; flags of visibility go with the labels.

    Args:
        file: the labels, in COCO's form.
        people: its people, as `open_people` reads them.
        doubtful: what is wrong with them, most certain first.
        nats: least gain of a correction.

    Raises:
        InputError: if the file is not in COCO's form.
    """
    content = coco_content(Path(file))
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{file}: labels in COCO's form are changed; write them so by `logpose convert-labels`")
    by_id = {row.get("id"): row for row in rows if isinstance(row, dict)}
    before = {number: list(row["keypoints"]) for number, row in by_id.items() if isinstance(row.get("keypoints"), list)}
    skeleton: Skeleton = people.skeleton
    log, done = [], set[int]()
    for each in doubtful:
        number = people[each.row].id
        if each.doubt.kind not in CERTAIN or each.doubt.gain < nats or number in done or number not in before:
            continue
        source = before[number if each.other is None else people[each.other].id]
        if each.other is None:
            place = [joint if joint >= 0 else own for own, joint in enumerate(each.doubt.source)]
            keypoints = [value for joint in place for value in source[3 * joint : 3 * joint + 3]]
        else:
            keypoints = list(source)
        by_id[number]["keypoints"] = keypoints
        done.add(number)
        log.append(each.facts(people, skeleton) | {"before": before[number], "after": keypoints})
    return content, log
