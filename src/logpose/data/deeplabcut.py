"""DeepLabCut: the labels of a project, of a video, or of a file, as COCO's lists.

A project has `config.yaml`, and in `labeled-data` a folder of images for each video, with `CollectedData_SCORER.csv`
(and `.h5`, which is read where there is no CSV). Body parts are labelled or not, never hidden. In projects of several
animals, body parts that there is but one of ("single") are a category of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.data.deeplabcut_tables import LabelTable, read_table
from logpose.data.images import most_found
from logpose.data.label_content import HDF5, LabelContent, add_joints
from logpose.data.yaml_files import yaml_table

__all__ = ["read", "reads"]

LABELS, FILES = "labeled-data", "CollectedData_*"
SINGLE = "single"  # the individual that has the body parts that there is but one of


def reads(path: str | Path) -> bool:
    """Whether a path is DeepLabCut's: a project, `labeled-data`, a folder in it, or a table."""
    path = Path(path)
    if path.is_dir():
        return bool(_files(path))
    if not path.is_file() or not (path.suffix.lower() == ".csv" or (path.suffix == ".h5" and path.match(FILES))):
        return False
    with path.open("rb") as stream:
        begin = stream.read(len(HDF5) + 3).removeprefix(b"\xef\xbb\xbf").removeprefix(b'"')  # Excel's quotes
    return begin.startswith(HDF5 if path.suffix == ".h5" else b"scorer")


def read(path: str | Path) -> LabelContent:
    """The labels of a project, of a folder, or of a table.

    Images are named from the project's folder, and looked for beside the table too. Where several people labelled a
    video, the scorer of `config.yaml` is taken.

    Raises:
        InputError: if a table cannot be read (see `read_table`), or has no labels; if `config.yaml` is malformed; if
            there are several scorers to choose from.
    """
    path = Path(path)
    files = _files(path) if path.is_dir() else [path]
    root = _root(files[0])
    settings = root / "config.yaml"
    config = yaml_table(settings, "DeepLabCut's settings", aliases=True) if settings.is_file() else {}
    content = LabelContent(folder=root)
    tables = _of_one_scorer(path, [(file, read_table(file)) for file in files], config, content)
    categories = _categories(root, config, [table for _, table in tables], content)
    for file, table in tables:
        content.problems += table.problems
        _read_images(file, table, categories, content)
    if not content.annotations:
        first = f"; the first wrong row: {content.problems[0]}" if content.problems else ""
        raise InputError(f"{path}: no labelled body parts{first}")
    content.categories = [category.row for category in categories.values()]
    return content


@dataclass
class _Category:
    """The body parts of the animals, or those that there is but one of."""

    row: dict[str, Any]
    places: dict[str, int] = field(default_factory=dict)
    """Of each body part among the joints."""


def _files(folder: Path) -> list[Path]:
    """The tables of a folder; of a CSV file and an HDF5 file of the same name the CSV file."""
    videos = folder / LABELS if (folder / LABELS).is_dir() else folder
    inner = f"*/{FILES}" if videos.name == LABELS else FILES
    tables = {file.with_suffix(""): file for suffix in ("h5", "csv") for file in videos.glob(f"{inner}.{suffix}")}
    return sorted(tables.values())


def _root(file: Path) -> Path:
    """The project's folder; the table's own where it is in none."""
    absolute = file.absolute()
    return next((folder for folder in absolute.parents[:5] if (folder / LABELS).is_dir()), absolute.parent)


