"""Exports of Label Studio, with regions given in pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from logpose.data.label_content import LabelContent

SIZE = (200, 100)


def region(kind: str, number: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    row = {"id": number, "type": kind, "from_name": "x", "to_name": "image", "value": value, "image_rotation": 0}
    return row | {"original_width": SIZE[0], "original_height": SIZE[1]} | more


def joint(name: str, x: float, y: float, number: str | None = None, **more: Any) -> dict[str, Any]:
    """A keypoint, in pixels."""
    value = {"x": x / SIZE[0] * 100, "y": y / SIZE[1] * 100, "width": 0.4, "keypointlabels": [name]}
    return region("keypointlabels", number or f"{name}-{x}-{y}", value, **more)


def box(number: str, x: float, y: float, width: float, height: float, label: str = "cat", turned: float = 0) -> Any:
    """A rectangle, in pixels."""
    sides = {"x": x / SIZE[0], "y": y / SIZE[1], "width": width / SIZE[0], "height": height / SIZE[1]}
    value = {key: side * 100 for key, side in sides.items()}
    return region("rectanglelabels", number, value | {"rotation": turned, "rectanglelabels": [label]})


def task(number: int, *results: Any, name: str | None = None, **more: Any) -> dict[str, Any]:
    annotation = {"id": 100 + number, "completed_by": 1, "was_cancelled": False, "result": list(results)}
    data = {"image": name or f"/data/upload/3/0123abcd-{number}.png"}
    return {"id": number, "annotations": [annotation], "predictions": [], "data": data} | more


def export(folder: Path, *tasks: Any) -> Path:
    file = folder / "project-3.json"
    file.write_text(json.dumps(tasks))
    return file


def rows(content: LabelContent) -> list[tuple[list[float], list[float]]]:
    """The box and the keypoints of each person, rounded."""
    return [([round(v, 6) for v in a["bbox"]], [round(v, 6) for v in a["keypoints"]]) for a in content.annotations]


PERSON = [joint("nose", 20, 10), joint("tail", 60, 30)]
