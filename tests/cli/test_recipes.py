"""`logpose recipes`."""

from __future__ import annotations


def test_recipes_are_listed_one_a_line(command):
    code, out, _ = command("recipes")
    assert code == 0
    assert any(line.startswith("coco_resnet50_rle ") and "ResNet-50" in line for line in out.splitlines())
