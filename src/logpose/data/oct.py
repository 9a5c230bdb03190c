"""Labelled B-scans from files: the Duke DME layout in `.mat`, or images with a CSV file of boundaries each.

`.mat` (version 7 or older; Chiu et al. 2015): `images` (H, W, n) with values 0 to 255, `manualLayers1` and
`manualLayers2` (8, W, n), the rows that two graders marked, counted from 1, NaN where they marked none. B-scans without
a label are left out. `um_per_px`, where there is one, is the height of a pixel in micrometres. A file is a subject.

Images: beside each `NAME.png` (or .jpg, .tif, …) a `NAME.csv` of its boundaries from the top down. An image is a
subject. The table has a column for each boundary under a header with its name, and a line for each column of the image;
or, without a header, a line for each boundary. Rows are counted from 0; an empty cell or `nan` is no label. Cells are
separated by commas, tabs or semicolons; beside semicolons a comma may stand for the point in a number.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from logpose.core.errors import InputError
from logpose.core.messages import missing
from logpose.core.skeletons import Skeleton
from logpose.data.flattening import ROW_UM, check_height
from logpose.data.images import SUFFIXES, read_deep
from logpose.data.matlab import matlab_sizes, read_matlab
from logpose.data.problems import Problem
from logpose.data.scans import RETINA, Scan

__all__ = [
    "DUKE_UM",
    "LabelledScans",
    "check_height",
    "chosen",
    "holds_scans",
    "is_matlab",
    "open_scans",
    "read_boundaries",
    "unlabelled_scans",
]

DUKE_SIZE, DUKE_UM = (496, 768), ROW_UM
"""Height and width of the Duke scans, and the height of their pixels in micrometres (its evaluation's own number)."""
CROSSING = 1.0  # rows that a boundary may lie above the one before it
LEAST = 16  # pixels of a side
LONGEST = 2**26  # bytes of a table
ANNOTATED = ("info", "licenses", "images", "annotations", "categories", "joints_vis")  # keys of annotation files


@dataclass(frozen=True)
class LabelledScans:
    """B-scans of files, in their order."""

    skeleton: Skeleton
    scans: tuple[Scan, ...]
    file: Path
    problems: tuple[Problem, ...] = ()
    """What was left out."""

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, index: int) -> Scan:
        return self.scans[index]

    @property
    def subjects(self) -> list[str]:
        """Each once, in order."""
        return list(dict.fromkeys(scan.subject for scan in self.scans))

    def of(self, indices: Sequence[int], *, rest: bool = True) -> LabelledScans:
        """Some of them, with what was left out of these; with `rest` also of what is no scan of the data set."""
        kept = tuple(self.scans[i] for i in indices)
        names, of_all = ({f"{self.file}: {scan.name}" for scan in scans} for scans in (kept, self.scans))
        problems = tuple(p for p in self.problems if (p.where in names if p.where in of_all else rest))
        return replace(self, scans=kept, problems=problems)


def open_scans(path: str | Path, grader: int = 1, um_per_px: float | None = None) -> LabelledScans:
    """The labelled B-scans of a file or of all files in a folder.

    Args:
        path: a `.mat` file, or a folder of them, or of images with a CSV file each.
        grader: whose labels, 1 or 2; those of CSV files count as the first's.
        um_per_px: height of a pixel in micrometres; when None that of a `.mat` file, or 3.87 for one whose scans have
            the Duke size. Image files have none.

    Raises:
        InputError: if there is nothing labelled, or a file is not as described above.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(missing(path))
    files = [file for file in sorted(path.iterdir()) if is_matlab(file)] if path.is_dir() else [path]
    if files and is_matlab(files[0]):
        beside = sorted(path.glob("*.csv")) if path.is_dir() else []
        problems = [Problem(str(table), "a CSV file in a folder of .mat files") for table in beside]
        scans = [scan for file in files for scan in _of_matlab(file, grader, um_per_px)]
        labelled = [scan for scan in scans if np.isfinite(scan.rows).any()]
        if not labelled:
            raise InputError(f"{path}: no labels of grader {grader}")
        return _ordered(path, RETINA, labelled, problems)
    if not path.is_dir():
        raise InputError(f"{path}: expected a .mat file, or a folder of .mat files or of images with CSV files")
    if grader != 1:
        raise InputError(f"{path}: CSV files have one grader; remove --grader {grader}")
    pairs, problems = _pairs(path)
    first, labelled = None, []
    for file, table in pairs:
        image = _grey(file)
        rows, names = read_boundaries(table, image.shape, file.name)
        first = first or names
        if names != first:
            wanted = f"expected {', '.join(first)} as in {pairs[0][1].name}"
            raise InputError(f"{table}: boundaries {', '.join(names)}, {wanted}")
        if np.isfinite(rows).any():
            labelled.append(Scan(image, rows, file.stem, file.stem, um_per_px))
        else:
            problems.append(Problem(str(table), "no labelled boundary"))
    if not labelled:
        raise InputError(f"{path}: no labelled boundary in any CSV file")
    return _ordered(path, Skeleton("retina", first or (), flip_pairs=()), labelled, problems)


def is_matlab(file: str | Path) -> bool:
    """Whether a file's name ends as those of the Duke layout do."""
    return Path(file).suffix.lower() == ".mat"


