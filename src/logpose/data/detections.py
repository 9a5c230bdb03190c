"""People as a detector found them: boxes to look into, to be compared with labels that are elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.data.coco import FARTHEST, CocoKeypoints, Problem, read_json, whole
from logpose.data.crops import People
from logpose.data.images import check_image
from logpose.structures import InputError, Sample

__all__ = ["DetectedBoxes"]

CATEGORY, ELSEWHERE = "of another category", "on an image that it does not have"
"""What is the matter with boxes that are passed over: a detector's file may hold more than a data set is about."""


class DetectedBoxes:
    """The boxes of a COCO detections file, over the images of a labelled data set.

    Boxes are neither clipped nor filtered by score, as in the released code; those of other categories, and of
    images that the data set does not have, are passed over. Those on pictures that cannot be read, or with ids that
    are no whole numbers, are listed in `problems` and left out.

    Args:
        labels: the data set.
        file: list of {image_id, category_id, bbox, score}.

    Attributes:
        passed_over: how many boxes are of other categories, or on images that the data set does not have.
        problems: boxes that were left out.

    Raises:
        InputError: if the data set is not a COCO file, the boxes' file is no such list, a row of it is malformed, or
            none of its boxes is left.
    """

    def __init__(self, labels: People, file: Path) -> None:
        if not isinstance(labels, CocoKeypoints):
            raise InputError(f"{file}: boxes name images by COCO's ids, which the data set's format does not have")
        self.labels, self.skeleton, self.category = labels, labels.skeleton, labels.category
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: not a COCO detections file, which is a list")
        self.problems: list[Problem] = []
        self.samples: list[Sample] = []
        over: list[Problem] = []
        faults: dict[Path, str | None] = {}
        for i, row in enumerate(content):
            found = self._sample(i, row, file, faults)
            if isinstance(found, Sample):
                self.samples.append(found)
            elif found.kind in (CATEGORY, ELSEWHERE):
                over.append(found)
            else:
                self.problems.append(found)
        self.passed_over = len(over)
        if content and not self.samples:
            raise InputError(f"{file}: {self._none_left([*over, *self.problems])}")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def ground_truth(self) -> dict[str, Any]:
        """The labels, as the COCO evaluation wants them."""
        return self.labels.ground_truth()

    def _none_left(self, problems: Sequence[Problem]) -> str:
        """Why no box is left: how many of each kind, and which is the first of it."""
        told = []
        for kind, count in Counter(problem.kind for problem in problems).items():
            first = next(problem for problem in problems if problem.kind == kind)
            told.append(f"{count} {kind}, the first in {first.where.rpartition(': ')[2]} ({first.detail})")
        return f"none of its {len(problems)} boxes is one to look into for {self.labels.file}: {'; '.join(told)}"

    def _sample(self, i: int, row: Any, file: Path, faults: dict[Path, str | None]) -> Sample | Problem:
        """A row's box, or why it is none of those to look into; `faults` has what is known of pictures."""
        where = f"{file}: row {i}"
        if not isinstance(row, dict) or not {"image_id", "bbox", "score"} <= row.keys():
            raise InputError(f"{where} needs image_id, bbox and score")
        if (category := row.get("category_id", self.category)) != self.category:
            return Problem(where, CATEGORY, f"category_id {category!r:.40}, not {self.category}")
        image = whole(row["image_id"])
        if image is None:
            return Problem(where, "with an image_id that is no whole number", f"image_id {row['image_id']!r:.40}")
        path = self.labels.images.get(image, self.labels.unlabelled.get(image))
        if path is None:
            return Problem(where, ELSEWHERE, f"image_id {image}")
        box, score = _numbers(row, where)
        if image in self.labels.unlabelled:  # the others were looked at when the data set was opened
            if path not in faults:
                faults[path] = check_image(path)
            if fault := faults[path]:
                return Problem(where, fault, str(path))
        count = len(self.skeleton)
        return Sample(
            image=path,
            box=box,
            keypoints=np.zeros((count, 2)),
            visible=np.zeros(count, dtype=np.int64),
            area=float(box[2] * box[3]),
            image_id=image,
            id=i,
            score=score,
        )


def _numbers(row: dict[str, Any], where: str) -> tuple[Float[np.ndarray, "4"], float]:
    """The box of a row, x, y, width, height, and its score."""
    try:
        box, score = np.array(row["bbox"], dtype=np.float64), float(row["score"])
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: bbox and score must be numbers") from error
    if box.shape != (4,) or not np.isfinite(box).all() or min(box[2:]) <= 0:
        raise InputError(f"{where}: bbox must be x, y, width > 0, height > 0, got {row['bbox']}")
    if abs(box).max() > FARTHEST:
        raise InputError(f"{where}: bbox lies {FARTHEST:g} pixels off or more: {row['bbox']}")
    if not np.isfinite(score):
        raise InputError(f"{where}: score must be a finite number, got {row['score']}")
    return box, score
