"""The text and the page of an audit."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.samples import Image
from logpose.data.images import read_image
from logpose.metrics.reliability import sparsification
from logpose.report.draw import contact_sheet, draw_pose, mark_points
from logpose.report.page import Section, plot_parts, plot_sparsification, save_image, write_page
from logpose.tasks.audit import LEVELS, Audit, worst

__all__ = ["audit_text", "write_audit_page"]

SHOWN, TILE = 12, 260  # people with the largest errors, and pixels of a side of their images

MEANINGS = {
    "people": "labelled people who were found",
    "labelled": "labelled people",
    "recall": "share of these who were found",
    "extra": "predictions, in images with labels, of nobody who is labelled",
    "joints": "labelled joints of people who were found",
    "error_px": "mean distance of a joint from its label, pixels",
    "error_of_size": "the same relative to the longer side of the predicted person's box",
    "bias_px": "length of the mean error: labels and predictions that mean different points, or a shifted image",
    "oks": "mean object keypoint similarity",
    "correct": "share of joints whose similarity is .5 or more",
    "label_std_px": "standard deviation of labels along an axis, from images that were labelled twice",
    "joint_scores_oks_pearson": "Pearson's correlation of the mean score of a person's joints with OKS (Table 6)",
    "joint_scores_oks_spearman": "Spearman's",
    "person_score_oks_pearson": "Pearson's correlation of the person's own score with OKS",
    "person_score_oks_spearman": "Spearman's",
    "auroc": "probability that a correct joint has a higher score than a wrong one: 1 is best, .5 is chance",
    "score_rank": "Spearman's correlation of 1 - score with the error relative to size: 1 is best",
    "sparsification_excess": "area between the curve of sparsification and the oracle's: 0 is best, 1 is chance",
    "std_rank": "Spearman's correlation of the program's standard deviation with the error",
}
COVERAGE = {
    "own_coverage": "share of labels in the ellipse that the program's covariance gives, errors taken as Gaussian",
    "own_region": "share of labels in the regions that the program gives at that nominal level",
    "coverage": "share of labels in the regions of scores, of images that these were not learned on; each counts once",
    "radius_px": "median radius of these regions",
}
REGIONS = (
    "Regions of scores: on {learned} of {images} images the error of each joint was learned as it falls with the "
    "score, and radii that hold 50, 90 and 95 % (split conformal prediction); the other images measure them. So a "
    "score is worth a radius in pixels, whatever the program means by it; <code>--json</code> has the radii. They hold "
    "for images like these: other cameras or people need labels of their own."
)
WORST = "The people with the largest errors relative to their size: predictions, and labels as rings."
COLUMNS = (
    ("labels", "labels"),
    ("bias_px", "bias x, y (px)"),
    ("std_px", "std x, y (px)"),
    ("error_px@0.5", "median error"),
    ("error_px@0.95", "95 % have less"),
    ("auroc", "AUROC of the score"),
    ("label_std_px", "std of labels"),
    ("coverage@0.9", "in 90 % regions of scores"),
)


def meaning_of(name: str) -> str:
    """What a figure is."""
    return MEANINGS.get(name) or COVERAGE[name.partition("@")[0]]


def audit_text(audit: Audit) -> Iterator[str]:
    """A line for each figure."""
    figures = audit.figures()
    width = max(map(len, figures))
    for name, value in figures.items():
        yield f"{name:{width}} {_number(value):>9}  {meaning_of(name)}"


def write_audit_page(
    path: str | Path, predictions: str | Path, labels: str | Path, audit: Audit, images: Mapping[int, str]
) -> None:
    """Write the page of an audit, whole or not at all.

    Args:
        path: HTML file to write.
        predictions: file of the predictions.
        labels: file of the labels.
        audit: of these.
        images: files of images, by id; those that are not there are not shown.
    """
    at, figures = audit.at, audit.figures()
    measured = f"<code>{html.escape(str(predictions))}</code> on <code>{html.escape(str(labels))}</code>."
    notes = [html.escape(f"{note[0].upper()}{note[1:]}.") for note in audit.notes()]
    rows = [["", "", "what it is"], *([name, _number(value), meaning_of(name)] for name, value in figures.items())]
    joints = audit.by_joint()
    columns = [(name, title) for name, title in COLUMNS if any(name in row for row in joints)]
    table = [["", *(title for _, title in columns)]]
    table += [[str(row["joint"]), *(_cell(row.get(name)) for name, _ in columns)] for row in joints]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sections = [Section("Figures", [measured, *notes], table=rows), Section("By joint", [], table=table)]
        if audit.has_scores:
            error, scores = audit.relative[at.known], at.scores[at.known]
            curves = {"by score": sparsification(error, scores), "by error (the best)": sparsification(error, -error)}
            curves["by chance"] = np.full(len(curves["by score"]), error.mean())
            plot_sparsification(curves, "of the person's size", folder / "sparsification.png")
            text = "Joints with the lowest scores are left out first: does the error of the others fall?"
            sections.append(Section("Do scores foretell errors?", [text], folder / "sparsification.png"))
        if audit.covered is not None:
            learned = len(np.unique(at.images[audit.learns]))
            facts = {"learned": learned, "images": len(np.unique(at.images))}
            plot_parts(LEVELS, {"held out": audit.coverage_by_joint()}, at.skeleton.joints, folder / "coverage.png")
            sections.append(Section("Regions of scores", [REGIONS.format(**facts)], folder / "coverage.png"))
        shown, listed = _worst(audit, images)
        file = folder / "worst.jpg" if shown is not None else None
        if shown is not None and file is not None:
            save_image(shown, file)
        table = [["image", "error relative to size"], *listed]
        sections.append(Section("Largest errors", [WORST] if file else [], file, table))
        write_page("logpose audit", sections, path)


def _worst(audit: Audit, images: Mapping[int, str]) -> tuple[Image | None, list[list[str]]]:
    """The people with the largest errors: their images side by side, where these are there, and as a list."""
    at, tiles, listed = audit.at, [], []
    for row, error in worst(at, SHOWN):
        name = images.get(int(at.images[row]), str(at.images[row]))
        listed.append([name, f"{error:.3f}"])
        try:
            image = read_image(name)
        except InputError:
            continue
        tile = contact_sheet([image], 1, (TILE, TILE), border=0)
        factor = min(TILE / image.shape[0], TILE / image.shape[1])
        shift = np.array([(TILE - round(image.shape[1] * factor)) // 2, (TILE - round(image.shape[0] * factor)) // 2])
        placed, truth = ((points + 0.5) * factor - 0.5 + shift for points in (at.predicted[row], at.truth[row]))
        draw_pose(tile, at.skeleton, placed, np.full(placed.shape, np.nan))
        mark_points(tile, truth[at.known[row]])
        tiles.append(tile)
    return (contact_sheet(tiles, min(4, len(tiles)), (TILE + 4, TILE + 4)) if tiles else None), listed


def _number(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> str:
    """A figure of a table, or two; a dash where it is not known."""
    if value is None:
        return "–"
    return ", ".join(f"{part:g}" for part in value) if isinstance(value, list) else f"{value:g}"
