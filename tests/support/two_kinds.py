"""A COCO folder of two categories with joints of their own: people, and busts of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BUST = ["right_ear", "crown", "left_ear", "nose"]
"""Joints of a bust: three of a person's in another order, and one more, 5 pixels above the nose."""
PERSON_ID, BUST_ID = 4, 9


def of_two_kinds(content: dict[str, Any], ids: tuple[int, int] = (PERSON_ID, BUST_ID)) -> dict[str, Any]:
    """A COCO file of people, every second of whom becomes a bust."""
    person = {**content["categories"][0], "id": ids[0]}
    bust = {
        "id": ids[1],
        "name": "bust",
        "keypoints": BUST,
        "skeleton": [[1, 2], [2, 3]],
        "sigmas": [0.1, 0.2, 0.1, 0.3],
    }
    rows = []
    for i, row in enumerate(content["annotations"]):
        joints = dict(zip(person["keypoints"], zip(*[iter(row["keypoints"])] * 3, strict=True), strict=True))
        x, y, v = joints["nose"]
        joints["crown"] = (x, y - 5 if v else y, v)
        own = {"category_id": ids[0]}
        if i % 2:
            own = {"category_id": ids[1], "keypoints": [value for joint in BUST for value in joints[joint]]}
        rows.append({**row, **own})
    return {**content, "annotations": rows, "categories": [person, bust]}


def write_two_kinds(source: Path, folder: Path) -> Path:
    """The folder `source`, of people, with two kinds; the validation file numbers and orders them otherwise."""
    (folder / "annotations").mkdir(parents=True)
    for part, ids in (("train", (PERSON_ID, BUST_ID)), ("val", (7, 2))):
        name = f"person_keypoints_{part}.json"
        content = of_two_kinds(json.loads((source / "annotations" / name).read_text()), ids)
        if part == "val":
            content["categories"].reverse()
        (folder / "annotations" / name).write_text(json.dumps(content))
        (folder / part).symlink_to(source / part)
    return folder
