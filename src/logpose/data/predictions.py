"""Keypoints that any program predicted, as arrays: COCO results, ours, RF-DETR's, DeepLabCut's and YOLO's.

COCO results are a JSON list of {image_id, category_id, keypoints (x, y, score), score}; ours have `sigma` and `bbox`
besides. A row may have `covariance`, of each joint [[xx, xy], [xy, yy]] in square pixels. Rows may also be of images,
with fields of supervision's KeyPoints, which RF-DETR returns: `xy`, `keypoint_confidence`, `data.covariance`, beside
`image_id` or `file_name`. DeepLabCut's tables have a likelihood; YOLO's folders a text file for each image,
with lines of class, box, x, y and score of each joint in shares of the image, and perhaps the box's score.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from logpose.core.errors import InputError
from logpose.core.json_files import numbers, read_json
from logpose.core.skeletons import Skeleton
from logpose.data.deeplabcut_tables import read_table
from logpose.data.label_content import text_lines
from logpose.data.labelled_images import LabelledImages
from logpose.data.problems import FARTHEST, Problem, log_problems

__all__ = ["PredictedPeople", "read_predictions", "result_rows"]

log = logging.getLogger("logpose")

TABLES = (".csv", ".h5")
LARGEST_SCORE = 1e6


@dataclass
class PredictedPeople:
    """N people with K joints, in pixels of their images."""

    skeleton: Skeleton
    images: list[int] = field(default_factory=list)
    """Id of each one's image."""
    rows: list[Float[np.ndarray, "K 3"]] = field(default_factory=list)
    """x, y and the score of each joint."""
    scores: list[float] = field(default_factory=list)
    """Of each person."""
    covariances: list[Float[np.ndarray, "K 2 2"] | None] = field(default_factory=list)
    """Of each joint's position, in square pixels."""
    boxes: list[Float[np.ndarray, "4"] | None] = field(default_factory=list)
    """x, y, width, height of the box that each was predicted in."""
    radii: list[Mapping[str, Float[np.ndarray, "K 2"]]] = field(default_factory=list)
    """Half axes of the region of each nominal level, where the program gives regions."""
    numbers: list[int | None] = field(default_factory=list)
    """Of each one of COCO's results, the number of its row in the file."""
    problems: list[Problem] = field(default_factory=list)
    """Rows that were left out."""
    of_other_images: int = 0
    """How many were passed over, of images that are not labelled."""
    of_other_categories: int = 0
    """How many were passed over, of categories that are not labelled."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def keypoints(self) -> Float[np.ndarray, "N K 2"]:
        """Positions."""
        return self._stacked()[..., :2]

    @property
    def confidence(self) -> Float[np.ndarray, "N K"]:
        """Scores of joints."""
        return self._stacked()[..., 2]

    def _stacked(self) -> Float[np.ndarray, "N K 3"]:
        return np.stack(self.rows) if self.rows else np.empty((0, len(self.skeleton), 3))

    @property
    def covariance(self) -> Float[np.ndarray, "N K 2 2"] | None:
        """Covariances, if every row has them."""
        if not self.rows or any(each is None for each in self.covariances):
            return None
        return np.stack([each for each in self.covariances if each is not None])

    @property
    def extents(self) -> Float[np.ndarray, "N 4"]:
        """x, y, width, height of each one's box; that of the joints where there is none."""
        found = [
            np.concatenate([row[:, :2].min(axis=0), np.ptp(row[:, :2], axis=0)]) if box is None else box
            for row, box in zip(self.rows, self.boxes, strict=True)
        ]
        return np.stack(found) if found else np.empty((0, 4))

    @property
    def sizes(self) -> Float[np.ndarray, "N"]:
        """The longer side of each one's box; of joints' extent where there is none. At least 1."""
        return np.asarray(np.maximum(self.extents[:, 2:].max(axis=1, initial=0), 1))

    def regions(self) -> dict[str, Float[np.ndarray, "N K 2"]]:
        """Half axes of the regions of each nominal level; NaN where a row has none."""
        nothing = np.full((len(self.skeleton), 2), np.nan)
        levels = dict.fromkeys(level for row in self.radii for level in row)
        return {level: np.stack([row.get(level, nothing) for row in self.radii]) for level in levels}

    def log_passed_over(self) -> None:
        """Log how many predictions were passed over, and the problems of rows."""
        log_problems(self, "predictions: ")
        if self.of_other_images:
            log.info("%d predictions are of images without labels", self.of_other_images)
        if self.of_other_categories:
            log.info("%d predictions are of other categories", self.of_other_categories)
        if 0 < (partly := sum(each is not None for each in self.covariances)) < len(self):
            log.warning("%d of %d predictions have no covariance: those of the others are not used",
                        len(self) - partly, len(self))  # fmt: skip

    def image_numbers(self) -> Int[np.ndarray, "N"]:
        """Ids of images, as an array."""
        return np.array(self.images, dtype=np.int64)

    def add(
        self,
        where: str,
        image: int,
        row: Float[np.ndarray, "K 3"],
        score: float,
        covariance: Float[np.ndarray, "K 2 2"] | None = None,
        box: Float[np.ndarray, "4"] | None = None,
        radii: Mapping[str, Float[np.ndarray, "K 2"]] | None = None,
        number: int | None = None,
    ) -> None:
        """Add a person, or what is wrong with them."""
        fault = _fault(row, score, covariance)
        if fault:
            self.problems.append(Problem(where, fault))
            return
        self.images.append(image)
        self.rows.append(row)
        self.scores.append(score)
        self.covariances.append(covariance)
        usable = box is not None and bool(np.isfinite(box).all()) and bool((box[2:] > 0).all())
        self.boxes.append(box if usable else None)
        self.radii.append(radii or {})
        self.numbers.append(number)


