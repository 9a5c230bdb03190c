"""Labels as "CVAT for images 1.1", with skeletons, and the labels of a task that takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from logpose.core.skeletons import Skeleton
from logpose.data.label_content import LabelContent

__all__ = ["write"]

VIEW = 100  # width and height of a skeleton's drawing


def write(content: LabelContent, out: str | Path, predictions: bool = False) -> None:
    """Write `annotations.xml`, whose images lie in `out/images` already, and `labels.json`.

    `labels.json` is for CVAT's raw editor of a new task's labels. A person is a skeleton and, in the same group, a
    box; joints with v = 0 are `outside`, with v = 1 `occluded`. Images of parts have these as their subsets. Crowds
    are left out.

    Args:
        content: the labels, with `width` and `height` of each image.
        out: the folder.
        predictions: of a model (`source="auto"`): the third value of a joint is its confidence, 0 where it is left out.
    """
    out = Path(out)
    root = ElementTree.Element("annotations")
    _add(root, "version", "1.1")
    labels = [_labels(category, content) for category in content.categories]
    described = _add(_add(_add(root, "meta"), "task"), "labels")
    for own in labels:
        for label in own:
            node = _add(described, "label")
            for key in ("name", "type", "attributes", "svg", "parent"):
                if key in label:
                    _add(node, key, "" if key == "attributes" else label[key])
    names = {row["id"]: own for row, own in zip(content.categories, labels, strict=True)}
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in content.annotations:
        if not row.get("iscrowd"):
            rows.setdefault(row["image_id"], []).append(row)
    source, group = "auto" if predictions else "manual", 0
    for number, image in enumerate(content.images):
        name = (out / image["file_name"]).relative_to(out / "images").as_posix()
        size = {side: str(image[side]) for side in ("width", "height")}
        subset = {"subset": content.parts[image["id"]]} if image["id"] in content.parts else {}
        node = ElementTree.SubElement(root, "image", {"id": str(number), "name": name, **subset, **size})
        for row in rows.get(image["id"], []):
            group += 1
            skeleton, box, *joints = names[row["category_id"]]
            common = {"source": source, "group_id": str(group), "z_order": "0"}
            shape = ElementTree.SubElement(node, "skeleton", {"label": skeleton["name"], **common})
            triplets = np.array(row["keypoints"], dtype=np.float64).reshape(-1, 3)
            for joint, (x, y, visible) in zip(joints, triplets.tolist(), strict=True):
                flags = {"outside": str(int(visible <= 0)), "occluded": str(int(visible == 1 and not predictions))}
                point = {"label": joint["name"], "source": source, **flags, "points": f"{x:.2f},{y:.2f}"}
                ElementTree.SubElement(shape, "points", point)
            x, y, width, height = row["bbox"]
            corners = {"xtl": x, "ytl": y, "xbr": x + width, "ybr": y + height}
            place = {key: f"{value:.2f}" for key, value in corners.items()}
            ElementTree.SubElement(node, "box", {"label": box["name"], "occluded": "0", **common, **place})
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(out / "annotations.xml", encoding="utf-8", xml_declaration=True)
    raw = []
    for skeleton, box, *joints in labels:
        parts = [{key: joint[key] for key in ("name", "type", "attributes")} for joint in joints]
        raw += [skeleton | {"sublabels": parts}, box]
    (out / "labels.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")


def _add(parent: ElementTree.Element, tag: str, text: str | None = None) -> ElementTree.Element:
    node = ElementTree.SubElement(parent, tag)
    node.text = text
    return node


def _labels(category: dict[str, Any], content: LabelContent) -> list[dict[str, Any]]:
    """The labels of a category: the skeleton's, the box's, and those of its joints."""
    skeleton, name = Skeleton.from_category(category), str(category["name"])
    places = _layout(len(skeleton), [row for row in content.annotations if row["category_id"] == category["id"]])
    lines = [
        f'<line x1="{places[a, 0]:.1f}" y1="{places[a, 1]:.1f}" x2="{places[b, 0]:.1f}" y2="{places[b, 1]:.1f}" '
        f'stroke="black" data-type="edge" data-node-from="{a + 1}" stroke-width="0.5" data-node-to="{b + 1}"></line>'
        for a, b in skeleton.bones
    ]
    circles = [
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x:.1f}" cy="{y:.1f}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{joint}" data-node-id="{joint}" data-label-name="{_quoted(label)}">'
        "</circle>"
        for joint, ((x, y), label) in enumerate(zip(places.tolist(), skeleton.joints, strict=True), start=1)
    ]
    common: dict[str, Any] = {"attributes": []}
    whole = {"name": name, "type": "skeleton", **common, "svg": "".join([*lines, *circles])}
    joints = [{"name": label, "type": "points", **common, "parent": name} for label in skeleton.joints]
    return [whole, {"name": f"{name} box", "type": "rectangle", **common}, *joints]


def _quoted(text: str) -> str:
    """Text within an attribute's quotes."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(count: int, rows: list[dict[str, Any]]) -> Float[np.ndarray, "K 2"]:
    """Where joints are drawn: at their mean place in people's boxes, in the middle where nobody has them."""
    triplets = np.array([row["keypoints"] for row in rows], dtype=np.float64).reshape(-1, count, 3)
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 1, 4)
    known = (triplets[..., 2:] > 0) & (boxes[..., 2:] > 0).all(axis=-1, keepdims=True)
    within = np.clip((triplets[..., :2] - boxes[..., :2]) / np.where(boxes[..., 2:] > 0, boxes[..., 2:], 1), 0, 1)
    mean = (within * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(VIEW * np.where(known.any(axis=0), 0.05 + 0.9 * mean, 0.5))
