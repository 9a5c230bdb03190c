"""The page of `logpose eval --report`: figures and what they mean, pictures, and whether sigma means what it says."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core import geometry
from logpose.core.structures import ErrorDistribution, Image
from logpose.data.crops import People
from logpose.data.images import read_image
from logpose.data.transforms import CropTransform
from logpose.losses import LikelihoodLoss
from logpose.metrics.calibration import Deviations, scaled_radius
from logpose.metrics.pck import distances
from logpose.models import Model
from logpose.report import page as report
from logpose.report.draw import around_labels, contact_sheet, draw_boundaries, draw_pose, enlarged, mark_points
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation
from logpose.tasks.detection.evaluate import DetectionEvaluation
from logpose.tasks.figures import Found, uniform_sigmas
from logpose.tasks.lifting.evaluate import LiftingEvaluation
from logpose.tasks.pose.evaluate import Evaluation

__all__ = ["draw_scan", "write_report"]

AnyEvaluation = Evaluation | DetectionEvaluation | LiftingEvaluation | BoundaryEvaluation

SHOWN, TILE, COLUMNS = 12, 280, 4  # people on the page, pixels of each, and of them in a row
SHOWN_PICTURES, PICTURE_TILE = 6, (420, 560)
SHOWN_SCANS, SCAN_WIDTH = 6, 960
INSIDE = 0.5  # share of labels that the ellipses hold
BAND = 0.9  # share that the bands of boundaries hold

MEANINGS = (
    (r"a[pr]", "COCO's average precision, and recall, of keypoints, over ten thresholds of OKS"),
    (r"a[pr]\d\d", "the same at one threshold of OKS, in hundredths"),
    (r"a[pr]_\w+", "the same of people of that size"),
    (r"error_px|error_um", "mean distance from the label (pixels, micrometres)"),
    (r"rmse_px|rmse_um", "root of the mean square of the same"),
    (r"p95_px|p95_um", "95 of 100 labels are nearer than this"),
    (r"truth_px", "mean distance from what the noisy labels are about, in pixels"),
    (r"nme", "mean distance in diagonals of the person's box"),
    (r"pck@[\d.]+", "share of joints nearer than that part of the box's longer side"),
    (r"pck_torso@[\d.]+", "share of joints nearer than that part of the torso, from a shoulder to the opposite hip"),
    (r"pckh@[\d.]+|pckh_auc", "share of joints nearer than that part of the head's size; its mean up to a half"),
    (r"mpjpe|mpjpe_mean", "mean distance in space, relative to the root, in millimetres; as a mean over actions"),
    (r"pa_mpjpe|pa_mpjpe_mean", "the same after the best similarity transform"),
    (r"velocity", "mean error of the way from frame to frame, in millimetres"),
    (r"oks", "mean object keypoint similarity: 1 is exact"),
    (r"nll", "minus the log-likelihood of a label, in nats: lower is better, and below 0 is normal"),
    (r"coverage@[\d.]+", "share of labels inside the region that should hold the share named"),
    (r"band@[\d.]+", "share of labels inside their own boundary's band that should hold the share named"),
    (r"std_px|std_mm", "mean predicted spread"),
    (r"sigma_rank", "rank correlation of predicted spread and error: 1 is best, 0 says nothing"),
    (r"oks_expected", "mean of the OKS that the spread lets expect, the area given, to be held against oks"),
    (r"oks_expected_r", "correlation of that with a person's OKS"),
    (r"confidence_oks", "correlation of a person's confidence with OKS"),
    (r"matched", "share of labelled people whose box was found, by however unsure a guess"),
    (r"recall_at_threshold", "the same, of detections at or above the score threshold of predict"),
    (r"people|joints|images|found|labelled|frames|scans|columns", "how many were measured"),
)
"""What a figure's name means; those of one joint, boundary or action have its name at their end."""


@dataclass(frozen=True)
class _Seen:
    """What is shown of one kind of model."""

    what: str
    """A prediction is of one: joint, boundary."""
    deviations: Deviations | None
    each: Sequence[Sequence[str]] | None = None
    """A table by joint or boundary, its first row the head."""
    told: Sequence[str] = ()
    """Names of figures that stand in it."""
    picture: Image | None = None
    caption: str = ""


