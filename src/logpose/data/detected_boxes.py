"""The boxes of a detector over the images of a labelled data set, in place of the labelled people's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from logpose.core.errors import InputError
from logpose.core.json_files import read_json, whole
from logpose.core.samples import People, Sample
from logpose.core.skeletons import Skeleton
from logpose.data.images import check_image
from logpose.data.input_notes import score_notes
from logpose.data.inputs import detected_box
from logpose.data.problems import PeopleFile, Problem, by_kind

__all__ = ["DetectedBoxes"]


@runtime_checkable
class HasImageIds(Protocol):
    """People in images that have the ids of a COCO file."""

    file: Path
    skeleton: Skeleton
    image_folder: Path
    category: int
    category_ids: tuple[int, ...]
    images: dict[int, Path]
    unlabelled: dict[int, Path]

    def ground_truth(self) -> Mapping[str, Any]:
        """The labels as the COCO evaluation reads them."""
        ...


class _Elsewhere(Problem):
    """A box of another category or image: a file may hold more than the data set, so it is passed over."""


class DetectedBoxes(PeopleFile):
    """The boxes of a COCO detections file, over the images of a labelled data set.

    Boxes are neither clipped nor filtered by score (1 where there is none), as in the released code. Those of other
    categories, and of images that the data set does not have, are counted in `passed_over`. Those on images that cannot
    be read, with ids that are not integers, or without width and height, are listed in `problems` and left out.

    Raises:
        InputError: if the data set is not a COCO file, the boxes' file is no such list, a row is malformed, or no
            box is left.
    """

    def __init__(self, labels: People, file: str | Path) -> None:
        file = Path(file)
        if not isinstance(labels, HasImageIds):
            raise InputError(f"{file}: boxes refer to images by COCO ids; the data set must be a COCO file")
        super().__init__(file, labels.skeleton, labels.image_folder)
        self.labels, self.category = labels, labels.category
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: expected a list of COCO detections")
        over: list[Problem] = []
        fault_of = cache(check_image)
        for i, row in enumerate(content):
            found = self._sample(i, row, fault_of)
            if isinstance(found, _Elsewhere):
                over.append(found)
            else:
                self._add(found)
        self.passed_over = len(over)
        self.notes += score_notes(file, [sample.score for sample in self.samples])
        if content and not self.samples:
            kinds = [  # how many of each kind, and the first of it
                f"{len(those)} {kind}, the first in {those[0].where.rpartition(': ')[2]} ({those[0].detail})"
                for kind, those in by_kind([*over, *self.problems]).items()
            ]
            raise InputError(f"{file}: no box for {labels.file} among {len(content)}: {'; '.join(kinds)}")

    def ground_truth(self) -> Mapping[str, Any]:
        """The labels as the COCO evaluation reads them."""
        return self.labels.ground_truth()

    def _sample(self, i: int, row: Any, fault_of: Callable[[Path], str | None]) -> Sample | Problem:
        """The box of a row, or why it is left out."""
        where = f"{self.file}: row {i}"
        if not isinstance(row, dict) or not {"image_id", "bbox"} <= row.keys():
            raise InputError(f"{where}: needs image_id and bbox")
        if "category_id" not in row and self.skeleton.categories:
            raise InputError(f"{where}: needs category_id: {self.labels.file} has several categories")
        if (category := row.get("category_id", self.category)) not in self.labels.category_ids:
            wanted = " or ".join(map(str, self.labels.category_ids))
            return _Elsewhere(where, "of another category", f"category_id {category!r:.40}, not {wanted}")
        image = whole(row["image_id"])
        if image is None:
            return Problem(where, "with an image_id that is not an integer", f"image_id {row['image_id']!r:.40}")
        path = self.labels.images.get(image, self.labels.unlabelled.get(image))
        if path is None:
            return _Elsewhere(where, "on an image that the data set does not have", f"image_id {image}")
        if isinstance(values := detected_box(row, where), Problem):
            return values
        *box, score = values
        # The others were checked when the data set was opened.
        if image in self.labels.unlabelled and (fault := fault_of(path)):
            return Problem(where, fault, str(path))
        nothing = np.zeros((len(self.skeleton), 2)), np.zeros(len(self.skeleton), dtype=np.int64)
        return Sample(path, np.array(box), *nothing, box[2] * box[3], image, i, score, category)
