"""People in crops on the report page."""

from __future__ import annotations

import pytest


def test_of_crops(page, tiny_run, coco_folder):
    shown = page(tiny_run / "best.ckpt", "--data", coco_folder)
    shown.check_figures()
    joints = shown.cells("By joint")
    assert len(joints) == 18
    assert sum(int(row[1]) for row in joints[1:]) == shown.figures["joints"]
    weighted = sum(int(row[1]) * float(row[2]) for row in joints[1:] if row[2] != "–") / shown.figures["joints"]
    assert weighted == pytest.approx(shown.figures["error_px"], rel=0.01)
    inside = sum(int(row[1]) * float(row[4]) for row in joints[1:] if row[4] != "–") / shown.figures["joints"]
    assert inside == pytest.approx(shown.figures["coverage@0.9"], abs=0.002)
    images = shown.images()
    assert set(images) == {"Examples", "Is sigma calibrated?", "The error's density", "Training"}
    assert all(picture.std() > 5 for picture in images.values())