def write_report(
    path: str | Path,
    checkpoint: str | Path,
    data: str | Path,
    evaluation: AnyEvaluation,
    figures: Mapping[str, float],
    loss: LikelihoodLoss | None,
) -> None:
    """Write the page of an evaluation.

    Args:
        path: HTML file to write, whole or not at all.
        checkpoint: what was measured; training's curves are taken from beside it, where they are.
        data: what it was measured on.
        evaluation: predictions and labels.
        figures: what it computed.
        loss: that the model was trained by; None where none is kept.
    """
    path = Path(path)
    checkpoint = Path(checkpoint)
    data = Path(data)
    model = evaluation.model
    seen = _seen(evaluation, figures)
    measured = f"<code>{html.escape(str(checkpoint))}</code> on <code>{html.escape(str(data))}</code>."
    rows = _rows(figures)
    explained = [row for row in rows if row[2]]
    others = [row[:2] for row in rows if not row[2] and row[0] not in seen.told]
    told = uniform_sigmas(model.skeleton) if "oks" in figures else ""
    paragraphs = [measured, f"{told}."] if told else [measured]
    sections = [report.Section("What was measured", paragraphs, table=[["", "", "what it is"], *explained])]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if seen.each:
            sections.append(report.Section(f"By {seen.what}", [], table=seen.each))
        if others:
            sections.append(report.Section("In detail", [], table=[["", ""], *others]))
        if seen.picture is not None:
            report.save_picture(seen.picture, folder / "seen.jpg")
            sections.append(report.Section("What it sees", [seen.caption], folder / "seen.jpg"))
        sections.append(_calibration(seen, model.error_distribution, folder / "calibration.png"))
        if loss is not None and loss.dim > 1:
            report.plot_density(loss, folder / "density.png")
            sections.append(report.Section("The error's density", [DENSITY], folder / "density.png"))
        curves = report.read_curves(checkpoint.parent)
        if "val/nll" in curves:
            report.plot_curves({checkpoint.parent.name: curves}, folder / "curves.png")
            sections.append(report.Section("Training", [CURVES], folder / "curves.png"))
        report.write_page(f"logpose eval: {checkpoint.name}", sections, path)


NOT_WHOLE = (
    "No column has a label of every boundary, so regions of all together cannot be measured; what each boundary's own "
    "band holds is told above."
)
DENSITY = (
    "What the loss claims of standardised errors, beside a Laplace and a Gaussian of equal spread; of more than two "
    "dimensions the first two."
)
CURVES = (
    "On the validation part, epoch by epoch. A negative NLL is normal: it is minus the logarithm of a density, and a "
    "density may be larger than one."
)
CALIBRATED = (
    "Left: of the regions that claim to hold 5 … 99 % of labels, the share that they do hold. On the dashed line the "
    "claim is exact; below it the model is too sure, above it too modest. Right: labels in ten groups by predicted "
    "spread, against the error they really have."
)
UNKNOWN = "Nothing is known of it: this model was trained without a likelihood, nobody was found, or it has diverged."
POSES = (
    "People from the one posed best to the one posed worst. Blue is the person's left, orange the right; each ellipse "
    "holds its joint with a probability of 50 %, where the model knows; rings are the labels."
)
PICTURES = (
    "Everybody who was found. Blue is the person's left, orange the right; each ellipse holds its joint with a "
    "probability of 50 %, where the model knows; rings are the labels."
)
SCANS = (
    "B-scans from the one with the smallest mean distance to the one with the largest: boundaries, the bands that hold "
    "them with a probability of 90 %, where the model knows, and the labels as dots."
)


def _rows(figures: Mapping[str, float]) -> list[list[str]]:
    """Name, value and meaning of each figure; those of one joint or action have no meaning of their own."""
    rows = []
    for name, value in figures.items():
        meant = next((told for form, told in MEANINGS if re.fullmatch(form, name)), "")
        rows.append([name, f"{value:.4g}" if isinstance(value, float) else str(value), meant])
    return rows


