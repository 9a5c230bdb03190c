"""Annotation files of every format: which file of a folder belongs to which part, and its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from logpose.core.categories import with_pairs
from logpose.core.errors import InputError
from logpose.core.messages import missing
from logpose.core.skeletons import Skeleton
from logpose.data.categories import skeleton_of
from logpose.data.coco import CocoKeypoints, coco_content
from logpose.data.h36m import H36mPeople
from logpose.data.label_formats import format_of, read_labels
from logpose.data.lsp import LspPeople
from logpose.data.mpii import MpiiOfCoco, MpiiPeople, heads_file
from logpose.data.parts import parts_of

__all__ = ["LabelledPeople", "annotation_files", "open_people", "skeleton_in", "test_file"]

LabelledPeople = CocoKeypoints | LspPeople | MpiiPeople | H36mPeople
"""Labelled people of a file, with its problems."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
ROBOFLOW = "_annotations.coco.json"
"""The file in each of the folders train, valid and test of a COCO export of Roboflow."""
LOOK = 2**16  # bytes of a file that are read to detect its format; files of the last format can have a gigabyte


def open_people(
    file: str | Path,
    images: str | Path | None = None,
    strict: bool = False,
    part: str | None = None,
    category: str | None = None,
    pairs: Sequence[str] | None = None,
    like: Skeleton | None = None,
    depth: bool = False,
    need_images: bool = True,
) -> LabelledPeople:
    """The labelled people of an annotation file, whose format is detected from its content.

    Args:
        file: COCO keypoints (a JSON object; MPII as the paper's released code has it, if its heads lie beside), MPII as
            HRNet has it (a JSON list), LSP (`joints.mat`), or Human3.6M as the released code has it (a JSON object of
            images with `cam_param`).
        images: the folder with its images; when None, the usual places beside the file are tried.
        strict: refuse the file if any row is wrong.
        part: "train" or "val", when one file has to serve as both; None takes all.
        category: of a COCO file in which several categories have joints of their own, the name of one, or those of
            several separated by commas, or "all": see `categories.skeleton_of`.
        pairs: left-right pairs of joints beside those that are known, see `Skeleton.with_pairs`.
        like: the skeleton of a model to measure, which decides among the categories of such a file, and of several
            gives the order of their joints.
        depth: whether keypoints of a COCO file are x, y, z, v: z is the depth in millimetres, relative to the root
            joint or not (`coco_people.relative_depths`).
        need_images: whether images have to be there, with the size that their rows give. If False they are not looked
            at, where labels are COCO's or a tool's; other readers look at them all the same.

    Raises:
        InputError: if the file is missing, is none of these, has no labelled people, (`strict`) has a wrong row, or
            has no categories to choose from, or no depth; if a file of heads is wrong, or has other people's; if a
            pair names no joints.
    """
    people = _opened(Path(file), images, strict, part, category, like, depth, need_images)
    if pairs is not None:
        people.skeleton = with_pairs(people.skeleton, pairs)
    return people


def skeleton_in(file: str | Path, category: str | None = None) -> Skeleton:
    """The skeleton that people of a file with categories get, of any format that has these; without looking at rows.

    Raises:
        InputError: if it cannot be read, or there is no such category.
    """
    file = Path(file)
    name = format_of(file)
    categories = coco_content(file)["categories"] if name is None else read_labels(file, name).categories
    return skeleton_of(file, categories, category)[0]