def _fault(row: np.ndarray, score: float, covariance: np.ndarray | None) -> str:
    """What is wrong with a predicted person; empty if nothing is."""
    if not np.isfinite(row[:, :2]).all():
        return "positions that are not finite"
    if np.abs(row[:, :2]).max() > FARTHEST:
        return f"positions beyond ±{FARTHEST:g} pixels"
    if not (np.isfinite(row[:, 2]).all() and np.isfinite(score)):
        return "scores that are not finite"
    if max(np.abs(row[:, 2]).max(), abs(score)) > LARGEST_SCORE:
        return f"scores beyond ±{LARGEST_SCORE:g}"
    if covariance is not None:
        if not np.isfinite(covariance).all():
            return "covariances that are not finite"
        if not np.allclose(covariance, covariance.swapaxes(1, 2)) or not np.linalg.eigvalsh(covariance).min() > 0:
            return "covariances that are not symmetric and positive definite"
    return ""


def read_predictions(path: str | Path, labels: LabelledImages) -> PredictedPeople:
    """The people that a program predicted in labelled images.

    Args:
        path: a JSON file, a table of DeepLabCut (.csv, .h5), or a folder of YOLO's text files.
        labels: the images that they may be of; others are counted.

    Raises:
        InputError: if the file cannot be read or has no predictions, of other joints than the labels, or of no image
            that is labelled.
    """
    path = Path(path)
    found = PredictedPeople(labels.skeleton)
    if path.is_dir():
        _of_yolo(path, labels, found)
    elif path.suffix.lower() in TABLES:
        _of_deeplabcut(path, labels, found)
    else:
        _of_json(path, labels, found)
    if not len(found):
        if found.problems:
            raise InputError(f"{path}: no usable predictions; the first of {len(found.problems)}: {found.problems[0]}")
        if found.of_other_categories:
            raise InputError(f"{path}: all {found.of_other_categories} predictions are of other categories than labels")
        if found.of_other_images:
            raise InputError(f"{path}: none of its {found.of_other_images} predictions is of an image of {labels.file}")
        raise InputError(f"{path}: no predictions")
    return found


