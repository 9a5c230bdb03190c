"""What the report page of `logpose eval` shows of people's joints."""

from __future__ import annotations

from typing import Any

import numpy as np

from logpose.core import geometry
from logpose.core.structures import Image
from logpose.data.crops import People
from logpose.data.transforms import CropTransform
from logpose.metrics.calibration import scaled_radius
from logpose.metrics.pck import distances
from logpose.models import Model
from logpose.report.draw import contact_sheet, draw_pose, mark_points
from logpose.report.evaluation import PageParts, evenly_ranked, mean_text
from logpose.tasks.figures import Found, uniform_sigmas
from logpose.tasks.lifting.report import MEANINGS as IN_SPACE
from logpose.tasks.pose.evaluate import Evaluation

__all__ = ["INSIDE", "MEANINGS", "by_joint", "notes", "page_parts"]

SHOWN, TILE, COLUMNS = 12, 280, 4  # people on the page, pixels of each, and of them in a row
INSIDE = 0.5
"""Probability that the drawn ellipses hold."""
LEVEL = 0.9  # nominal level of the regions of the table

MEANINGS = (
    (r"a[pr]", "COCO's average precision, and recall, of keypoints, over ten thresholds of OKS"),
    (r"a[pr]\d\d", "the same at one threshold of OKS, in hundredths"),
    (r"a[pr]_\w+", "the same of people of that size"),
    (r"nme", "mean distance in diagonals of the person's box"),
    (r"pck@[\d.]+", "share of joints within that part of the box's longer side"),
    (r"pck_torso@[\d.]+", "share of joints within that part of the torso, from a shoulder to the opposite hip"),
    (r"pckh@[\d.]+|pckh_auc", "share of joints within that part of the head's size; its mean up to a half"),
    (r"oks", "mean object keypoint similarity: 1 is exact"),
    (r"oks_expected", "mean of the OKS predicted from the standard deviations, given the area; to compare with oks"),
    (r"oks_expected_r", "correlation of that with a person's actual OKS"),
    (r"confidence_oks", "correlation of a person's confidence with OKS"),
    *IN_SPACE,
)
"""What figures of people mean, those of three dimensions among them."""

POSES = (
    "People from lowest error to highest. Blue is the person's left, orange the right; each ellipse holds its joint "
    "with a probability of 50 %, where the model predicts one; rings are the labels."
)


def page_parts(evaluation: Evaluation) -> PageParts:
    """The page's parts about people in crops."""
    model = evaluation.model
    if not evaluation.rows:
        return PageParts("joint", model.error_distribution, meanings=MEANINGS, notes=notes(model))
    at = evaluation.arrays()
    return PageParts(
        "joint", model.error_distribution, at.deviations(), MEANINGS, notes(model), by_joint(at, model),
        examples=_people(evaluation, at), caption=POSES,
    )  # fmt: skip


def notes(model: Model) -> list[str]:
    """How OKS was computed, where that is not plain."""
    return [note] if (note := uniform_sigmas(model.skeleton)) else []


def by_joint(at: Found, model: Model) -> list[list[str]]:
    """A table by joint: number of labels, error, NLL, and coverage of 90 % regions."""
    apart = distances(at.predicted[..., :2], at.truth[..., :2], at.visible)
    limit, whole = model.error_distribution.radius_at(LEVEL), at.whole()
    with np.errstate(invalid="ignore"):
        radius = scaled_radius(at.predicted, at.std, at.truth)
    rows = [["", "labels", "error, px", "NLL, nats", f"in {100 * LEVEL:.0f} % regions"]]
    for k, joint in enumerate(model.skeleton.joints):
        labelled, known = at.visible[:, k] > 0, whole[:, k] & np.isfinite(radius[:, k])
        cells = (
            mean_text(apart[labelled, k], "{:.2f}"), mean_text(at.nll[:, k], "{:.2f}"),
            mean_text((radius[known, k] <= limit).astype(np.float64), "{:.3f}"),
        )  # fmt: skip
        rows.append([joint, str(int(labelled.sum())), *cells])
    return rows


def _people(evaluation: Evaluation, at: Found) -> Image | None:
    """Some people, cut out, with predictions and labels."""
    apart = distances(at.predicted[..., :2], at.truth[..., :2], at.visible)
    diagonal = np.linalg.norm(at.boxes[:, 2:], axis=1)
    labelled = np.isfinite(apart)
    errors = np.where(labelled, apart, 0).sum(axis=1) / diagonal
    errors = np.where(labelled.any(axis=1), errors / np.maximum(labelled.sum(axis=1), 1), np.nan)
    indices, people, skeleton = sorted(evaluation.rows), evaluation.people, evaluation.model.skeleton
    radius = evaluation.model.error_distribution.radius_at(INSIDE)
    tiles = []
    for row in evenly_ranked(errors.tolist(), SHOWN):
        tile, to_tile = _cut(people, indices[row], evaluation.model.padding)
        factor = float(np.hypot(*to_tile[:, 0]))
        placed, truth = (geometry.apply_affine(to_tile, x[row, :, :2]) for x in (at.predicted, at.truth))
        draw_pose(tile, skeleton, placed, at.std[row, :, :2] * radius * factor)
        mark_points(tile, truth[at.visible[row] > 0])
        tiles.append(tile)
    return contact_sheet(tiles, min(COLUMNS, len(tiles)), (TILE + 4, TILE + 4)) if tiles else None


def _cut(people: People, index: int, padding: float) -> tuple[Image, Any]:
    """A person's part of the image, and the map there from image coordinates."""
    crop = CropTransform(people.skeleton, (TILE, TILE), padding=padding)(people[index])
    tile = np.ascontiguousarray(crop.images[0].permute(1, 2, 0).numpy())
    return tile, geometry.invert_affine(crop.to_image[0].double().numpy())
