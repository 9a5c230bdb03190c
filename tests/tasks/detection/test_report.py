"""Detected people on the report page: also where nobody was detected."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from logpose.core.skeletons import COCO
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files
from logpose.data.image_sets import whole_images
from logpose.losses import RLELoss
from logpose.models import PointSetAnchors, PointSetOptions, create_backbone
from logpose.tasks.detection.evaluate import evaluate_detector
from logpose.tasks.detection.report import page_parts, predict
from logpose.tasks.options import DetectionPredictOptions

SMALL = PointSetOptions(channels=16, depth=1)


def test_where_nobody_is_matched_there_is_no_table(coco_folder):
    torch.manual_seed(0)
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), COCO, True, SMALL, short=64, longest=96)
    people = CocoKeypoints(annotation_files(coco_folder)["val"])
    evaluation = evaluate_detector(model, whole_images(people))
    evaluation.rows = {index: replace(row, matched=[]) for index, row in evaluation.rows.items()}
    parts = page_parts(evaluation, {})
    assert (parts.deviations, parts.table) == (None, None)
    assert parts.examples is not None
    assert parts.examples.std() > 5


SMALL = PointSetOptions(channels=16, depth=1)


def test_an_image_that_breaks_off_is_left_out(coco_folder, tmp_path, caplog):
    first, second = (Path(shutil.copy(photo, tmp_path)) for photo in sorted((coco_folder / "val").iterdir())[:2])
    first.write_bytes(first.read_bytes()[:200])
    torch.manual_seed(0)
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), COCO, True, SMALL, short=64, longest=96)
    model.set_error_distribution(RLELoss().eval().error_distribution())
    options = DetectionPredictOptions(checkpoint=tmp_path, inputs=(tmp_path,), box_score=0.001, device="cpu")
    found = predict(model, options)
    rows = json.loads(json.dumps(list(found.rows())))
    assert {row["file_name"] for row in rows} == {second.name}
    assert found.saved_rows is None
    assert np.isfinite(found.arrays()["keypoints"]).all()
    assert first.name in caplog.text