def result_rows(path: str | Path) -> list[Any]:
    """The rows of a JSON file of predictions: a list, or that under "annotations" or "predictions" of an object.

    Raises:
        InputError: if there is no list.
    """
    content = read_json(path)
    if isinstance(content, dict):
        content = content.get("annotations", content.get("predictions"))
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a JSON list of predictions (COCO results)")
    return content


def _of_json(path: Path, labels: LabelledImages, found: PredictedPeople) -> None:
    """COCO's results, ours, and rows of supervision's fields."""
    for i, row in enumerate(result_rows(path)):
        where = f"{path}: row {i}"
        if not isinstance(row, dict) or not ({"keypoints", "xy"} & row.keys()):
            raise InputError(f"{where}: needs keypoints, and image_id or file_name")
        category = row.get("category_id")
        if category is not None and labels.categories and category not in labels.categories:
            found.of_other_categories += 1
            continue
        image = labels.image_of(row, where)
        if image is None:
            found.of_other_images += 1
        elif "xy" in row:
            for person in _of_supervision(row, where, labels):
                found.add(person[0], image, *person[1:])
        else:
            _add_result(row, where, image, labels, found, i)


def _add_result(
    row: Mapping[str, Any], where: str, image: int, labels: LabelledImages, found: PredictedPeople, number: int
) -> None:
    """Add the person of a row of COCO's results."""
    count = len(labels.skeleton)
    values = row["keypoints"]
    triplets = numbers(values, 3 * count)
    if triplets is None:
        got = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
        wanted = f"{3 * count} numbers ({count} joints × 3), as {labels.file} has"
        raise InputError(f"{where}: keypoints must be {wanted}; got {got}")
    score = numbers([row.get("score", 1.0)], 1)
    if score is None:
        raise InputError(f"{where}: score must be a number, got {row.get('score')!r:.40}")
    box = None if row.get("bbox") is None else numbers(row["bbox"], 4)
    covariance = _covariance(row.get("covariance"), row.get("sigma"), count, where)
    radii = _radii(row.get("radius"), count, where)
    found.add(where, image, triplets.reshape(-1, 3), float(score[0]), covariance, box, radii, number)


def _radii(given: Any, count: int, where: str) -> dict[str, Float[np.ndarray, "K 2"]]:
    """Half axes of a person's regions, by nominal level; none where nothing is given."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputError(f"{where}: radius must be an object of levels, got {given!r:.40}")
    found = {}
    for level, values in given.items():
        axes = numbers(values, 2 * count)
        try:
            is_level = 0 < float(level) < 1
        except ValueError:
            is_level = False
        if not is_level or axes is None or not (np.isfinite(axes).all() and (axes > 0).all()):
            wanted = f"{2 * count} numbers above 0 (x and y of {count} joints) for a level between 0 and 1"
            raise InputError(f"{where}: radius must be {wanted}; it has {level!r:.20}")
        found[f"{float(level):g}"] = axes.reshape(-1, 2)
    return found


def _covariance(matrices: Any, sigma: Any, count: int, where: str) -> Float[np.ndarray, "K 2 2"] | None:
    """The covariance of each joint's position: as given, or of standard deviations along x and y."""
    if matrices is not None:
        try:
            found = np.array(matrices, dtype=np.float64).reshape(count, 2, 2)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"{where}: covariance must be {count} matrices of 2 × 2 numbers") from error
        return found
    if sigma is None:
        return None
    std = numbers(sigma, 2 * count)
    if std is None:
        raise InputError(f"{where}: sigma must be {2 * count} numbers (x and y of {count} joints)")
    if not (np.isfinite(std).all() and (std > 0).all() and std.max() <= FARTHEST):
        raise InputError(f"{where}: sigma must be above 0 and at most {FARTHEST:g} pixels")
    return np.asarray(std.reshape(-1, 2)[..., None] ** 2 * np.eye(2))


