"""`logpose predict` on files of B-scans by boundary models."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from logpose.core.errors import InputError
from logpose.core.progress import track
from logpose.data.images import SUFFIXES
from logpose.data.oct import check_height, is_matlab, unlabelled_scans
from logpose.models import BoundaryModel
from logpose.report.draw import draw_boundaries
from logpose.report.page import save_image
from logpose.tasks.boundaries.options import BoundaryPredictOptions
from logpose.tasks.boundaries.predict import Boundaries, Segmenter, boundary_arrays, boundary_rows
from logpose.tasks.task import Predictions

__all__ = ["predict_in_scans"]

Found = tuple[Path, str, Boundaries]
"""A file, the name of a scan in it, and its boundaries."""


def predict_in_scans(model: BoundaryModel, options: BoundaryPredictOptions) -> Predictions:
    """Predictions of a boundary model.

    Args:
        model: the model.
        options: of `logpose predict`.

    Raises:
        InputError: if an option or an input is not what it should be.
    """
    check_height(options.um_per_px, "--um-per-px")
    files = [file for path in dict.fromkeys(options.inputs) for file in _scan_files(path)]
    for file in files:
        unlabelled_scans(file, options.um_per_px)  # what is wrong with one is reported before anything is written
    segmenter = Segmenter(model, options.device, options.flip_test, options.batch_size or 8)
    found: list[Found] = []
    scans = (
        (number, file, scan) for number, file in enumerate(files) for scan in unlabelled_scans(file, options.um_per_px)
    )
    for number, file, scan in track(scans, "predicting", unit="B-scans"):
        name, boundaries = scan.name, segmenter(scan)
        if options.save_images:
            image = np.repeat(scan.image[..., None], 3, axis=2)
            drawn = draw_boundaries(image, boundaries.rows, boundaries.band, names=boundaries.skeleton.joints)
            twice = any(other == name for _, other, _ in found)
            save_image(drawn, options.save_images / f"{name}-boundaries{f'-{number}' if twice else ''}.png")
        found.append((file, name, boundaries))
    rows = [boundary_rows(file.name, name, boundaries) for file, name, boundaries in found]
    return Predictions(lambda: rows, partial(boundary_arrays, found), partial(_text, found))


def _scan_files(path: Path) -> list[Path]:
    """A file, or the files of B-scans in a folder."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
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
