"""Labelled B-scans from files: the Duke DME layout in `.mat`, or images with a CSV file of boundaries each.

`.mat` (version 7 or older; Chiu et al. 2015): `images` (H, W, n) with values 0 to 255, `manualLayers1` and
`manualLayers2` (8, W, n), the rows that two graders marked, counted from 1, NaN where they marked none. B-scans without
a label are left out. `um_per_px`, where there is one, is the height of a pixel in micrometres. A file is a subject.

Images: beside each `NAME.png` (or .jpg, .tif, …) a `NAME.csv` as `logpose.data.boundary_tables` reads them. An image
is a subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.boundary_tables import read_boundaries
from logpose.data.flattening import ROW_UM
from logpose.data.images import SUFFIXES, read_deep
from logpose.data.matlab import has_variable, matlab_sizes, read_matlab
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
    "unlabelled_scans",
]

DUKE_SIZE, DUKE_UM = (496, 768), ROW_UM
"""Height and width of the Duke scans, and the height of their pixels in micrometres (its evaluation's own number)."""
CROSSING = 1.0  # rows that a boundary may lie above the one before it
LEAST = 16  # pixels of a side
HEIGHTS = (0.1, 100.0)  # micrometres to a pixel, at least and at most: what OCT devices have lies between
ANNOTATED = ("info", "licenses", "images", "annotations", "categories", "joints_vis")  # keys of annotation files
LARGEST = 2**28  # numbers in a variable that is read: three times the Duke set's


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
        raise InputError(f"{path}: no such file or folder")
    files = [file for file in sorted(path.iterdir()) if is_matlab(file)] if path.is_dir() else [path]
    if files and is_matlab(files[0]):
        beside = sorted(path.glob("*.csv")) if path.is_dir() else []
        problems = [Problem(str(table), "a CSV file in a folder of .mat files") for table in beside]
        found = [scan for file in files for scan in _of_matlab(file, grader, um_per_px)]
        if not found:
            raise InputError(f"{path}: no labels of grader {grader}")
        return _ordered(path, RETINA, found, problems)
    if not path.is_dir():
        raise InputError(f"{path}: expected a .mat file, or a folder of .mat files or of images with CSV files")
    if grader != 1:
        raise InputError(f"{path}: CSV files have one grader; remove --grader {grader}")
    pairs, problems = _pairs(path)
    read = [_of_table(*pair, um_per_px) for pair in pairs]
    names = read[0][1]
    for (_, table), (_, other) in zip(pairs, read, strict=True):
        if other != names:
            first = f"expected {', '.join(names)} as in {pairs[0][1].name}"
            raise InputError(f"{table}: boundaries {', '.join(other)}, {first}")
    labelled = [scan for scan, _ in read if np.isfinite(scan.rows).any()]
    if not labelled:
        raise InputError(f"{path}: no labelled boundary in any CSV file")
    empty = [table for (_, table), (scan, _) in zip(pairs, read, strict=True) if not np.isfinite(scan.rows).any()]
    problems += [Problem(str(table), "no labelled boundary") for table in empty]
    return _ordered(path, Skeleton("retina", names, flip_pairs=()), labelled, problems)


def is_matlab(file: str | Path) -> bool:
    """Whether a file's name ends as those of the Duke layout do."""
    file = Path(file)
    return file.suffix.lower() == ".mat"


def check_height(um_per_px: float | None, name: str = "um_per_px") -> None:
    """Check the height of a pixel in micrometres.

    Raises:
        InputError: if it is outside `HEIGHTS`, those of OCT devices.
    """
    if um_per_px is not None and not HEIGHTS[0] <= um_per_px <= HEIGHTS[1]:
        raise InputError(
            f"{name} must be the height of a pixel in micrometres, {HEIGHTS[0]:g} to {HEIGHTS[1]:g}, got {um_per_px:g}"
        )


def holds_scans(path: str | Path) -> bool:
    """Whether a file or folder is of B-scans: in the Duke layout, or images with CSV files and no annotation file.

    Raises:
        InputError: if a `.mat` file cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        return path.is_file() and is_matlab(path) and _is_duke(path)
    files = sorted(path.iterdir())
    if matlab := next(filter(is_matlab, files), None):
        return _is_duke(matlab)
    tables = {file.stem for file in files if file.suffix.lower() == ".csv"}
    paired = any(file.stem in tables for file in files if file.suffix.lower() in SUFFIXES)
    return paired and not any(file.suffix == ".json" and _annotates(file) for file in files)


def _annotates(file: Path) -> bool:
    """Whether a JSON file begins as annotations of images do, COCO's or MPII's: results may lie beside B-scans."""
    with file.open("rb") as opened:
        head = opened.read(4096)
    return any(f'"{key}"'.encode() in head for key in ANNOTATED)


def _is_duke(file: Path) -> bool:
    return bool({"images", "manualLayers1"} & matlab_sizes(file).keys())


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
    """Labels without the columns in which a boundary lies above one before it: predictions never do.

    Raises:
        InputError: if in a scan those are more than half: then boundaries are not named from the top down.
    """
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
    """One part of the scans: by subject, or by scan.

    Args:
        scans: all.
        part: "train" or "val".
        train_subjects: to train on; by default the second half of all (of Duke's ten 6 to 10, 55 B-scans) …
        val_subjects: … and to evaluate on; by default the first half (1 to 5).
        folds: when above 0, scans are shuffled into so many parts instead, whatever their subjects. Scans with the
            same image stay together.
        fold: the part that is evaluated on.
        seed: of the shuffling.

    Raises:
        InputError: if there are too few of either, or a subject is in both or in none.
    """
    if folds:
        if train_subjects or val_subjects:
            raise InputError("--folds does not go with --train_subjects or --val_subjects")
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
    """A B-scan in an image file, as grey values; of 16 bits such that the brightest pixel, if above 255, becomes that.

    Raises:
        InputError: if it cannot be read, is in colours, too small, or one of several in its file.
    """
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


def _of_matlab(file: Path, grader: int, um_per_px: float | None) -> list[Scan]:
    """The labelled scans of a file in the Duke layout."""
    images, layers = _matlab_images(file), _whole(file, f"manualLayers{grader}")
    if layers.ndim == 2:
        layers = layers[..., None]
    count, names = images.shape[2], RETINA.joints
    if layers.ndim != 3 or layers.shape != (len(names), images.shape[1], count):
        shape = "×".join(map(str, layers.shape))
        wanted = f"{len(names)}×{images.shape[1]}×{count}"
        raise InputError(f"{file}: manualLayers{grader} is {shape}, expected {wanted}")
    wrong = np.isinf(layers) | (layers < 1) | (layers > images.shape[0])
    if wrong.any():
        boundary, column, number = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{file}: {file.stem}-{number}, column {column} (both counted from 0): {names[boundary]} is in row "
            f"{layers[boundary, column, number]:g} of 1 to {images.shape[0]}"
        )
    um_per_px = um_per_px or _height(file, images.shape[:2])
    return [
        Scan(np.ascontiguousarray(images[..., i]), layers[..., i] - 1, f"{file.stem}-{i}", file.stem, um_per_px)
        for i in range(count)
        if np.isfinite(layers[..., i]).any()
    ]


def unlabelled_scans(file: str | Path, um_per_px: float | None = None) -> list[Scan]:
    """The B-scans of a file without labels: of an image one of its name, of a `.mat` file all, numbered from 0.

    Raises:
        InputError: if it cannot be read.
    """
    file = Path(file)
    if not is_matlab(file):
        image = _grey(file)
        return [Scan(image, np.empty((0, image.shape[1])), file.stem, file.stem, um_per_px)]
    images = _matlab_images(file)
    height, nothing = um_per_px or _height(file, images.shape[:2]), np.empty((0, images.shape[1]))
    return [
        Scan(np.ascontiguousarray(images[..., i]), nothing, f"{file.stem}-{i}", file.stem, height)
        for i in range(images.shape[2])
    ]


def _height(file: Path, size: tuple[int, ...]) -> float | None:
    """Micrometres to a row: that of a `.mat` file, or of scans of the Duke size theirs."""
    if has_variable(file, "um_per_px"):
        given = _whole(file, "um_per_px").reshape(-1)
        if len(given) != 1:
            raise InputError(f"{file}: um_per_px has {len(given)} numbers, expected one")
        check_height(float(given[0]), f"{file}: um_per_px")
        return float(given[0])
    return DUKE_UM if size == DUKE_SIZE else None


def _matlab_images(file: Path) -> UInt8[np.ndarray, "H W N"]:
    """The B-scans of a file in the Duke layout, labelled or not.

    Raises:
        InputError: if there are none.
    """
    images = _whole(file, "images")
    images = images[..., None] if images.ndim == 2 else images
    if images.ndim != 3 or min(images.shape[:2]) < LEAST or max(images.shape[:2]) > 8192 or not images.shape[2]:
        raise InputError(f"{file}: images must be height × width × number, got {'×'.join(map(str, images.shape))}")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 255):
        raise InputError(f"{file}: images must have values 0 to 255")
    if 0 < images.max() <= 1:
        raise InputError(f"{file}: images have values 0 to 1, expected 0 to 255")
    pixels: UInt8[np.ndarray, "H W N"] = np.rint(images).astype(np.uint8)
    return pixels


def _whole(file: Path, name: str) -> np.ndarray:
    """A variable that is not too large to be read."""
    size = matlab_sizes(file).get(name, ())
    if np.prod([float(side) for side in size]) > LARGEST:
        raise InputError(f"{file}: {name} is {'×'.join(map(str, size))}, more than {LARGEST:,} numbers")
    return read_matlab(file, name)


def _of_table(file: Path, table: Path, um_per_px: float | None) -> tuple[Scan, tuple[str, ...]]:
    """An image and its boundaries, and their names."""
    image = _grey(file)
    rows, names = read_boundaries(table, image.shape, file.name)
    return Scan(image, rows, file.stem, file.stem, um_per_px), names
