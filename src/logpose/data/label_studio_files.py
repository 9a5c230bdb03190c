"""Label Studio's files: lists of tasks, labelling configs, and the images that tasks refer to."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

from logpose.core.errors import InputError
from logpose.core.json_files import read_json
from logpose.data.images import SUFFIXES, UPLOADED

__all__ = ["image_of", "labelling_config", "read_labelling_config", "read_tasks", "reference"]

DEEPEST = 16  # parts of a path, from its end, that are looked for
SERVED = "/data/local-files/?d="  # where Label Studio serves files of its machine


def read_tasks(path: str | Path) -> list[Any]:
    """The tasks of an export; rows of JSON-MIN, one for each annotation, become tasks.

    Raises:
        InputError: if it is no JSON list.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a list of tasks, as Label Studio exports")
    tasks: list[Any] = []
    flat: dict[Any, dict[str, Any]] = {}
    for row in content:
        if not isinstance(row, dict) or "annotations" in row or "annotation_id" not in row:
            tasks.append(row)
            continue
        regions = [item for value in row.values() if isinstance(value, list) for item in value]
        result = [
            {"value": item, **{key: item.get(key) for key in ("original_width", "original_height")}}
            for item in regions
            if isinstance(item, dict) and "original_width" in item
        ]
        times = {key: row.get(key) for key in ("created_at", "updated_at")}
        data = {key: value for key, value in row.items() if isinstance(value, str)}
        key = str(row.get("id"))
        if key not in flat:
            flat[key] = {"id": row.get("id"), "data": data, "annotations": []}
            tasks.append(flat[key])
        flat[key]["annotations"].append({"id": row["annotation_id"], "result": result, **times})
    return tasks


def read_labelling_config(folder: str | Path) -> tuple[list[str], str | None]:
    """The order of the joints, and the key of the image, in the labelling config of a folder; none where it has none.

    Raises:
        InputError: if a config is no XML, has a DOCTYPE, or there are several of different joints.
    """
    found: dict[tuple[str, ...], tuple[str, str | None]] = {}
    for file in sorted(Path(folder).glob("*.xml")):
        data = file.read_bytes() if file.is_file() else b""
        if b"<KeyPointLabels" not in data:
            continue
        try:
            root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_NoDoctype()))
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise InputError(f"{file}: no labelling config ({error})") from error
        labels = [label.attrib for tag in root.iter("KeyPointLabels") for label in tag.iter("Label")]
        places = [label.get("model_index", "") for label in labels]
        if all(map(str.isdecimal, places)):
            labels = [label for _, label in sorted(zip(map(int, places), labels, strict=True), key=lambda row: row[0])]
        names = tuple(dict.fromkeys(label.get("alias") or label.get("value", "") for label in labels))
        keys = [tag.get("value", "").removeprefix("$") for tag in root.iter("Image")]
        found[names] = file.name, keys[0] if len(keys) == 1 else None
    if len(found) > 1:
        files = ", ".join(name for name, _ in found.values())
        raise InputError(f"{folder}: labelling configs with different keypoints ({files}); leave one beside the export")
    return next(((list(names), key) for names, (_, key) in found.items()), ([], None))


def image_of(task: dict[str, Any], folder: str | Path, key: str | None = None) -> str | None:
    """The image of a task as a path that `folder` resolves, None where it has none.

    Images are never fetched: the last parts of a path or URL are looked for in `folder`, in `images` in it and in
    `images` beside it, at last without the eight digits that Label Studio puts before the names of uploaded files.
    Where no such file is there, it is the path of the reference.

    Args:
        task: with `data`.
        folder: where the export lies.
        key: of `data`; when None, `image` or `img`, or the only one whose value ends as an image's name does.
    """
    data = _data(task)
    known = [data[name] for name in (key or "", "image", "img") if isinstance(data.get(name), str)]
    like = [text for text in data.values() if isinstance(text, str) and _path_of(text).lower().endswith(SUFFIXES)]
    path = _path_of((known or (like if len(like) == 1 else [""]))[0])
    parts = [part for part in re.split(r"[\\/]+", path) if part not in ("", ".", "..")][-DEEPEST:]
    if not parts:
        return None
    root, is_file = Path(folder), os.path.isfile  # not Path.is_file, which raises where a name is too long
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    names = [path] if path.startswith("/") else []
    for tail in (*tails, UPLOADED.sub("", parts[-1])):
        names += [tail, f"images/{tail}", str(root.parent / "images" / tail)]
    return next((name for name in names if is_file(root / name)), tails[0])


def reference(name: str) -> str:
    """How a task refers to an image that Label Studio serves from its machine (below LOCAL_FILES_DOCUMENT_ROOT)."""
    return SERVED + quote(Path(name).as_posix())


def labelling_config(categories: Sequence[dict[str, Any]]) -> bytes:
    """A labelling config with the categories as rectangles, and their joints in order."""
    root = ElementTree.Element("View")
    ElementTree.SubElement(root, "Image", name="image", value="$image")
    boxes = ElementTree.SubElement(root, "RectangleLabels", name="box", toName="image")
    joints = ElementTree.SubElement(root, "KeyPointLabels", name="joint", toName="image")
    for category in categories:
        ElementTree.SubElement(boxes, "Label", value=category["name"])
    names = dict.fromkeys(name for category in categories for name in category.get("keypoints", ()))
    for i, name in enumerate(names):
        ElementTree.SubElement(joints, "Label", value=name, model_index=str(i))
    flags = ElementTree.SubElement(
        root, "Choices", name="visibility", toName="image", perRegion="true", whenTagName="joint"
    )
    ElementTree.SubElement(flags, "Choice", value="hidden")
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8"))


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a DOCTYPE, and with it entities, which may expand to gigabytes or name other files."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        raise ValueError(f"has a DOCTYPE, {name}")


def _data(task: Any) -> dict[str, Any]:
    data = task.get("data") if isinstance(task, dict) else None
    return data if isinstance(data, dict) else {}


def _path_of(text: str) -> str:
    """The path in a reference to an image: a URL, also of Label Studio's own server, or a path."""
    if text.startswith("data:"):
        return ""
    scheme, separator, _ = text.partition("://")
    if not (separator and scheme.isalnum()) and not text.startswith("/data/"):
        return text
    try:
        address = urlsplit(text)
    except ValueError:  # brackets that are no address
        return text
    local = parse_qs(address.query).get("d")
    return local[0] if local else f"{address.netloc}{unquote(address.path)}"