def holds_scans(path: str | Path) -> bool:
    """Whether a file or folder is of B-scans: in the Duke layout, or images with CSV files and no annotation file.

    Raises:
        InputError: if a `.mat` file cannot be read.
    """
    path = Path(path)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if matlab := next((file for file in files if is_matlab(file) and file.is_file()), None):
        return bool({"images", "manualLayers1"} & matlab_sizes(matlab).keys())
    tables = {file.stem for file in files if file.suffix.lower() == ".csv"}
    paired = any(file.stem in tables for file in files if file.suffix.lower() in SUFFIXES)
    return paired and not any(file.suffix == ".json" and _annotates(file) for file in files)


def _annotates(file: Path) -> bool:
    """Whether a JSON file begins as annotations of images do, COCO's or MPII's: results may lie beside B-scans."""
    with file.open("rb") as opened:
        head = opened.read(4096)
    return any(f'"{key}"'.encode() in head for key in ANNOTATED)


def _pairs(folder: Path) -> tuple[list[tuple[Path, Path]], list[Problem]]:
    """Images of a folder with the CSV files of their boundaries, and those that lack one or the other."""
    files = sorted(folder.iterdir())
    tables = {file.stem: file for file in files if file.suffix.lower() == ".csv"}
    images: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            continue
        if file.stem in images and file.stem in tables:
            of = f"{images[file.stem].name} and {file.name}"
            raise InputError(f"{tables[file.stem]}: two images of this name: {of}")
        images[file.stem] = file
    pairs = [(image, tables[stem]) for stem, image in images.items() if stem in tables]
    if not pairs:
        raise InputError(f"{folder}: expected a .mat file, or images with a CSV file of boundaries beside each")
    problems = [Problem(str(p), "no CSV file of boundaries") for s, p in images.items() if s not in tables]
    problems += [Problem(str(t), "no image of this name") for s, t in tables.items() if s not in images]
    return pairs, problems


def _ordered(path: Path, skeleton: Skeleton, scans: Sequence[Scan], problems: Sequence[Problem]) -> LabelledScans:
    """Labels without columns in which a boundary lies above one before it; where those are more than half, an error."""
    kept, crossed = [], []
    for scan in scans:
        above = scan.rows[1:] < np.fmax.accumulate(scan.rows, axis=0)[:-1] - CROSSING
        wrong = np.asarray(above.any(axis=0))
        if wrong.any():
            boundary, column = (int(i) for i in np.argwhere(above)[0])
            first = f"column {column}: {skeleton.joints[boundary + 1]} lies above the one before it"
            if 2 * wrong.sum() > np.isfinite(scan.rows).any(axis=0).sum():
                raise InputError(f"{path}: {scan.name}: {first}; list boundaries from the top down")
            detail = f"{wrong.sum()} of {len(wrong)}, {first}"
            crossed.append(Problem(f"{path}: {scan.name}", "columns in which boundaries cross", detail))
        kept.append(replace(scan, rows=np.where(wrong, np.nan, scan.rows)))
    return LabelledScans(skeleton, tuple(kept), path, (*problems, *crossed))


