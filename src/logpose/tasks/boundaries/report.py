"""Boundaries in files of B-scans: the report page, `logpose inspect` and `logpose predict`."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.messages import missing
from logpose.core.progress import track
from logpose.core.samples import Image
from logpose.data.flattening import cleaned, flatten
from logpose.data.images import SUFFIXES
from logpose.data.oct import LabelledScans, check_height, is_matlab, open_scans, unlabelled_scans
from logpose.models import BoundaryModel
from logpose.report.draw import around_labels, contact_sheet, draw_boundaries
from logpose.report.evaluation import PageParts, evenly_ranked, mean_text
from logpose.report.inspection import evenly, summary
from logpose.report.page import save_image
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation
from logpose.tasks.boundaries.predict import Boundaries, Segmenter, boundary_arrays, boundary_rows
from logpose.tasks.options import BoundaryInspectOptions, BoundaryPredictOptions
from logpose.tasks.task import Predictions

__all__ = ["draw_scan", "inspect", "page_parts", "predict"]

Found = tuple[Path, str, Boundaries]
"""A file, the name of a scan in it, and its boundaries."""

SHOWN, WIDTH = 6, 960  # B-scans on the page, and pixels of each's width
ON_SHEET, TILE = 12, (300, 760)  # B-scans on a contact sheet, and height and width of each
BAND = 0.9  # nominal level of the drawn bands
NETWORK_HEIGHT = 224  # rows of a flattened scan, to look for its retina

MEANINGS = (
    (r"rmse_px|rmse_um", "root mean square error (pixels, micrometres)"),
    (r"p95_px|p95_um", "95 % of labels have a lower error"),
    (r"truth_px", "mean distance from the boundaries that the noisy labels were made from, in pixels"),
    (r"band@[\d.]+", "share of labels inside their own boundary's band of that nominal level"),
)
"""What figures of boundaries mean."""

SCANS = (
    "B-scans from lowest mean error to highest: boundaries, the bands that hold them with a probability of 90 %, where "
    "the model predicts them, and the labels as dots."
)


def page_parts(evaluation: BoundaryEvaluation, figures: Mapping[str, float]) -> PageParts:
    """The page's parts about boundaries: errors and bands of each, and some scans."""
    model = evaluation.model
    if not evaluation.rows:
        return PageParts("boundary", meanings=MEANINGS)
    _, std, truth = evaluation.columns_of_all()
    labelled, names = np.isfinite(truth), model.skeleton.joints
    known = bool(np.isfinite(std).all())
    inside = evaluation.in_bands(BAND) if known else np.full_like(truth, np.nan)
    table = [["", "labelled columns", "error, px", "std, px", f"in {100 * BAND:.0f} % bands"]]
    for i, name in enumerate(names):
        error = np.array([figures.get(f"error_px_{name}", np.nan)])
        cells = mean_text(error, "{:.2f}"), mean_text(std[i, labelled[i]], "{:.2f}"), mean_text(inside[i], "{:.3f}")
        table.append([name, str(int(labelled[i].sum())), *cells])
    return PageParts(
        "boundary",
        evaluation.deviations() if known else None,
        MEANINGS,
        table=table,
        in_table=[f"error_px_{name}" for name in names],
        examples=_examples(evaluation),
        caption=SCANS,
    )


def _examples(evaluation: BoundaryEvaluation) -> Image | None:
    """Some scans, evenly spaced from the lowest error to the highest."""
    indices, errors = sorted(evaluation.rows), []
    for i in indices:
        labels = evaluation.scans[i].rows
        off = abs(evaluation.boundaries(i).rows - labels)
        errors.append(float(off[np.isfinite(off)].mean()) if np.isfinite(off).any() else float("nan"))
    shown = [indices[row] for row in evenly_ranked(errors, SHOWN)]
    tiles = [draw_scan(evaluation, i, around_labels(evaluation.scans[i].rows)) for i in shown]
    height = max((round(WIDTH * tile.shape[0] / tile.shape[1]) for tile in tiles), default=0)
    return contact_sheet(tiles, 1, (height + 8, WIDTH)) if tiles else None


def draw_scan(evaluation: BoundaryEvaluation, index: int, rows: slice = slice(None)) -> Image:
    """A B-scan, or some rows of it, twice as large, with predicted boundaries, their bands and labels."""
    scan = evaluation.scans[index]
    found = evaluation.boundaries(index)
    half = evaluation.model.region_radius(BAND).T
    image, first = _grey(scan.image[rows]), rows.start or 0
    names = evaluation.model.skeleton.joints
    return draw_boundaries(image, found.rows - first, half * found.std, scan.rows - first, names)