def _of_one_scorer(
    path: Path, tables: list[tuple[Path, LabelTable]], config: dict[str, Any], content: LabelContent
) -> list[tuple[Path, LabelTable]]:
    """The tables of the scorer of a project, if several labelled a video."""
    folders = [file.parent for file, _ in tables]
    if len({*folders}) == len(folders):
        return tables
    kept = [(file, table) for file, table in tables if table.scorer == config.get("scorer")]
    if len({file.parent for file, _ in kept}) < len({*folders}) or len(kept) > len({*folders}):
        scorers = ", ".join(dict.fromkeys(table.scorer for _, table in tables))
        raise InputError(f"{path}: a video with labels of several scorers ({scorers}); leave one, or name a file")
    left = sum(len(table.rows) for file, table in tables if (file, table) not in kept)
    content.counts["of other annotators"] += left
    return kept


def _names(values: Any) -> list[str]:
    """Names of body parts in the settings; none where they are of another form."""
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        return []
    return [str(value) for value in values]


def _categories(
    root: Path, config: dict[str, Any], tables: Sequence[LabelTable], content: LabelContent
) -> dict[bool, _Category]:
    """Categories by whether they are of body parts that there is but one of, with joints as the settings order them."""
    parts: dict[bool, list[str]] = {}
    order = [*_names(config.get("multianimalbodyparts")), *_names(config.get("bodyparts"))]
    for table in tables:
        for individual, part in table.points:
            parts.setdefault(individual == SINGLE, []).append(part)
    listed = config.get("skeleton")
    bones = [_names(bone) for bone in listed if isinstance(bone, list)] if isinstance(listed, list) else []
    categories: dict[bool, _Category] = {}
    for single in sorted(parts):
        known = dict.fromkeys(parts[single])
        joints = list(dict.fromkeys([*(part for part in order if part in known), *known]))
        row = {"id": len(categories) + 1, "name": SINGLE if single else "animal", "keypoints": joints}
        drawn = [bone for bone in bones if len(bone) == 2 and {*bone} <= known.keys()]
        categories[single] = _Category(row | {"skeleton": drawn}, {part: i for i, part in enumerate(joints)})
    every = {part for own in parts.values() for part in own}
    if unknown := sorted({part for bone in bones for part in bone} - every):
        content.notes.append(
            f"{root / 'config.yaml'}: bones of {', '.join(unknown)}, which have no labels, are left out"
        )
    return categories


def _read_images(file: Path, table: LabelTable, categories: dict[bool, _Category], content: LabelContent) -> None:
    """Add the images of a table and the animals in them."""
    columns: dict[str, list[int]] = {}
    for i, (individual, _) in enumerate(table.points):
        columns.setdefault(individual, []).append(i)
    names = _image_names(file, list(table.rows), content.folder)
    for name, (where, positions) in zip(names, table.rows.values(), strict=True):
        if np.isnan(positions).all():  # DeepLabCut leaves such rows out, too
            content.counts["images without labels"] += 1
            continue
        number, before = len(content.images) + 1, len(content.annotations)
        for individual, own in columns.items():
            category = categories[individual == SINGLE]
            joints = np.zeros((len(category.places), 3))
            for i in own:
                if not np.isnan(positions[i]).any():
                    joints[category.places[table.points[i][1]]] = [*positions[i], 2]
            if joints.any():
                place = f"{where}, {individual}" if individual else where
                add_joints(content, number, category.row["id"], place, joints)
        if len(content.annotations) > before:  # an image whose animals have no box is not one without animals
            content.images.append({"id": number, "file_name": name})


def _image_names(file: Path, names: Sequence[str], root: Path) -> list[str]:
    """The images of a table as paths that `root` resolves: where most of the first ones are.

    Tables name images from the project's folder. Where a folder was copied out of it, they lie beside the table.
    """
    depths = (3, 2, 1)  # parts of a name, from its end
    folders = list(dict.fromkeys([root, *file.absolute().parents[:3]]))
    parts = [PurePosixPath(name).parts for name in names]
    choices = [(folder, depth) for depth in depths for folder in folders]

    def files(choice: tuple[Path, int]) -> list[Path]:
        return [choice[0].joinpath(*part[-choice[1] :]) for part in parts]

    chosen = files(most_found(choices, files))
    return [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in chosen]
