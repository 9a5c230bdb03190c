"""People as a detector found them: boxes to look into, to be compared with labels that are elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from logpose.data.coco import FARTHEST, CocoKeypoints, read_json, whole
from logpose.data.crops import People
from logpose.structures import InputError, Sample

__all__ = ["DetectedBoxes"]


class DetectedBoxes:
    """The boxes of a COCO detections file, over the images of a labelled data set.

    Boxes are neither clipped nor filtered by score, as in the released code; those of other categories, and of
    images that the data set does not have, are passed over.

    Args:
        labels: the data set.
        file: list of {image_id, category_id, bbox, score}.

    Attributes:
        passed_over: how many boxes are of other categories, or on images that the data set does not have.

    Raises:
        InputError: if the data set is not a COCO file, the boxes' file is no such list, a row of it is malformed, or it
            is about other images.
    """

    def __init__(self, labels: People, file: Path) -> None:
        if not isinstance(labels, CocoKeypoints):
            raise InputError(f"{file}: boxes name images by COCO's ids, which the data set's format does not have")
        self.labels, self.skeleton, self.category = labels, labels.skeleton, labels.category
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: not a COCO detections file, which is a list")
        samples = (self._sample(i, row, file) for i, row in enumerate(content))
        self.samples = [sample for sample in samples if sample is not None]
        self.passed_over = len(content) - len(self.samples)
        if content and not self.samples:
            raise InputError(f"{file}: none of its {len(content)} boxes is on an image of {labels.file}")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def ground_truth(self) -> dict[str, Any]:
        """The labels, as the COCO evaluation wants them."""
        return self.labels.ground_truth()

    def _sample(self, i: int, row: Any, file: Path) -> Sample | None:
        if not isinstance(row, dict) or not {"image_id", "bbox", "score"} <= row.keys():
            raise InputError(f"{file}: row {i} needs image_id, bbox and score")
        image = whole(row["image_id"])
        if row.get("category_id", self.category) != self.category or image is None:
            return None
        path = self.labels.images.get(image, self.labels.unlabelled.get(image))
        if path is None:
            return None
        try:
            box, score = np.array(row["bbox"], dtype=np.float64), float(row["score"])
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{file}: row {i}: bbox and score must be numbers") from error
        if box.shape != (4,) or not np.isfinite([*box, score]).all() or min(box[2:]) <= 0 or abs(box).max() > FARTHEST:
            raise InputError(f"{file}: row {i}: bbox must be x, y, width > 0, height > 0, got {row['bbox']}")
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