def _of_supervision(
    row: Mapping[str, Any], where: str, labels: LabelledImages
) -> Iterator[tuple[str, np.ndarray, float, np.ndarray | None]]:
    """The people of an image in the fields of supervision's KeyPoints: where, x y score, score, covariance."""
    count, data = len(labels.skeleton), row.get("data") or {}
    confidence = row.get("keypoint_confidence", row.get("confidence"))
    if not isinstance(data, dict):
        raise InputError(f"{where}: data must be an object, got {type(data).__name__}")
    matrices, scores = data.get("covariance"), row.get("detection_confidence")
    try:
        points = np.array(row["xy"], dtype=np.float64).reshape(-1, count, 2)
        sure = np.ones(points.shape[:2]) if confidence is None else np.array(confidence, dtype=np.float64)
        sure = sure.reshape(points.shape[:2])
        spread = None if matrices is None else np.array(matrices, dtype=np.float64).reshape(-1, count, 2, 2)
        of_people = sure.mean(axis=1) if scores is None else np.array(scores, dtype=np.float64).reshape(len(points))
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{where}: xy, confidence and covariance are not of people with {count} joints") from error
    for i, (joints, scores_of) in enumerate(zip(points, sure, strict=True)):
        yield (
            f"{where}, person {i}", np.column_stack([joints, scores_of]), float(of_people[i]),
            None if spread is None else spread[i],
        )  # fmt: skip


def _of_deeplabcut(path: Path, labels: LabelledImages, found: PredictedPeople) -> None:
    """DeepLabCut's predictions: a row for each image, with a likelihood of each body part of each individual."""
    table = read_table(path, predictions=True)
    found.problems += table.problems
    joints = labels.skeleton.joints
    individuals = list(dict.fromkeys(individual for individual, _ in table.points))
    place = {point: i for i, point in enumerate(table.points)}
    for individual in individuals:
        if missing := [joint for joint in joints if (individual, joint) not in place]:
            raise InputError(f"{path}: has no body part {missing[0]!r}, which {labels.file} has")
    for name, (where, values) in table.rows.items():
        image = labels.find(name)
        if image is None:
            found.of_other_images += 1
            continue
        for individual in individuals:
            row = values[[place[individual, joint] for joint in joints]]
            if np.isnan(row).all():  # an individual that is not there
                continue
            found.add(where, image, row, float(np.mean(row[:, 2])))


def _of_yolo(path: Path, labels: LabelledImages, found: PredictedPeople) -> None:
    """YOLO's predictions: the text file of each image, by its name without the suffix."""
    count = len(labels.skeleton)
    files = sorted(path.rglob("*.txt"))
    for file in files:
        image = labels.find_stem(file.stem)
        if image is None:
            found.of_other_images += 1
            continue
        size = labels.size_of(image, str(file))
        for line, text in enumerate(text_lines(file), start=1):
            if text.strip():
                _add_line(text.split(), f"{file}: line {line}", image, size, count, found)


def _add_line(
    words: Sequence[str], where: str, image: int, size: tuple[float, float], count: int, found: PredictedPeople
) -> None:
    """Add the person of a line: class, box, x y score of each joint, and perhaps the score of the box."""
    wanted = 5 + 3 * count
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where}: must be numbers") from error
    if len(values) not in (wanted, wanted + 1):
        raise InputError(f"{where}: has {len(values)} numbers, expected {wanted} or, with a score, {wanted + 1}")
    row = values[5:wanted].reshape(-1, 3) * [size[0], size[1], 1]
    score = float(values[-1]) if len(values) > wanted else float(row[:, 2].mean())
    box = np.array([values[1] - values[3] / 2, values[2] - values[4] / 2, *values[3:5]]) * [*size, *size]
    found.add(where, image, row, score, None, box)
