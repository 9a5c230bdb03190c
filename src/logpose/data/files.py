"""Annotation files of every format: which of a folder's belongs to which part, and who reads it."""

from __future__ import annotations

from pathlib import Path

from logpose.data.coco import CocoKeypoints
from logpose.data.lsp import LspPeople
from logpose.data.mpii import MpiiPeople
from logpose.structures import InputError

__all__ = ["LabelledPeople", "annotation_files", "open_people"]

LabelledPeople = CocoKeypoints | LspPeople | MpiiPeople
"""People with labels from a file, and what is wrong with it."""


def open_people(
    file: Path, images: Path | None = None, strict: bool = False, part: str | None = None
) -> LabelledPeople:
    """The labelled people of an annotation file; its content tells the format.

    Args:
        file: COCO keypoints (a JSON object), MPII as HRNet has it (a JSON list), or LSP (`joints.mat`).
        images: the folder with its pictures; when None, the usual places beside the file are tried.
        strict: refuse the file if any row is wrong.
        part: "train" or "val", when one file has to serve as both; None takes all.

    Raises:
        InputError: if the file is missing, is none of these, holds nobody, or (`strict`) has a wrong row.
    """
    if file.suffix == ".mat":
        return LspPeople(file, images, strict, part)
    return (MpiiPeople if _is_list(file) else CocoKeypoints)(file, images, strict, part)


def _is_list(file: Path) -> bool:
    if not file.is_file():
        return False  # the reader will say so
    with file.open("rb") as opened:
        return opened.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def annotation_files(data: Path) -> dict[str, Path]:
    """The annotation file of each part ("train", "val") of a data set; the same file twice if it has but one.

    Args:
        data: a file, or a folder with one or more of them in it or in its `annotations` (`annot`).

    Raises:
        InputError: if there is none, or several that nothing tells apart.
    """
    if not data.exists():
        raise InputError(f"{data}: no such file or folder")
    if data.is_file():
        return {"train": data, "val": data}
    folder = next((data / name for name in ("annotations", "annot") if (data / name).is_dir()), data)
    if (folder / "joints.mat").is_file():
        return {"train": folder / "joints.mat", "val": folder / "joints.mat"}
    files = sorted(folder.glob("*.json"))
    files = [file for file in files if file.name.startswith("person_keypoints")] or files
    if len(files) == 1:
        return {"train": files[0], "val": files[0]}
    files = [file for file in files if "trainval" not in file.stem]  # MPII's both parts in one
    parts = {part: [file for file in files if part in file.stem] for part in ("train", "val")}
    for part, found in parts.items():
        if len(found) != 1:
            listed = ", ".join(file.name for file in found or files) or "no .json file"
            raise InputError(f"{folder}: needs one annotation file with {part!r} in its name, has {listed}")
    return {part: found[0] for part, found in parts.items()}
