"""The `data.yaml` of a YOLO pose data set: where images are looked for, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from logpose.core.errors import InputError
from logpose.data.label_formats import format_of, read_labels

ROW = "0 0.5 0.5 0.4 0.6 0.4 0.3 2 0.6 0.7 1"
TABLE = {"train": "images/train", "val": "images/val", "names": {0: "mouse"}, "kpt_shape": [2, 3]}


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), np.full((60, 80, 3), 90, np.uint8))[1].tobytes())


def write(root: Path, *names: str, **changes: Any) -> Path:
    """A data set with an image of one mouse for each name ("train/a"); returns the `data.yaml`."""
    for name in names:
        image(root / "images" / f"{name}.png")
        file = root / "labels" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(ROW)
    table = {key: value for key, value in (TABLE | changes).items() if value is not None}
    (root / "data.yaml").write_text(yaml.safe_dump(table))
    return root / "data.yaml"


def found(path: Path, part: str | None = None) -> list[str]:
    """The names of images with people, of a part."""
    content = read_labels(path, "YOLO")
    images = {row["id"]: row["file_name"] for row in content.images}
    numbers = [row["image_id"] for row in content.annotations]
    return [Path(images[number]).name for number in numbers if part is None or content.parts[number] == part]


def test_folders_as_roboflow_names_them(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        image(tmp_path / "set" / part / "images" / "a b.JPG")
        (tmp_path / "set" / part / "labels").mkdir()
        (tmp_path / "set" / part / "labels" / "a b.txt").write_text(ROW)
    (tmp_path / "set" / "README.roboflow.txt").write_text("Exported\n")
    file = write(
        tmp_path / "set", train="../train/images", val="../valid/images", test="../test/images", nc=1, names=["mouse"]
    )
    content = read_labels(file, "YOLO")
    assert {row["file_name"]: content.parts[row["id"]] for row in content.images} == {
        "train/images/a b.JPG": "train",
        "valid/images/a b.JPG": "val",
    }
    assert len(content.annotations) == 2
    assert not content.problems
    assert any("test" in note for note in content.notes)


def test_paths_of_another_machine(tmp_path: Path) -> None:
    file = write(tmp_path, "train/a", "val/b", train="/content/set/images/train", val="C:\\s\\images\\val")
    assert found(file) == ["a.png", "b.png"]
    assert any("/content/set/images/train" in note for note in read_labels(file, "YOLO").notes)
    write(tmp_path, train="/content/set/pictures/train")
    with pytest.raises(InputError, match="pictures/train"):
        found(file)


def test_a_root_several_folders_and_lists(tmp_path: Path) -> None:
    write(tmp_path / "set", "train/a", "more/b", "val/c", "val/d")
    (tmp_path / "set" / "val.txt").write_text("./images/val/c.png\r\n\r\nimages/val/gone.png\r\n")
    table = TABLE | {"path": "set", "train": ["images/train", "images/more"], "val": "val.txt"}
    file = tmp_path / "mice.yaml"
    file.write_text(yaml.safe_dump(table))
    assert found(file, "train") == ["a.png", "b.png"]
    assert found(file, "val") == ["c.png"]
    assert [problem.where for problem in read_labels(file, "YOLO").problems] == [
        f"{tmp_path / 'set' / 'val.txt'}: line 3"
    ]


FAULTS = {
    "boxes": {"kpt_shape": None},
    "four numbers": {"kpt_shape": [2, 4]},
    "a word": {"kpt_shape": "17, 3"},
    "no names": {"names": None},
    "more classes than names": {"nc": 4},
    "names of joints": {"kpt_names": {0: ["nose"]}},
    "no folder": {"train": "images/gone"},
    "a table for a folder": {"train": {"a": 1}},
    "no images": {"train": None, "val": None},
}


@pytest.mark.parametrize("changes", FAULTS.values(), ids=FAULTS.keys())
def test_a_file_that_cannot_be_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = write(tmp_path, "train/a", "val/b", **changes)
    with pytest.raises(InputError) as error:
        found(tmp_path)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [b"kpt_shape: [1, 2", b"- kpt_shape", b"", b"kpt_shape: !!python/object/apply:os.getcwd []", b"kpt_shape: \xff",
     b"kpt_shape: &a [1, 3]\nnames: *a", b"kpt_shape:\n" + b"[" * 5000],
)  # fmt: skip
def test_a_file_that_is_no_table(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "data.yaml").write_bytes(text)
    with pytest.raises(InputError) as error:
        found(tmp_path / "data.yaml")
    assert str(error.value).count(str(tmp_path)) == 1


def test_several_files_in_a_folder(tmp_path: Path) -> None:
    file = write(tmp_path, "train/a", "val/b")
    (tmp_path / "other.yaml").write_bytes(file.read_bytes())
    assert len(found(tmp_path)) == 2
    file.rename(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match=r"mine\.yaml, other\.yaml"):
        found(tmp_path)
    (tmp_path / "mine.yaml").unlink()
    (tmp_path / "other.yaml").write_text("seed: 1")
    assert format_of(tmp_path) is None
