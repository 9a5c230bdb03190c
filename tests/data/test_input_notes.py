"""Lists of images whose joints, or sizes, are others than those of results; the notes on scores: `test_inputs.py`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from logpose.data.input_notes import list_notes
from logpose.data.inputs import find_images

JOINTS = ("nose", "tail", "paw")


def listed(folder: Path, categories: list[object], sizes: list[tuple[object, object]]) -> Path:
    """A list of images of 40×30 pixels, which it gives these sizes."""
    images = []
    for number, (width, height) in enumerate(sizes):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((30, 40, 3), np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
    (folder / "list.json").write_text(json.dumps({"images": images, "categories": categories}))
    return folder / "list.json"


@pytest.mark.parametrize(
    ("names", "token"),
    [
        ([], None),
        ([None], None),
        ([["nose", "tail", "paw"]], None),
        ([["x"], ["nose", "tail", "paw"]], None),
        ([["tail", "nose", "paw"]], "another order"),
        ([["nose", "tail"]], "other than"),
    ],
)
def test_joints(tmp_path: Path, names: list[list[str] | None], token: str | None) -> None:
    categories = [{"id": i, "name": "dog", **({"keypoints": own} if own else {})} for i, own in enumerate(names)]
    file = listed(tmp_path, categories, [(40, 30)])
    notes = list_notes([file], JOINTS, find_images([file]))
    assert len(notes) == (token is not None)
    assert token is None or (token in notes[0] and str(file) in notes[0])


def test_sizes(tmp_path: Path) -> None:
    file = listed(tmp_path, [], [(40, 30), (30, 40), (None, None), (80, 60), (0, "x")])
    images = set(find_images([file]))
    (note,) = list_notes([file], JOINTS, images)
    assert "2 of 3 images" in note
    assert f"{tmp_path / '1.png'} has 40×30, listed 30×40" in note
    assert list_notes([file], JOINTS, images - {tmp_path / "1.png", tmp_path / "3.png"}) == []