def _opened(
    file: Path,
    images: str | Path | None,
    strict: bool,
    part: str | None,
    category: str | None,
    like: Skeleton | None,
    depth: bool,
    need_images: bool,
) -> LabelledPeople:
    """The labelled people of a file, by the reader of its format."""
    opened: LabelledPeople
    if (name := format_of(file)) is not None:
        return CocoKeypoints(file, images, strict, part, category, read_labels(file, name), like, depth, need_images)
    begin = b""
    if file.suffix != ".mat" and file.is_file():  # a missing file is reported by its reader
        with file.open("rb") as stream:
            begin = stream.read(LOOK).removeprefix(b"\xef\xbb\xbf").lstrip()
    in_space = b'"cam_param"' in begin or b'"keypoints_world"' in begin  # whichever of its two lists comes first
    if file.suffix == ".mat":
        opened = LspPeople(file, images, strict, part)
    elif begin.startswith(b"["):
        opened = MpiiPeople(file, images, strict, part)
    elif in_space and b'"categories"' not in begin:
        opened = H36mPeople(file, images, strict, part)
    else:
        reader = MpiiOfCoco if heads_file(file.parent) else CocoKeypoints
        return reader(file, images, strict, part, category, like=like, depth=depth, need_images=need_images)
    if category is not None:
        raise InputError(f"{file}: no categories in this format; remove --category")
    if depth:
        raise InputError(f"{file}: keypoints of this format are not x, y, z, v; remove --depth")
    return opened


def annotation_files(data: str | Path) -> dict[str, Path]:
    """The annotation file of each part ("train", "val") of a data set; the same file twice if it has but one.

    Args:
        data: a file, or a folder with one or more of them in it or in its `annotations` (`annot`), or in its `train`
            and `valid` as Roboflow exports them.

    Raises:
        InputError: if there is none, or several of one part; if it is an archive.
    """
    data = Path(data)
    if not (data.is_file() or data.is_dir()):
        raise InputError(missing(data))
    if data.is_file() and data.suffix.lower() in ARCHIVES:
        raise InputError(f"{data}: is an archive; unpack it, and name the folder")
    if data.is_file() or format_of(data):
        return {"train": data, "val": data}
    if (data / "train" / ROBOFLOW).is_file():
        own = [data / name / ROBOFLOW for name in ("train", "valid", "val")]
        return {"train": own[0], "val": next((file for file in own[1:] if file.is_file()), own[0])}
    folder = next((data / name for name in ("annotations", "annot") if (data / name).is_dir()), data)
    if (folder / "joints.mat").is_file():
        return {"train": folder / "joints.mat", "val": folder / "joints.mat"}
    files = sorted(folder.glob("*.json")) or sorted(folder.glob("*.xml"))
    files = [file for file in files if file.name.startswith("person_keypoints")] or files
    if not files and (data / "labels").is_dir():
        raise InputError(f"{data}: no annotation file; labels of YOLO need a data.yaml (train, val, names, kpt_shape)")
    if len(files) == 1:
        return {"train": files[0], "val": files[0]}
    files = [file for file in files if "trainval" not in file.stem]  # MPII's both parts in one
    in_space = [file for file in files if "Human36M" in file.stem]  # Sample_64_test_Human36M_protocol_2 and the like
    files = in_space or files
    names = {"train": "train", "val": "test" if in_space else "val"}
    parts = {part: [file for file in files if name in parts_of(file.stem)] for part, name in names.items()}
    for part, found in parts.items():
        if len(found) != 1:
            listed = ", ".join(file.name for file in found or files) or "no .json file"
            raise InputError(f"{folder}: expected one annotation file with {names[part]!r} in its name, got {listed}")
    return {part: found[0] for part, found in parts.items()}


def test_file(files: Mapping[str, Path]) -> Path | None:
    """The annotation file of a third part, which is neither trained on nor measured unless it is named.

    Args:
        files: those of the other two, as of `annotation_files`.
    """
    own = files["train"]
    if own.name == ROBOFLOW:
        beside = own.parent.parent / "test" / ROBOFLOW
        return beside if beside.is_file() else None
    found = [file for file in sorted(own.parent.glob(f"*{own.suffix}")) if parts_of(file.stem) == {"test"}]
    if own.name.startswith("person_keypoints"):  # COCO's own lists of test images have other names
        found = [file for file in found if file.name.startswith("person_keypoints")]
    return found[0] if len(found) == 1 and found[0] not in files.values() else None
