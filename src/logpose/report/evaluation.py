"""The page of `logpose eval --report`: figures and what they mean, examples, and whether sigma is calibrated."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from logpose.core.samples import Image
from logpose.losses import LikelihoodLoss
from logpose.metrics.calibration import Deviations
from logpose.report.inspection import evenly
from logpose.report.page import (
    Section,
    plot_calibration,
    plot_curves,
    plot_density,
    read_curves,
    save_image,
    write_page,
)

__all__ = ["MEANINGS", "PageParts", "evenly_ranked", "mean_text", "write_report"]

MEANINGS = (
    (r"error_px|error_um", "mean distance from the label (pixels, micrometres)"),
    (r"nll", "negative log-likelihood of a label, in nats: lower is better, and below 0 is normal"),
    (r"coverage@[\d.]+", "share of labels inside the predictive region of that nominal level"),
    (r"std_\w+", "mean predicted standard deviation"),
    (r"sigma_rank", "rank correlation of predicted standard deviation and error: 1 is best, 0 is no information"),
    (r"people|joints|images|found|labelled|frames|scans|columns", "number of instances evaluated"),
)
"""What a figure's name means, in every task; a task adds those of its own (`PageParts.meanings`)."""


@dataclass(frozen=True)
class PageParts:
    """What a task adds to the page."""

    what: str
    """What a prediction is of one of: joint, boundary."""
    deviations: Deviations | None = None
    """Labels beside predictions, to measure calibration by; None where nothing was predicted."""
    meanings: Sequence[tuple[str, str]] = ()
    """Regular expressions of names of figures, and what these mean."""
    notes: Sequence[str] = ()
    """Sentences about how the figures were computed."""
    table: Sequence[Sequence[str]] | None = None
    """A table by joint or boundary, its first row the head."""
    in_table: Sequence[str] = field(default=())
    """Names of figures that stand in it."""
    examples: Image | None = None
    """Some inputs with predictions."""
    caption: str = ""
    """What the examples show."""


def write_report(
    path: str | Path,
    checkpoint: str | Path,
    data: str | Path,
    parts: PageParts,
    figures: Mapping[str, float],
    loss: LikelihoodLoss | None,
) -> None:
    """Write the page of an evaluation.

    Args:
        path: HTML file to write, whole or not at all.
        checkpoint: of the model; training's curves are taken from beside it, where they are.
        data: what it was evaluated on.
        parts: what the task adds.
        figures: by name.
        loss: that the model was trained by, if any is kept.
    """
    checkpoint = Path(checkpoint)
    measured = f"<code>{html.escape(str(checkpoint))}</code> on <code>{html.escape(str(data))}</code>."
    explained, others = [], []
    for name, value in figures.items():
        row = [name, f"{value:.4g}" if isinstance(value, float) else str(value)]
        # Those of one joint or action have no meaning of their own.
        meaning = next((text for form, text in (*MEANINGS, *parts.meanings) if re.fullmatch(form, name)), "")
        if meaning:
            explained.append([*row, meaning])
        elif name not in parts.in_table:
            others.append(row)
    paragraphs = [measured, *(f"{note}." for note in parts.notes)]
    sections = [Section("Figures", paragraphs, table=[["", "", "what it is"], *explained])]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if parts.table:
            sections.append(Section(f"By {parts.what}", [], table=parts.table))
        if others:
            sections.append(Section("In detail", [], table=[["", ""], *others]))
        if parts.examples is not None:
            save_image(parts.examples, folder / "examples.jpg")
            sections.append(Section("Examples", [parts.caption], folder / "examples.jpg"))
        sections.append(_calibration(parts, folder / "calibration.png"))
        if loss is not None and loss.dim > 1:
            plot_density(loss, folder / "density.png")
            sections.append(Section("The error's density", [DENSITY], folder / "density.png"))
        curves = read_curves(checkpoint.parent)
        if "val/nll" in curves:
            plot_curves({checkpoint.parent.name: curves}, folder / "curves.png")
            sections.append(Section("Training", [CURVES], folder / "curves.png"))
        write_page(f"logpose eval: {checkpoint.name}", sections, Path(path))


NOT_WHOLE = (
    "No column has a label of every boundary, so regions of all boundaries together cannot be evaluated; the coverage "
    "of each boundary's own band is above."
)
DENSITY = (
    "The loss's density of standardised errors, beside a Laplace and a Gaussian of equal standard deviation; of more "
    "than two dimensions the first two."
)
CURVES = (
    "On the validation part, by epoch. A negative NLL is normal: it is minus the logarithm of a density, and a density "
    "may be larger than one."
)
CALIBRATED = (
    "Left: coverage of predictive regions of nominal 5 … 99 %. On the dashed line the model is calibrated; below, "
    "overconfident; above, underconfident. Right: labels in ten groups by predicted standard deviation, against "
    "their actual error."
)
UNKNOWN = "Not known: this model was trained without a likelihood, nobody was detected, or it has diverged."


def _calibration(parts: PageParts, plot: Path) -> Section:
    """Whether sigma is calibrated."""
    title, deviations = "Is sigma calibrated?", parts.deviations
    if deviations is not None and not len(deviations.radius):
        return Section(title, [NOT_WHOLE])
    if deviations is None or not np.isfinite(deviations.radius).all():
        return Section(title, [UNKNOWN])
    plot_calibration(deviations, plot, parts.what)
    return Section(title, [CALIBRATED], plot)


def mean_text(values: np.ndarray, form: str) -> str:
    """The mean of those that are known, as text; a dash where none is."""
    known = values[np.isfinite(values)]
    return form.format(known.mean()) if len(known) else "–"


def evenly_ranked(errors: Sequence[float], count: int) -> list[int]:
    """Rows of so many, evenly spread from the smallest error to the largest; those without one are left out."""
    order = [int(i) for i in np.argsort(errors) if np.isfinite(errors[i])]
    return [order[place] for place in evenly(len(order), count)]