def chosen(
    scans: LabelledScans,
    part: str,
    train_subjects: Sequence[str] = (),
    val_subjects: Sequence[str] = (),
    folds: int = 0,
    fold: int = 0,
    seed: int = 0,
) -> LabelledScans:
    """One part of the scans, "train" or "val": by subject, or by scan.

    Args:
        scans: all.
        part: which.
        train_subjects: by default the second half of all (of Duke's ten 6 to 10, 55 B-scans).
        val_subjects: by default the first half (1 to 5).
        folds: when above 0, scans are shuffled into so many parts instead, those with the same image together.
        fold: the part that is evaluated on.
        seed: of the shuffling.

    Raises:
        InputError: if there are too few of either, or a subject is in both or in none.
    """
    if folds:
        if train_subjects or val_subjects:
            raise InputError("--folds does not go with --train-subjects or --val-subjects")
        fingerprints = [scan.fingerprint for scan in scans.scans]
        alike = {each: number for number, each in enumerate(dict.fromkeys(fingerprints))}
        if len(alike) < folds:
            raise InputError(f"{scans.file}: {len(alike)} different B-scans, fewer than {folds} folds")
        place = np.random.default_rng(seed).permutation(len(alike))
        held_out = [place[alike[each]] % folds == fold for each in fingerprints]
        held = part == "val"
        return scans.of([i for i, apart in enumerate(held_out) if apart == held], rest=not held)
    subjects = scans.subjects
    half = len(subjects) // 2
    wanted = {"train": list(train_subjects), "val": list(val_subjects)}
    if not (train_subjects and val_subjects) and len(subjects) < 2:
        raise InputError(f"{scans.file}: one subject cannot be split into train and val; use --folds 5")
    if not train_subjects:
        wanted["train"] = [s for s in (subjects if val_subjects else subjects[half:]) if s not in val_subjects]
    if not val_subjects:
        wanted["val"] = [s for s in (subjects if train_subjects else subjects[:half]) if s not in train_subjects]
    missing = sorted({*wanted["train"], *wanted["val"]} - set(subjects))
    if missing:
        raise InputError(f"{scans.file}: no subject {missing[0]!r} among {', '.join(subjects[:12])}")
    twice = sorted({*wanted["train"]} & {*wanted["val"]})
    if twice:
        raise InputError(f"subjects in both train and val: {', '.join(twice)}")
    kept = scans.of([i for i, scan in enumerate(scans.scans) if scan.subject in wanted[part]], rest=part == "train")
    if not len(kept):
        raise InputError(f"{scans.file}: no subjects left for {part}")
    return kept


def _grey(path: Path) -> UInt8[np.ndarray, "H W"]:
    """A B-scan in an image file, as grey values; 16 bits are scaled so that the brightest pixel is 255 at most."""
    pixels = read_deep(path)
    if path.suffix.lower() in (".tif", ".tiff") and (pages := cv2.imcount(str(path))) > 1:
        raise InputError(f"{path}: {pages} images in one file, expected one")
    if min(pixels.shape[:2]) < LEAST:
        raise InputError(f"{path}: {pixels.shape[0]}×{pixels.shape[1]} pixels, expected at least {LEAST}×{LEAST}")
    # Of 16 bits; the brightest becomes 255 exactly, by which white frames are recognised.
    scale = 255 / max(255, int(pixels.max())) if pixels.dtype == np.uint16 else 1.0
    shades = np.rint(pixels * scale).astype(np.uint8)
    if not (np.ptp(shades, axis=2) <= 8).all():
        raise InputError(f"{path}: a colour image; expected shades of grey")
    return np.ascontiguousarray(shades[..., 1])


def unlabelled_scans(file: str | Path, um_per_px: float | None = None) -> list[Scan]:
    """The B-scans of a file without labels: of an image one of its name, of a `.mat` file all, numbered from 0.

    Raises:
        InputError: if it cannot be read.
    """
    file = Path(file)
    if is_matlab(file):
        return _of_matlab(file, None, um_per_px)
    image = _grey(file)
    return [Scan(image, np.empty((0, image.shape[1])), file.stem, file.stem, um_per_px)]


