"""What the report page of `logpose eval` shows of detected people."""

from __future__ import annotations

import numpy as np

from logpose.core.structures import Image
from logpose.data.images import read_image
from logpose.report.draw import contact_sheet, draw_pose, enlarged, mark_points
from logpose.report.evaluation import PageParts
from logpose.tasks.detection.evaluate import DetectionEvaluation
from logpose.tasks.pose.report import INSIDE, by_joint, notes
from logpose.tasks.pose.report import MEANINGS as OF_PEOPLE

__all__ = ["MEANINGS", "page_parts"]

SHOWN, TILE = 6, (420, 560)  # images on the page, height and width of each

MEANINGS = (
    *OF_PEOPLE,
    (r"matched", "recall of labelled people by boxes (IoU .5), no score threshold"),
    (r"recall_at_threshold", "the same by detections above the score threshold of predict"),
)
"""What figures of detected people mean."""

IMAGES = (
    "Detected people. Blue is the person's left, orange the right; each ellipse holds its joint with a probability of "
    "50 %, where the model predicts one; rings are the labels."
)


def page_parts(evaluation: DetectionEvaluation) -> PageParts:
    """The page's parts about people in whole images."""
    at, model = evaluation.arrays(), evaluation.model
    return PageParts(
        "joint", model.error_distribution, None if at is None else at.deviations(), MEANINGS, notes(model),
        None if at is None else by_joint(at, model), examples=_images(evaluation), caption=IMAGES,
    )  # fmt: skip


def _images(evaluation: DetectionEvaluation) -> Image | None:
    """Some images, with detections and labels."""
    indices = sorted(evaluation.rows)
    places = np.unique(np.linspace(0, max(0, len(indices) - 1), min(SHOWN, len(indices))).round().astype(int))
    radius, skeleton = evaluation.model.error_distribution.radius_at(INSIDE), evaluation.model.skeleton
    tiles = []
    for place in places:
        shown, found = evaluation.pictures[indices[place]], evaluation.rows[indices[place]].people
        tile, factor = enlarged(read_image(shown.image), max(TILE))
        for joints, std in zip(found.keypoints, found.std, strict=True):
            # Pixel centres are whole numbers: scaling an image moves them by half a pixel of either size.
            draw_pose(tile, skeleton, (joints + 0.5) * factor - 0.5, std * radius * factor)
        for who in shown.people:
            mark_points(tile, (who.keypoints[who.visible > 0, :2] + 0.5) * factor - 0.5)
        tiles.append(tile)
    return contact_sheet(tiles, min(2, len(tiles)), TILE) if tiles else None
