"""Boxes of a detector over the images of a labelled data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.structures import Sample
from logpose.data.crops import AnnotatedPeople, People
from logpose.data.images import check_image
from logpose.data.inputs import detected_box
from logpose.data.json_files import read_json, whole
from logpose.data.problems import Problem, by_kind

__all__ = ["DetectedBoxes"]


class _Elsewhere(Problem):
    """A box of another category or image: a file may hold more than the data set, so it is passed over."""


class DetectedBoxes:
    """The boxes of a COCO detections file, over the images of a labelled data set.

    Boxes are neither clipped nor filtered by score, as in the released code; those of other categories, and of
    images that the data set does not have, are passed over. Those on images that cannot be read, or with ids that
    are not integers, are listed in `problems` and left out.

    Args:
        labels: the data set.
        file: list of {image_id, category_id, bbox, score}; a missing score is 1.

    Attributes:
        passed_over: how many boxes are of other categories, or on images that the data set does not have.

    Raises:
        InputError: if the data set is not a COCO file, the boxes' file is no such list, a row is malformed, or no
            box is left.
    """

    def __init__(self, labels: People, file: str | Path) -> None:
        file = Path(file)
        if not isinstance(labels, AnnotatedPeople):
            raise InputError(f"{file}: boxes refer to images by COCO ids; the data set must be a COCO file")
        self.labels, self.skeleton, self.category = labels, labels.skeleton, labels.category
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: expected a list of COCO detections")
        self.problems: list[Problem] = []
        self.samples: list[Sample] = []
        over: list[Problem] = []
        faults: dict[Path, str | None] = {}
        for i, row in enumerate(content):
            found = self._sample(i, row, file, faults)
            if isinstance(found, Sample):
                self.samples.append(found)
            elif isinstance(found, _Elsewhere):
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

    def ground_truth(self) -> Mapping[str, Any]:
        """The labels as the COCO evaluation reads them."""
        return self.labels.ground_truth()

    def _none_left(self, problems: Sequence[Problem]) -> str:
        """Why no box is left: how many of each kind, and which is the first of it."""
        kinds = [
            f"{len(those)} {kind}, the first in {those[0].where.rpartition(': ')[2]} ({those[0].detail})"
            for kind, those in by_kind(problems).items()
        ]
        return f"no box for {self.labels.file} among {len(problems)}: {'; '.join(kinds)}"

    def _sample(self, i: int, row: Any, file: Path, faults: dict[Path, str | None]) -> Sample | Problem:
        """The box of a row, or why it is left out; `faults` has what is known of images."""
        where = f"{file}: row {i}"
        if not isinstance(row, dict) or not {"image_id", "bbox"} <= row.keys():
            raise InputError(f"{where}: needs image_id and bbox")
        if (category := row.get("category_id", self.category)) not in self.labels.category_ids:
            wanted = " or ".join(map(str, self.labels.category_ids))
            return _Elsewhere(where, "of another category", f"category_id {category!r:.40}, not {wanted}")
        image = whole(row["image_id"])
        if image is None:
            return Problem(where, "with an image_id that is not an integer", f"image_id {row['image_id']!r:.40}")
        path = self.labels.images.get(image, self.labels.unlabelled.get(image))
        if path is None:
            return _Elsewhere(where, "on an image that the data set does not have", f"image_id {image}")
        *box, score = detected_box(row, where)
        if image in self.labels.unlabelled:  # the others were checked when the data set was opened
            if path not in faults:
                faults[path] = check_image(path)
            if fault := faults[path]:
                return Problem(where, fault, str(path))
        nothing = np.zeros((len(self.skeleton), 2)), np.zeros(len(self.skeleton), dtype=np.int64)
        return Sample(path, np.array(box), *nothing, box[2] * box[3], image, i, score, category)
