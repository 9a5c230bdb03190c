"""CVAT's XML of labels; what is read back is tested in `test_label_conversion.py`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from logpose.data.cvat_export import write
from logpose.data.label_content import LabelContent


def content(out: Path, *keypoints: float) -> LabelContent:
    category = {"id": 4, "name": "mouse", "keypoints": ["nose", '<"&">', "tail"], "skeleton": [[1, 3]]}
    labels = LabelContent(folder=out, categories=[category])
    labels.images = [{"id": 7, "file_name": "images/train/a b.jpg", "width": 60, "height": 40}]
    labels.parts = {7: "train"}
    row = {"id": 1, "image_id": 7, "category_id": 4, "bbox": [10, 20, 20, 10], "score": 0.5}
    labels.annotations = [row | {"keypoints": list(keypoints)}, row | {"iscrowd": 1, "keypoints": [0] * 9}]
    return labels


def test_a_person_is_a_skeleton_and_a_box_of_its_group(tmp_path: Path) -> None:
    write(content(tmp_path, 15, 25, 2, 20.126, 30, 1, 0, 0, 0), tmp_path)
    root = ElementTree.parse(tmp_path / "annotations.xml").getroot()
    (image,) = root.findall("image")
    assert image.attrib == {"id": "0", "name": "train/a b.jpg", "subset": "train", "width": "60", "height": "40"}
    assert [shape.tag for shape in image] == ["skeleton", "box"]
    skeleton, box = image
    assert skeleton.get("group_id") == box.get("group_id")
    assert [(p.get("label"), p.get("points"), p.get("outside"), p.get("occluded")) for p in skeleton] == [
        ("nose", "15.00,25.00", "0", "0"),
        ('<"&">', "20.13,30.00", "0", "1"),
        ("tail", "0.00,0.00", "1", "0"),
    ]
    assert [box.get(side) for side in ("xtl", "ytl", "xbr", "ybr")] == ["10.00", "20.00", "30.00", "30.00"]
    labels = {label.findtext("name"): label.findtext("type") for label in root.iter("label")}
    assert labels[box.get("label")] == "rectangle"
    assert labels["mouse"] == "skeleton"


def test_the_labels_of_a_task_draw_the_skeleton(tmp_path: Path) -> None:
    """Joints are drawn at their mean place in boxes; those that nobody has in the middle."""
    write(content(tmp_path, 10, 20, 2, 30, 30, 1, 0, 0, 0), tmp_path)
    skeleton, box = json.loads((tmp_path / "labels.json").read_text())
    assert (skeleton["type"], box["type"]) == ("skeleton", "rectangle")
    assert [label["name"] for label in skeleton["sublabels"]] == ["nose", '<"&">', "tail"]
    drawn = ElementTree.fromstring(f"<svg>{skeleton['svg']}</svg>")
    assert [(c.get("data-label-name"), c.get("cx"), c.get("cy")) for c in drawn.findall("circle")] == [
        ("nose", "5.0", "5.0"),
        ('<"&">', "95.0", "95.0"),
        ("tail", "50.0", "50.0"),
    ]
    (line,) = drawn.findall("line")
    assert (line.get("data-node-from"), line.get("data-node-to")) == ("1", "3")


def test_predicted_joints_are_not_occluded(tmp_path: Path) -> None:
    """Their third value is a confidence, which may be 1."""
    write(content(tmp_path, 15, 25, 1.0, 20, 30, 0.2, 1, 1, 0.0), tmp_path, predictions=True)
    (skeleton,) = ElementTree.parse(tmp_path / "annotations.xml").iter("skeleton")
    assert [(p.get("outside"), p.get("occluded")) for p in skeleton] == [("0", "0"), ("0", "0"), ("1", "0")]
    assert {p.get("source") for p in skeleton.iter()} == {"auto"}
