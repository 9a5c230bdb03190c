"""SLEAP: the labels of a `.slp` file as COCO's lists, read by sleap-io (an extra).

Instances that a person placed are labels; predicted ones are counted. Points that are not visible are not labels, as in
SLEAP's own training. Frames are image files where the project has a list of images. Frames of a video, and those that a
package (`.pkg.slp`) holds, are no files: `extract_frames` writes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from logpose.core.errors import InputError
from logpose.data.label_content import HDF5, LabelContent, add_joints
from logpose.data.problems import Problem

__all__ = ["extract_frames", "read", "reads"]

LARGEST = 2**30  # bytes of a dataset that are no frames; a small file may declare more than a machine has memory for


def reads(path: str | Path) -> bool:
    """Whether a file is SLEAP's, by its suffix and its first bytes."""
    path = Path(path)
    if path.suffix.lower() != ".slp" or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(HDF5)) == HDF5


def read(path: str | Path) -> LabelContent:
    """The labels of a file whose frames are image files.

    Images that are not at their path in the file are looked for beside it, by the last parts of their names.

    Raises:
        InputError: if sleap-io is not installed; if the file is damaged, or has no labels; if its frames are in a video
            or in the file itself.
    """
    path = Path(path)

    def image_of(video: Any, number: int, _folder: str) -> str:
        if not _has_files(video):
            raise InputError(
                f"{path}: frames are in a video or in the file itself; `logpose convert-labels {path} OUT --to coco` "
                "writes them as images"
            )
        return _listed(video, number, path)

    return _content(path, path.parent, image_of)


def extract_frames(path: str | Path, out: str | Path) -> LabelContent:
    """The labels of a file, and its labelled frames of videos as images (PNG) in a folder.

    Args:
        path: the file.
        out: the folder, which is made; frames are `video0/000012.png` in it. Images of lists stay where they are.

    Raises:
        InputError: as `read`; if none of the frames can be read.
    """
    path, out = Path(path), Path(out)

    def image_of(video: Any, number: int, folder: str) -> str:
        if _has_files(video):
            return str(Path(path.parent, _listed(video, number, path)).absolute())
        name = f"{folder}/{number:06d}.png"
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(_png(video, number, path))
        return name

    return _content(path, out, image_of)


def _content(path: Path, folder: Path, image_of: Callable[[Any, int, str], str]) -> LabelContent:
    """The labels of a file; `image_of` names the image of a video's frame."""
    labels = _loaded(path)
    content = LabelContent(folder=folder)
    ids: dict[str, int] = {}  # of categories
    seen: set[str] = set()
    for frame in labels.labeled_frames:
        place = labels.videos.index(frame.video)
        where = f"{path}: video {place}, frame {frame.frame_idx}"
        people = frame.user_instances
        content.counts["predictions"] += len(frame.predicted_instances)
        if not people and not frame.is_negative:
            content.counts["frames without labels"] += 1
            continue
        try:
            name = image_of(frame.video, int(frame.frame_idx), f"video{place}")
        except InputError:
            raise
        except Exception as error:  # whatever a decoder raises
            content.problems.append(Problem(where, "its image cannot be read", f"{error!s:.300}"))
            continue
        if name in seen:
            content.problems.append(Problem(where, "its image has labels already", name))
            continue
        seen.add(name)
        number, before = len(content.images) + 1, len(content.annotations)
        for i, person in enumerate(people):
            category = ids.setdefault(person.skeleton.name, len(ids) + 1)
            if category > len(content.categories):
                content.categories.append(_category(person.skeleton, category))
            _add(content, number, category, f"{where}, instance {i}", person)
        if len(content.annotations) > before or not people:
            content.images.append({"id": number, "file_name": name})
    if not content.annotations:
        first = f"; the first wrong row: {content.problems[0]}" if content.problems else ""
        raise InputError(f"{path}: no instances that a person placed{first}")
    content.counts = +content.counts
    return content


def _add(content: LabelContent, image: int, category: int, where: str, person: Any) -> None:
    """Add an instance, if its points span a box."""
    points = np.asarray(person.points["xy"], dtype=np.float64)
    visible = np.asarray(person.points["visible"]) & ~np.isnan(points).any(axis=1)
    joints = np.column_stack([np.where(visible[:, None], points, 0), 2.0 * visible])
    if len(joints) != len(content.categories[category - 1]["keypoints"]):
        content.problems.append(Problem(where, "a skeleton of the name of another"))
        return
    add_joints(content, image, category, where, joints)


def _category(skeleton: Any, number: int) -> dict[str, Any]:
    row = {"id": number, "name": skeleton.name or "object", "keypoints": list(skeleton.node_names)}
    row["skeleton"] = [list(edge) for edge in skeleton.edge_names]
    if pairs := [list(pair) for pair in skeleton.symmetry_names]:
        row["flip_pairs"] = pairs
    return row


def _loaded(path: Path) -> Any:
    """The content of a file. sleap-io reads HDF5 and JSON, and executes nothing; videos are not opened."""
    try:
        import h5py
        import sleap_io
    except ImportError as error:
        raise InputError(f"{path}: SLEAP's files need sleap-io: pip install 'logpose-keypoints[sleap]'") from error
    try:
        with h5py.File(path, "r") as opened:
            _check(opened)
        return sleap_io.load_slp(str(path), open_videos=False)
    except Exception as error:  # whatever sleap-io raises of a damaged file
        raise InputError(f"{path}: not a readable SLEAP file ({error!s:.120})") from error


def _check(group: Any) -> None:
    """Refuse a file that refers to others, or declares datasets larger than memory."""
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")  # noqa: TRY004
        found = group[name]
        if isinstance(found, h5py.Group):
            _check(found)
        elif found.external or found.is_virtual or (name != "video" and found.nbytes > LARGEST):
            raise ValueError(f"{found.name} is in another file, or too large")


def _has_files(video: Any) -> bool:
    """Whether a video is a list of whole images."""
    return isinstance(video.filename, list) and not video.is_cropped


def _listed(video: Any, number: int, path: Path) -> str:
    """The image of a frame of a list: its path in the list, or its last parts beside the file."""
    name = str(video.filename[number])
    parts = [part for part in re.split(r"[\\/]+", name) if part not in ("", ".", "..")]
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    is_file = os.path.isfile  # not Path.is_file, which raises where a name is longer than any file's may be
    return next((place for place in (name, *tails) if is_file(path.parent / place)), name)


def _png(video: Any, number: int, path: Path) -> bytes:
    """A frame of a video, or of the file, as PNG."""
    if not isinstance(video.filename, str) or not Path(video.filename).is_file():  # nothing is fetched
        beside = path.parent / Path(str(video.filename)).name
        if isinstance(video.filename, list) or not beside.is_file():
            raise FileNotFoundError(f"{video.filename!s:.200}: no such file")
        video.replace_filename(str(beside), open=False)
    if not video.is_open:
        video.open()
    pixels = np.asarray(video[number])
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"an image of {pixels.shape}, {pixels.dtype}")
    good, data = cv2.imencode(".png", pixels[..., ::-1])
    if not good:
        raise ValueError("cannot be written as PNG")
    return data.tobytes()
