"""Text and page of the studies of covered joints and of people who are cut off."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.samples import Image
from logpose.data.transforms import CropTransform
from logpose.report.draw import contact_sheet
from logpose.report.inspection import evenly
from logpose.report.page import Section, save_image, write_page
from logpose.tasks.pose.report import INSIDE, POSES, drawn_person
from logpose.tasks.pose.studies import LEVEL, NOTHING, Covered, Cut, Occlusion, Outcome, Truncation

__all__ = ["facts", "study_text", "write_study_page"]

PEOPLE, TILE = 4, 260  # on a page, and pixels of each of their images
MATRICES = {
    "error": "Error, per cent of the longer side of the box",
    "std": "Predicted standard deviation, per cent of the longer side of the box",
    "covered": f"Per cent of labels in {100 * LEVEL:.0f} % regions",
}
OCCLUSION = (
    "Rows: a grey square lies over one joint of that kind. Columns: joints that are measured; of the same kind the "
    "covered one alone. A standard deviation that can be trusted grows where the error does."
)
TRUNCATION = (
    "The image, and the box with it, ends where the person is cut. Joints beyond the cut cannot be seen; a model may "
    "still expect them somewhere, and should be less certain of them."
)
SHEET = "One person in each row. "


def facts(study: Occlusion | Truncation) -> dict[str, Any]:
    """Figures, and matrices by kind of joint or rows by share, as plain values; lengths in shares of the box's side."""
    if isinstance(study, Truncation):
        return {"rows": study.rows()}
    return {"figures": study.figures(), "joints": list(study.kinds()), "matrices": _matrices(study)}


def study_text(study: Occlusion | Truncation) -> list[str]:
    """Its tables, as lines."""
    figures = study.figures() if isinstance(study, Occlusion) else {}
    lines = [f"{name:32}{100 * value:7.2f} %" for name, value in figures.items()]
    for title, rows in _tables(study):
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines += [title, *table] if title else table
    return lines


def write_study_page(
    path: str | Path,
    what: str,
    data: str | Path,
    studies: Mapping[str, Occlusion | Truncation],
    altered: Mapping[str, Sequence[Covered | Cut]],
) -> None:
    """Write the page of a study of one or several models, whole or not at all.

    Args:
        path: HTML file to write.
        what: name of the study.
        data: whom it is of.
        studies: an `Occlusion` of each model, or a `Truncation`, by name.
        altered: of each, the changed people of each column of images: those of `Covered` or `Cut`.
    """
    sections = []
    with TemporaryDirectory() as temporary:
        for number, (name, study) in enumerate(studies.items()):
            image = Path(temporary) / f"{number}.jpg"
            save_image(_sheet(study, altered[name]), image)
            text = [
                OCCLUSION if isinstance(study, Occlusion) else TRUNCATION,
                f"People of <code>{html.escape(str(data))}</code>.",
            ]
            tables = _tables(study)
            sections.append(Section(name, text, table=tables[0][1]))
            sections += [Section(title, [], table=rows) for title, rows in tables[1:]]
            sections.append(Section(f"People, by {name}", [SHEET + POSES], image))
        write_page(f"logpose study {what}", sections, path)


def _matrices(study: Occlusion) -> dict[str, list[list[float | None]]]:
    """Each known matrix; the first row is of people with nothing covered."""
    found = {}
    for name in MATRICES:
        values = study.matrix(name)  # type: ignore[arg-type]
        if np.isfinite(values).any():
            found[name] = [[float(value) if np.isfinite(value) else None for value in row] for row in values]
    return found


def _tables(study: Occlusion | Truncation) -> list[tuple[str, list[list[str]]]]:
    """Titles and cells, the first row being the head."""
    if isinstance(study, Truncation):
        rows = study.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_cell(row.get(name)) for name in names] for row in rows]
        return [("Per cent; lengths of the longer side of the box", [names, *cells])]
    kinds, tables = list(study.kinds()), []
    for name, values in _matrices(study).items():
        cells = [[row, *map(_cell, own)] for row, own in zip([NOTHING, *kinds], values, strict=True)]
        tables.append((MATRICES[name], [["covered", *kinds], *cells]))
    return tables


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _sheet(study: Occlusion | Truncation, altered: Sequence[Covered | Cut]) -> Image:
    """Some people in rows, changed in each way in columns."""
    outcomes: Sequence[Outcome]
    if isinstance(study, Truncation):
        outcomes = study.outcomes
    else:
        outcomes = [study.shown, *(study.hidden[joints[0]] for joints in study.kinds().values())]
    tiles = []
    for row in evenly(len(altered[0]), PEOPLE):
        for people, outcome in zip(altered, outcomes, strict=True):
            tiles.append(_tile(people, outcome, row))
    return contact_sheet(tiles, len(outcomes), (TILE + 4, TILE + 4))


def _tile(people: Covered | Cut, outcome: Outcome, row: int) -> Image:
    """A changed person in the region of their whole box."""
    model, whole, sample = outcome.model, people.people[people.rows[row]], people[row]
    moved = sample.keypoints[:, :2] - whole.keypoints[:, :2]  # of a cut at the top or the left
    shift = moved[whole.visible > 0][0] if (whole.visible > 0).any() else np.zeros(2)
    box: Float[np.ndarray, 4] = np.concatenate([whole.box[:2] + shift, whole.box[2:]])
    shown = replace(sample, box=box)
    cropped = CropTransform(model.skeleton, (TILE, TILE), padding=model.padding)
    at, radius = outcome.at, outcome.at.radii(model, INSIDE)[row]
    half_axes, correlation = at.std[row] * radius[:, None], None if at.correlation is None else at.correlation[row]
    return drawn_person(shown, cropped, model.skeleton, slice(None), at.predicted[row], half_axes, correlation)
