"""`logpose synth`."""

from __future__ import annotations

import json
from collections import Counter

import cv2


def test_synth_does_not_write_over_anything(refused, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    refused("synth", tmp_path, "--train", 1, "--val", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert "image" in refused("synth", tmp_path / "new", "--train", 0)


def test_sizes_are_spelled_alike_everywhere(command, tmp_path):
    words = ("--train", 1, "--val", 1, "--people", 1, 1, "--easy")
    for name, size in (("a", ("64x48",)), ("b", (64, 48)), ("c", ("[64, 48]",))):
        assert command("synth", tmp_path / name, "--size", *size, *words)[0] == 0
        assert cv2.imread(str(next((tmp_path / name / "train").iterdir()))).shape == (64, 48, 3)


def test_a_number_of_people_is_spelled_as_a_range(command, tmp_path):
    for name, people in (("a", ("2-4",)), ("b", (2, 4))):
        words = ("--train", 3, "--val", 1, "--people", *people, "--size", "64x48")
        assert command("synth", tmp_path / name, *words)[0] == 0
    one, other = (sorted((tmp_path / name / "annotations").iterdir()) for name in "ab")
    assert [file.read_text() for file in one] == [file.read_text() for file in other]
    assert max(Counter(row["image_id"] for row in json.loads(one[0].read_text())["annotations"]).values()) > 1
