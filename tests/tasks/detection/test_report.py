"""Detected people on the report page: also where nobody was detected."""

from __future__ import annotations

from dataclasses import replace

import torch

from logpose.core.skeletons import COCO
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files
from logpose.data.image_sets import whole_images
from logpose.models import PointSetAnchors, PointSetOptions, create_backbone
from logpose.tasks.detection.evaluate import evaluate_detector
from logpose.tasks.detection.report import page_parts

SMALL = PointSetOptions(channels=16, depth=1)


def test_where_nobody_is_matched_there_is_no_table(coco_folder):
    torch.manual_seed(0)
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), COCO, True, SMALL, short=64, longest=96)
    people = CocoKeypoints(annotation_files(coco_folder)["val"])
    evaluation = evaluate_detector(model, whole_images(people))
    evaluation.rows = {index: replace(row, matched=[]) for index, row in evaluation.rows.items()}
    parts = page_parts(evaluation)
    assert (parts.deviations, parts.table) == (None, None)
    assert parts.examples is not None
    assert parts.examples.std() > 5
