"""Label Studio: its JSON and JSON-MIN exports as COCO's lists, and labels or predictions as its tasks.

The format is that of https://labelstud.io/guide/export: keypoints and rectangles in per cent of `original_width` and
`original_height`. A joint belongs to the region that is its parent, or that it has a relation to; without one to the
only rectangle that it lies in; in images without rectangles all joints are one person's. The order of the joints is
that of the labelling config (an XML file beside the export; by `model_index` where it has them), else alphabetical.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.files import whole_file
from logpose.core.json_files import whole
from logpose.data.images import image_size
from logpose.data.label_content import LabelContent, box_around
from logpose.data.label_studio_files import (
    image_of,
    labelling_config,
    read_labelling_config,
    read_tasks,
    reference,
)
from logpose.data.label_studio_regions import Region, owners, regions_of
from logpose.data.problems import Problem

__all__ = ["read", "reads", "write"]

LOOK = 2**16  # bytes of a file that are read to detect its format
WIDTH = 0.5  # of a keypoint as it is drawn, in per cent of the image's width


def reads(path: str | Path) -> bool:
    """Whether a file is a Label Studio export: a JSON list of tasks, with annotations or predictions."""
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as stream:
        begin = stream.read(LOOK).removeprefix(b"\xef\xbb\xbf").lstrip()
    keys = (b'"annotations"', b'"completions"', b'"annotation_id"')
    return begin.startswith(b"[") and b'"joints_vis"' not in begin and any(key in begin for key in keys)


def read(path: str | Path) -> LabelContent:
    """The labels of an export.

    Of several annotations of a task the one marked as ground truth is taken, else the latest. Cancelled annotations,
    predictions, and tasks without annotations are counted; images that nobody annotated are not taken as empty.

    Raises:
        InputError: if it is no JSON list, has no keypoints, or the XML files beside it are no labelling config of one
            order of joints.
    """
    path = Path(path)
    return _Reader(path).content


@dataclass
class _Person:
    """One person of an image, before the joints of the whole file are known."""

    image: int
    where: str
    joints: dict[str, list[float]]
    box: list[float] | None
    category: str | None


class _Reader:
    """Reads an export into `content`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = LabelContent(folder=path.parent)
        self.people: list[_Person] = []
        self.several = 0
        tasks = read_tasks(path)
        order, image_key = read_labelling_config(path.parent)
        ids = [whole(task.get("id")) if isinstance(task, dict) else None for task in tasks]
        unique = None not in ids and len({*ids}) == len(ids)
        annotated: list[tuple[int, str, str, dict[str, Any]]] = []
        for i, (task, number) in enumerate(zip(tasks, ids, strict=True)):
            where = f"{path}: task {i if number is None else number}"
            if not isinstance(task, dict):
                self._problem(where, "not a JSON object")
            elif (annotation := self._chosen(where, task)) is None:
                continue
            elif (name := image_of(task, path.parent, image_key)) is None:
                self._problem(where, "no image in its data", f"{task.get('data')!r:.80}")
            else:
                annotated.append((int(number or 0) if unique else i, where, name, annotation))
        times = Counter(name for _, _, name, _ in annotated)
        for image, where, name, annotation in annotated:
            if times[name] > 1:
                self._problem(where, "its image is that of another task, too", name)
            else:
                self._read_task(image, f"{where}, annotation {annotation.get('id', '')}".rstrip(), name, annotation)
        self._finish(order, len(tasks))

    def _problem(self, where: str, kind: str, detail: str = "") -> None:
        self.content.problems.append(Problem(where, kind, detail))

    def _chosen(self, where: str, task: dict[str, Any]) -> dict[str, Any] | None:
        """The annotation of a task that is used."""
        counts = self.content.counts
        rows = task.get("annotations", task.get("completions"))
        counts["predictions"] += len(guesses) if isinstance(guesses := task.get("predictions"), list) else 0
        usable: list[dict[str, Any]] = []
        for i, row in enumerate(rows if isinstance(rows, list) else []):
            if not isinstance(row, dict) or not isinstance(row.get("result"), list):
                self._problem(f"{where}, annotation {i}", "no list of results")
            elif row.get("was_cancelled") or row.get("cancelled"):
                counts["cancelled annotations"] += 1
            else:
                usable.append(row)
        if not usable:
            counts["tasks without annotations"] += 1
            return None
        counts["of other annotators"] += len(usable) - 1
        self.several += len(usable) > 1
        return max(usable[::-1], key=lambda row: (bool(row.get("ground_truth")), _time(row)))

    def _read_task(self, number: int, where: str, name: str, annotation: dict[str, Any]) -> None:
        """Add the image and the people of an annotation."""
        regions, problems, counts = regions_of(where, annotation["result"])
        self.content.counts += counts
        size = next((region.size for region in regions.values() if region.shape != "other"), (None, None))
        for key in [key for key, region in regions.items() if region.shape != "other" and region.size != size]:
            problems.append(Problem(regions.pop(key).where, "original_width and original_height of another image"))
        boxes = {key: np.array(region.box()) for key, region in regions.items() if region.shape == "rectangle"}
        groups: dict[str | None, list[Region]] = {key: [] for key in boxes}
        for region in regions.values():
            if region.shape != "keypoint":
                self.content.counts["regions of other shapes"] += region.shape == "other"
            elif len(region.labels) != 1:
                problems.append(Problem(region.where, "a keypoint needs one label", ", ".join(region.labels)))
            elif len(around := owners(region, regions, boxes)) != 1:
                kind = "a keypoint without a parent, in none or several of the rectangles"
                problems.append(Problem(region.where, kind, ", ".join(map(str, around))))
            else:
                groups.setdefault(around[0], []).append(region)
        people = [self._person(number, where, own, regions.get(key or "")) for key, own in groups.items()]
        problems += [person for person in people if isinstance(person, Problem)]
        found = [person for person in people if isinstance(person, _Person)]
        self.content.problems += problems
        self.people += found
        if found or not problems:  # an image whose people are all wrong is not one without people
            self.content.images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})

    def _person(self, number: int, where: str, joints: list[Region], parent: Region | None) -> _Person | Problem:
        """The person whose joints have one parent, or none."""
        box = parent.box() if parent is not None and parent.shape == "rectangle" else None
        where = where if parent is None else parent.where
        labels = [] if parent is None else parent.labels
        names = [region.labels[0] for region in joints]
        if len({*names}) < len(names):
            twice = ", ".join(name for name, count in Counter(names).items() if count > 1)
            return Problem(where, "several keypoints of one name (each person needs a rectangle)", twice)
        if box is not None and len(labels) > 1:
            return Problem(where, "a rectangle needs one label", ", ".join(labels))
        placed = {region.labels[0]: [*map(float, region.point()), 2.0 - region.is_hidden] for region in joints}
        box = box_around(np.array(list(placed.values()))) if box is None else box
        if box is None:
            return Problem(where, "no rectangle, and its keypoints do not span one", f"{len(joints)} keypoints")
        return _Person(number, where, placed, box, labels[0] if labels else None)

    def _finish(self, order: Sequence[str], tasks: int) -> None:
        """Make the people the annotations of categories, now that all joints are known."""
        used = {joint for person in self.people for joint in person.joints}
        if not used:
            first = f"; the first wrong row: {self.content.problems[0]}" if self.content.problems else ""
            raise InputError(f"{self.path}: no keypoints in the annotations of {tasks} tasks{first}")
        joints = list(dict.fromkeys([*order, *sorted(used)]))
        if order and used - {*order}:
            more = ", ".join(sorted(used - {*order}))
            self.content.notes.append(f"{self.path}: keypoints that the labelling config lacks are the last: {more}")
        names = list(dict.fromkeys(person.category for person in self.people if person.category is not None))
        posed = {person.category for person in self.people if person.joints}
        plain = next(iter(posed - {None})) if len(posed - {None}) == 1 else "object"
        ids = {name: i for i, name in enumerate(dict.fromkeys([*names, *([plain] if None in posed else [])]), 1)}
        for name, number in ids.items():
            labelled = name in posed or (name == plain and None in posed)
            self.content.categories.append({"id": number, "name": name} | ({"keypoints": joints} if labelled else {}))
        for i, person in enumerate(self.people, start=1):
            triplets = [person.joints.get(joint, [0.0, 0.0, 0.0]) for joint in joints]
            category = ids[person.category if person.category is not None else plain]
            row = {"id": i, "image_id": person.image, "category_id": category, "bbox": person.box}
            self.content.annotations.append(row | {"keypoints": [value for joint in triplets for value in joint]})
            self.content.places.append(person.where)
        if self.several:
            what = (
                f"{self.several} tasks have several annotations: the one marked as ground truth, or the latest, is used"
            )
            self.content.notes.append(f"{self.path}: {what}")
        self.content.counts = +self.content.counts