def _calibration(seen: _Seen, error_distribution: ErrorDistribution, picture: Path) -> report.Section:
    """Whether sigma means what it says."""
    title, found = "Does sigma mean what it says?", seen.deviations
    if found is not None and not len(found.radius):
        return report.Section(title, [NOT_WHOLE])
    if found is None or not np.isfinite(found.radius).all():
        return report.Section(title, [UNKNOWN])
    report.plot_calibration(found, error_distribution, picture, seen.what)
    return report.Section(title, [CALIBRATED], picture)


def _seen(evaluation: AnyEvaluation, figures: Mapping[str, float]) -> _Seen:
    """Of any evaluation what is shown."""
    if isinstance(evaluation, LiftingEvaluation):
        return _Seen("joint", evaluation.deviations() if evaluation.rows else None)
    if isinstance(evaluation, BoundaryEvaluation):
        return _of_scans(evaluation, figures) if evaluation.rows else _Seen("boundary", None)
    if isinstance(evaluation, DetectionEvaluation):
        at = evaluation.arrays()
        picture = _pictures(evaluation)
        if at is None:
            return _Seen("joint", None, picture=picture, caption=PICTURES)
        each = _by_joint(at, evaluation.model)
        return _Seen("joint", at.deviations(), each, picture=picture, caption=PICTURES)
    if not evaluation.rows:
        return _Seen("joint", None)
    at = evaluation.arrays()
    each, picture = _by_joint(at, evaluation.model), _people(evaluation, at)
    return _Seen("joint", at.deviations(), each, picture=picture, caption=POSES)


def _by_joint(at: Found, model: Model) -> list[list[str]]:
    """Of each joint how often it is labelled, how far off it is, and what its region holds."""
    apart = distances(at.predicted[..., :2], at.truth[..., :2], at.visible)
    limit, whole = model.error_distribution.radius_at(BAND), at.whole()
    with np.errstate(invalid="ignore"):
        radius = scaled_radius(at.predicted, at.std, at.truth)
    rows = [["", "labels", "error, px", "NLL, nats", f"in {100 * BAND:.0f} % regions"]]
    for k, joint in enumerate(model.skeleton.joints):
        labelled, known = at.visible[:, k] > 0, whole[:, k] & np.isfinite(radius[:, k])
        cells = (
            _mean(apart[labelled, k], "{:.2f}"), _mean(at.nll[:, k], "{:.2f}"),
            _mean((radius[known, k] <= limit).astype(np.float64), "{:.3f}"),
        )  # fmt: skip
        rows.append([joint, str(int(labelled.sum())), *cells])
    return rows


def _mean(values: Float[np.ndarray, "N"], form: str) -> str:
    """The mean of those that are known, as text; a dash where none is."""
    known = values[np.isfinite(values)]
    return form.format(known.mean()) if len(known) else "–"


def _ranks(errors: Sequence[float], count: int) -> list[int]:
    """Rows of so many, evenly spread from the smallest error to the largest; those without one are left out."""
    order = [int(i) for i in np.argsort(errors) if np.isfinite(errors[i])]
    places = np.unique(np.linspace(0, max(0, len(order) - 1), min(count, len(order))).round().astype(int))
    return [order[place] for place in places]


def _people(evaluation: Evaluation, at: Found) -> Image | None:
    """Some people, cut out, with what was predicted."""
    apart = distances(at.predicted[..., :2], at.truth[..., :2], at.visible)
    diagonal = np.linalg.norm(at.boxes[:, 2:], axis=1)
    labelled = np.isfinite(apart)
    errors = np.where(labelled, apart, 0).sum(axis=1) / diagonal
    errors = np.where(labelled.any(axis=1), errors / np.maximum(labelled.sum(axis=1), 1), np.nan)
    indices, people, skeleton = sorted(evaluation.rows), evaluation.people, evaluation.model.skeleton
    radius = evaluation.model.error_distribution.radius_at(INSIDE)
    tiles = []
    for row in _ranks(errors.tolist(), SHOWN):
        tile, to_tile = _cut(people, indices[row], evaluation.model.padding)
        factor = float(np.hypot(*to_tile[:, 0]))
        placed, truth = (geometry.apply_affine(to_tile, x[row, :, :2]) for x in (at.predicted, at.truth))
        draw_pose(tile, skeleton, placed, at.std[row, :, :2] * radius * factor)
        mark_points(tile, truth[at.visible[row] > 0])
        tiles.append(tile)
    return contact_sheet(tiles, min(COLUMNS, len(tiles)), (TILE + 4, TILE + 4)) if tiles else None