def inspect(options: BoundaryInspectOptions) -> dict[str, dict[str, Any]]:
    """Counts, labelled columns, problems and a contact sheet of B-scans.

    Raises:
        InputError: if the data cannot be read, or no pixel has such a height.
    """
    check_height(options.um_per_px, "--um-per-px")
    scans = open_scans(options.data, options.grader or 1, options.um_per_px)
    sheet = options.out / f"{options.data.resolve().stem}.jpg"
    drawn = []
    for i in evenly(len(scans), ON_SHEET):
        scan, shown = scans[i], around_labels(scans[i].rows)
        drawn.append(draw_boundaries(_grey(scan.image[shown]), scan.rows - shown.start, names=scans.skeleton.joints))
    save_image(contact_sheet(drawn, 2, TILE), sheet)
    known = np.concatenate([np.isfinite(scan.rows) for scan in scans.scans], axis=1)
    columns = {name: int(row.sum()) for name, row in zip(scans.skeleton.joints, known, strict=True)}
    facts = {
        "counts": {"B-scans with labels": len(scans), "subjects": len(scans.subjects), "columns": known.shape[1]},
        "height × width": dict(Counter("×".join(map(str, scan.image.shape)) for scan in scans.scans)),
        "labelled columns": columns,
        "problems": summary(scans.problems),
        "hints": _hints(scans, columns),
        "contact_sheet": str(sheet),
    }
    return {str(options.data): facts}


def _hints(scans: LabelledScans, columns: Mapping[str, int]) -> list[str]:
    """What is no error but deserves a look."""
    hints = [f"{name!r} is labelled in no column" for name, count in columns.items() if not count]
    alike = Counter(scan.fingerprint for scan in scans.scans)
    twice = sum(times > 1 for times in alike.values())
    several = "1 image is" if twice == 1 else f"{twice} images are"
    if twice:
        hints.append(f"{several} there more than once; --folds keeps {'it' if twice == 1 else 'each'} in one part")
    faint = [s.name for s in scans.scans if flatten(cleaned(s.image), NETWORK_HEIGHT, None, s.um_per_px).faint]
    hints += [f"{name}: no retina was detected" for name in faint]
    unknown = sum(scan.um_per_px is None for scan in scans.scans)
    if unknown:
        hints.append(f"the height of a pixel is not known of {unknown}, so there are no errors in micrometres")
    return hints


def _grey(image: np.ndarray) -> Image:
    """Shades of grey as an image in colour."""
    return np.repeat(image[..., None], 3, axis=2)


def predict(model: BoundaryModel, options: BoundaryPredictOptions) -> Predictions:
    """Predictions of a boundary model.

    Raises:
        InputError: if an option or an input is not what it should be.
    """
    check_height(options.um_per_px, "--um-per-px")
    files = [file for path in dict.fromkeys(options.inputs) for file in _scan_files(path)]
    for file in files:
        unlabelled_scans(file, options.um_per_px)  # what is wrong with one is reported before anything is written
    segmenter = Segmenter(model, options.device, options.flip_test, **options.batches())
    found: list[Found] = []
    scans = ((i, file, scan) for i, file in enumerate(files) for scan in unlabelled_scans(file, options.um_per_px))
    for number, file, scan in track(scans, "predicting", unit="B-scans"):
        boundaries = segmenter(scan)
        if options.save_images:
            drawn = draw_boundaries(_grey(scan.image), boundaries.rows, boundaries.band, names=model.skeleton.joints)
            twice = any(other == scan.name for _, other, _ in found)
            save_image(drawn, options.save_images / f"{scan.name}-boundaries{f'-{number}' if twice else ''}.png")
        found.append((file, scan.name, boundaries))
    rows = [boundary_rows(file.name, name, boundaries) for file, name, boundaries in found]
    return Predictions(lambda: rows, partial(boundary_arrays, found), partial(_text, found))


def _scan_files(path: Path) -> list[Path]:
    """A file, or the files of B-scans in a folder."""
    if not path.exists():
        raise InputError(missing(path))
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if is_matlab(file) or file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{path}: holds no .mat file and no image")
    return files


def _text(found: Sequence[Found]) -> Iterator[str]:
    """Boundaries as CSV: a line for each column of each scan."""
    for i, (file, name, boundaries) in enumerate(found):
        if i == 0:
            joints = boundaries.skeleton.joints
            yield _line(["file", "scan", "column", *joints, *(f"{k} {j}" for k in ("sigma", "band90") for j in joints)])
        for column, numbers in enumerate(np.concatenate([boundaries.rows, boundaries.sigma, boundaries.band]).T):
            yield _line([file.name, name, str(column), *("" if np.isnan(n) else f"{n:.3f}" for n in numbers)])


def _line(cells: Sequence[str]) -> str:
    """A line of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