def _time(row: dict[str, Any]) -> float:
    """When an annotation was changed last, in seconds; 0 where that is not known."""
    for text in (row.get("updated_at"), row.get("created_at")):
        try:
            return datetime.fromisoformat(text).timestamp()  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError, OSError):
            continue
    return 0.0


def write(content: LabelContent, out: str | Path, predictions: bool = False) -> None:
    """Write labels as tasks that Label Studio imports, and `config.xml` beside them, the labelling config.

    People are rectangles, and parents of their keypoints; crowds are left out, and noted in `content`. Images are named
    as files that Label Studio serves from its machine (its LOCAL_FILES_DOCUMENT_ROOT is `content.folder`).

    Args:
        content: the labels.
        out: the JSON file, or a folder for `tasks.json`.
        predictions: write predictions (pre-annotations), for a person to correct: annotations of `content` then have a
            `score`, and the third value of a keypoint is its confidence, 0 where it is left out.

    Raises:
        InputError: if the size of an image is not known and its file cannot be read.
    """
    out = Path(out)
    file = out if out.suffix.lower() == ".json" else out / "tasks.json"
    rows: dict[Any, list[dict[str, Any]]] = {}
    people = [row for row in content.annotations if not row.get("iscrowd")]
    for row in people:
        rows.setdefault(row["image_id"], []).append(row)
    if crowds := len(content.annotations) - len(people):
        content.notes.append(f"{crowds} crowds are left out: Label Studio has none")
    categories = {category["id"]: category for category in content.categories}
    tasks = []
    for image in content.images:
        width, height = image.get("width"), image.get("height")
        if not width or not height:
            width, height = image_size(content.folder / image["file_name"])
        person = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
        result = [
            person | region
            for row in rows.get(image["id"], [])
            for region in _regions_of(row, categories[row["category_id"]], (width, height), predictions)
        ]
        scores = [float(row["score"]) for row in rows.get(image["id"], []) if "score" in row]
        answer: dict[str, Any] = {"result": result}
        if predictions:
            answer |= {"model_version": "logpose"} | ({"score": sum(scores) / len(scores)} if scores else {})
        name = reference(image["file_name"])
        task = {"id": image["id"], "data": {"image": name}}
        tasks.append(task | {"predictions" if predictions else "annotations": [answer]})
    with whole_file(file) as stream:
        stream.write(json.dumps(tasks, indent=1).encode())
    with whole_file(file.with_name("config.xml")) as stream:
        stream.write(labelling_config(content.categories))