def _cut(people: People, index: int, padding: float) -> tuple[Image, Any]:
    """A person's part of the picture, and the way there from image coordinates."""
    crop = CropTransform(people.skeleton, (TILE, TILE), padding=padding)(people[index])
    tile = np.ascontiguousarray(crop.images[0].permute(1, 2, 0).numpy())
    return tile, geometry.invert_affine(crop.to_image[0].double().numpy())


def _pictures(evaluation: DetectionEvaluation) -> Image | None:
    """Some pictures, with everybody who was found."""
    indices = sorted(evaluation.rows)
    places = np.unique(np.linspace(0, max(0, len(indices) - 1), min(SHOWN_PICTURES, len(indices))).round().astype(int))
    radius, skeleton = evaluation.model.error_distribution.radius_at(INSIDE), evaluation.model.skeleton
    tiles = []
    for place in places:
        shown, found = evaluation.pictures[indices[place]], evaluation.rows[indices[place]].people
        tile, factor = enlarged(read_image(shown.image), max(PICTURE_TILE))
        for joints, std in zip(found.keypoints, found.std, strict=True):
            # Pixel centres are whole numbers: scaling an image moves them by half a pixel of either size.
            draw_pose(tile, skeleton, (joints + 0.5) * factor - 0.5, std * radius * factor)
        for who in shown.people:
            mark_points(tile, (who.keypoints[who.visible > 0, :2] + 0.5) * factor - 0.5)
        tiles.append(tile)
    return contact_sheet(tiles, min(2, len(tiles)), PICTURE_TILE) if tiles else None


def _of_scans(evaluation: BoundaryEvaluation, figures: Mapping[str, float]) -> _Seen:
    """Of B-scans: errors and bands of each boundary, and some scans."""
    _, std, truth = evaluation.columns_of_all()
    labelled, names = np.isfinite(truth), evaluation.model.skeleton.joints
    known = bool(np.isfinite(std).all())
    inside = evaluation.in_bands(BAND) if known else np.full_like(truth, np.nan)
    each = [["", "labelled columns", "error, px", "spread, px", f"in {100 * BAND:.0f} % bands"]]
    for i, name in enumerate(names):
        error = np.array([figures.get(f"error_px_{name}", np.nan)])
        cells = _mean(error, "{:.2f}"), _mean(std[i, labelled[i]], "{:.2f}"), _mean(inside[i], "{:.3f}")
        each.append([name, str(int(labelled[i].sum())), *cells])
    indices, errors = sorted(evaluation.rows), []
    for i in indices:
        labels = evaluation.scans[i].rows
        off = abs(evaluation.boundaries(i).rows - labels)
        errors.append(float(off[np.isfinite(off)].mean()) if np.isfinite(off).any() else float("nan"))
    shown = [indices[row] for row in _ranks(errors, SHOWN_SCANS)]
    tiles = [draw_scan(evaluation, i, around_labels(evaluation.scans[i].rows)) for i in shown]
    height = max((round(SCAN_WIDTH * tile.shape[0] / tile.shape[1]) for tile in tiles), default=0)
    picture = contact_sheet(tiles, 1, (height + 8, SCAN_WIDTH)) if tiles else None
    told = [f"error_px_{name}" for name in names]
    return _Seen("boundary", evaluation.deviations() if known else None, each, told, picture, SCANS)


def draw_scan(evaluation: BoundaryEvaluation, index: int, rows: slice = slice(None)) -> Image:
    """A B-scan, or some rows of it, twice as large, with the boundaries that were found, their bands and labels."""
    scan = evaluation.scans[index]
    found = evaluation.boundaries(index)
    half = evaluation.model.error_distribution.bands_at(BAND)[:, None]
    seen, first = np.repeat(scan.image[rows, :, None], 3, axis=2), rows.start or 0
    names = evaluation.model.skeleton.joints
    return draw_boundaries(seen, found.rows - first, half * found.std, scan.rows - first, names)
