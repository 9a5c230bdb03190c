"""`logpose convert-labels`, and the other commands on what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SMALL = ("--size", "64x48", "--epochs", 1, "--batch-size", 16, "--workers", 0, "--accelerator", "cpu")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic people: 8 images of the training part, 2 of the other."""
    from logpose.data.synthetic import SyntheticPeople, write_coco

    parts = {"train": SyntheticPeople(8, seed=1, size=(64, 48)), "val": SyntheticPeople(2, seed=2, size=(64, 48))}
    return write_coco(parts, tmp_path_factory.mktemp("people") / "data")


def labelme(folder: Path, file: Path) -> Path:
    """A folder of LabelMe's files, of a COCO file."""
    table = json.loads(file.read_text())
    folder.mkdir()
    for image in table["images"]:
        shapes = []
        for row in (row for row in table["annotations"] if row["image_id"] == image["id"]):
            x, y, width, height = row["bbox"]
            corners = [[x, y], [x + width, y + height]]
            shapes.append({"label": "person", "points": corners, "group_id": row["id"], "shape_type": "rectangle"})
            for name, at in zip(table["categories"][0]["keypoints"], range(0, 51, 3), strict=True):
                x, y, visible = row["keypoints"][at : at + 3]
                shape = {"label": name, "points": [[x, y]], "group_id": row["id"], "shape_type": "point"}
                shapes += [shape | {"flags": {"occluded": visible == 1}}] if visible else []
        (folder / image["file_name"]).write_bytes((file.parents[1] / "val" / image["file_name"]).read_bytes())
        name = Path(image["file_name"]).with_suffix(".json")
        content = {"version": "6.3.1", "shapes": shapes, "imagePath": image["file_name"], "imageData": None}
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.usefixtures("thin_resnets")
@pytest.mark.parametrize("to", ["yolo", "cvat", "label-studio"])
def test_from_another_format_to_figures(command, people, tmp_path, to):
    """Training, evaluation and inspection of a converted data set; of a file without parts every tenth is held out."""
    code, out, err = command("convert-labels", people, tmp_path / "data", "--to", to)
    assert code == 0, err
    assert "10 images" in out
    data = tmp_path / "data" / "tasks.json" if to == "label-studio" else tmp_path / "data"
    code, out, err = command("inspect", data, "--json", "--out", tmp_path / "sheets")
    assert code == 0, err
    (facts,) = json.loads(out).values()
    assert not facts["problems"]["first"]
    assert facts["skeleton"]["joints"][0] == "nose"
    words = ("train", "coco_resnet18_rle", data, "--precision", "32-true", "--out", tmp_path / "run")
    code, out, err = command(*words, *SMALL)
    assert code == 0, err
    assert "error_px" in out
    code, out, err = command("eval", tmp_path / "run" / "best.ckpt", "--data", data, "--part", "val", "--json")
    assert code == 0, err
    assert json.loads(out)["people"] > 0


@pytest.mark.usefixtures("thin_resnets")
def test_labelme_to_figures(command, people, tmp_path):
    data = labelme(tmp_path / "data", people / "annotations" / "person_keypoints_val.json")
    words = ("train", "coco_resnet18_rle", data, "--val-data", data, "--precision", "32-true")
    code, out, err = command(*words, *SMALL, "--out", tmp_path / "run")
    assert code == 0, err
    code, out, err = command("eval", tmp_path / "run" / "best.ckpt", "--data", data, "--part", "all", "--json")
    assert code == 0, err
    assert json.loads(out)["people"] > 0
    code, out, err = command("inspect", data, "--out", tmp_path / "sheets")
    assert code == 0, err


def test_predictions_become_tasks(command, tiny_run, photos, tmp_path):
    folder = photos[0].parent
    words = ("--device", "cpu", "--looks", 1, "--save-json", tmp_path / "found.json")
    assert command("predict", tiny_run / "best.ckpt", folder, *words)[0] == 0
    words = ("convert-labels", tmp_path / "found.json", tmp_path / "b", "--to", "cvat")
    code, out, err = command(*words, "--images", folder, "--model", tiny_run / "best.ckpt")
    assert code == 0, err
    assert "8 of 8 predictions" in out
    text = (tmp_path / "b" / "annotations.xml").read_text()
    assert text.count("<skeleton ") == 8


def test_what_is_refused(refused, people, tmp_path):
    assert "--to" in refused("convert-labels", people, tmp_path / "b")
    assert str(tmp_path / "gone") in refused("convert-labels", tmp_path / "gone", tmp_path / "b", "--to", "coco")
    assert str(people) in refused("convert-labels", people, people, "--to", "coco")
    (tmp_path / "found.json").write_text('[{"image_id": 1, "score": 0.5}]')
    assert "--model" in refused("convert-labels", tmp_path / "found.json", tmp_path / "b", "--to", "cvat")
    words = ("--images", people / "val", "--model", "gone")
    assert "labels" in refused("convert-labels", tmp_path / "found.json", tmp_path / "b", "--to", "yolo", *words)
    assert "--model" in refused("convert-labels", people, tmp_path / "b", "--to", "yolo", "--model", "gone")
    assert not (tmp_path / "b").exists()