def _regions_of(
    row: dict[str, Any], category: dict[str, Any], size: tuple[int, int], predictions: bool
) -> Iterator[dict[str, Any]]:
    """The rectangle of a person, and its keypoints, whose parent it is."""
    scale = np.array([*size, *size]) / 100
    box = f"person-{row['id']}"
    value = dict(zip(("x", "y", "width", "height"), (np.array(row["bbox"]) / scale).tolist(), strict=True))
    score = {"score": float(row["score"])} if predictions and "score" in row else {}
    yield {
        "id": box, "from_name": "box", "type": "rectanglelabels",
        "value": value | {"rotation": 0, "rectanglelabels": [category["name"]]}, **score,
    }  # fmt: skip
    names = category.get("keypoints", ())  # none of a category of boxes
    triplets = np.array(row["keypoints"] if names else [], dtype=np.float64).reshape(-1, 3)
    for i, (name, (x, y, flag)) in enumerate(zip(names, triplets.tolist(), strict=True)):
        if flag <= 0:
            continue
        key = f"{box}-{i}"
        place = {"x": x / scale[0], "y": y / scale[1], "width": WIDTH}
        joint = {"id": key, "parentID": box, "from_name": "joint", "type": "keypointlabels"}
        yield {**joint, "value": place | {"keypointlabels": [name]}, **({"score": flag} if predictions else {})}
        if flag == 1 and not predictions:
            yield {"id": key, "from_name": "visibility", "type": "choices", "value": place | {"choices": ["hidden"]}}