def _of_matlab(file: Path, grader: int | None, um_per_px: float | None) -> list[Scan]:
    """All scans of a file in the Duke layout, with the labels of a grader or with none."""
    images = read_matlab(file, "images")
    images = images[..., None] if images.ndim == 2 else images
    if images.ndim != 3 or min(images.shape[:2]) < LEAST or max(images.shape[:2]) > 8192 or not images.shape[2]:
        raise InputError(f"{file}: images must be height × width × number, got {'×'.join(map(str, images.shape))}")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 255):
        raise InputError(f"{file}: images must have values 0 to 255")
    if 0 < images.max() <= 1:
        raise InputError(f"{file}: images have values 0 to 1, expected 0 to 255")
    pixels = np.rint(images).astype(np.uint8)
    (height, width, count), names = images.shape, RETINA.joints
    layers = np.empty((0, width, count)) if grader is None else read_matlab(file, f"manualLayers{grader}")
    layers = layers[..., None] if layers.ndim == 2 else layers
    if grader is not None and layers.shape != (len(names), width, count):
        shape, wanted = "×".join(map(str, layers.shape)), f"{len(names)}×{width}×{count}"
        raise InputError(f"{file}: manualLayers{grader} is {shape}, expected {wanted}")
    wrong = np.isinf(layers) | (layers < 1) | (layers > height)
    if wrong.any():
        boundary, column, number = (int(i) for i in np.argwhere(wrong)[0])
        row = f"{names[boundary]} is in row {layers[boundary, column, number]:g} of 1 to {height}"
        raise InputError(f"{file}: {file.stem}-{number}, column {column} (both counted from 0): {row}")
    if um_per_px is None and "um_per_px" in matlab_sizes(file):
        given = read_matlab(file, "um_per_px").reshape(-1)
        if len(given) != 1:
            raise InputError(f"{file}: um_per_px has {len(given)} numbers, expected one")
        um_per_px = float(given[0])
        check_height(um_per_px, f"{file}: um_per_px")
    elif um_per_px is None and (height, width) == DUKE_SIZE:
        um_per_px = DUKE_UM
    return [
        Scan(np.ascontiguousarray(pixels[..., i]), layers[..., i] - 1, f"{file.stem}-{i}", file.stem, um_per_px)
        for i in range(count)
    ]


def read_boundaries(
    table: str | Path, size: tuple[int, ...], image: str
) -> tuple[Float[np.ndarray, "D W"], tuple[str, ...]]:
    """The rows of boundaries in each column of a B-scan, NaN where there is no label, and their names.

    Eight boundaries without a header have the names of the retina's. `size` is the (height, width) of the B-scan,
    `image` the name of its file, for messages.

    Raises:
        InputError: if the file cannot be read, or does not fit the image.
    """
    table = Path(table)
    if table.stat().st_size > LONGEST:
        raise InputError(f"{table}: more than {LONGEST:,} bytes")
    try:
        text = table.read_text(encoding="utf-8-sig")
        # Spreadsheets that have commas in numbers separate cells by semicolons.
        reader = csv.reader(text.splitlines(), delimiter=next((mark for mark in ";\t" if mark in text), ","))
        numbered = [(reader.line_num, line) for line in reader if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table}: not a CSV file ({error})") from error
    first = numbered[0][1] if numbered else []
    headed = any(_number(cell) is None for cell in first)
    names = tuple(cell.strip() for cell in first) if headed else ()
    rows = _numbers(table, numbered[1:] if headed else numbered)
    height, width = size
    lines, values = rows.shape
    rows = rows.T if headed else rows
    if rows.shape != (len(names) if headed else lines, width):
        got = f"{lines} lines of numbers below the header" if headed else f"lines of {values} numbers"
        hint = "" if headed else "; without a header a line is a boundary"
        raise InputError(f"{table}: {got}, expected {width} (the width of {image}{hint})")
    if not all(names or ("x",)):
        raise InputError(f"{table}: column {names.index('') + 1} has no name; remove it if it is an index")
    if len(rows) < 2:
        raise InputError(f"{table}: one boundary, expected two or more")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{table}: two columns are named {twice}")
    plain = RETINA.joints if len(rows) == len(RETINA) else tuple(f"boundary {i + 1}" for i in range(len(rows)))
    outside = np.argwhere((rows < 0) | (rows > height - 1))
    if len(outside):
        boundary, column = (int(i) for i in outside[0])
        at = f"{(names or plain)[boundary]} in row {rows[boundary, column]:g}, expected 0 to {height - 1}"
        raise InputError(f"{table}: image column {column}: {at}")
    return rows, names or plain


def _numbers(table: Path, lines: Sequence[tuple[int, Sequence[str]]]) -> Float[np.ndarray, "L C"]:
    """The cells of lines, each with its number in the file, that are alike in length."""
    width = len(lines[0][1]) if lines else 0
    if not width:
        raise InputError(f"{table}: holds no numbers")
    for number, line in lines:
        if len(line) != width:
            raise InputError(f"{table}: line {number} has {len(line)} cells, expected {width}")
        if (wrong := next((cell for cell in line if _number(cell) is None), None)) is not None:
            raise InputError(f"{table}: line {number}: {wrong.strip()!r:.40} is not a number")
    return np.array([[_number(cell) for cell in line] for _, line in lines], dtype=np.float64)


def _number(cell: str) -> float | None:
    """The value of a cell: a finite number, NaN where it is empty or "nan"; None if it is anything else."""
    text = cell.strip().replace(",", ".")
    if text.lower() in ("", "nan"):
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
