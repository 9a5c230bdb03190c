"""`logpose recipes`."""

from __future__ import annotations


def test_recipes_are_listed_by_task_one_a_line(command):
    code, out, _ = command("recipes")
    assert code == 0
    assert any(line.startswith("  coco_resnet50_rle ") and "ResNet-50" in line for line in out.splitlines())
    tasks = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert tasks == ["pose:", "detection:", "lifting:", "boundaries:"]
