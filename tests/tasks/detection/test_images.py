"""`logpose predict` on images by detection models: images that cannot be read are left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from logpose.core.skeletons import COCO
from logpose.losses import RLELoss
from logpose.models import PointSetAnchors, PointSetOptions, create_backbone
from logpose.tasks.detection.images import predict_in_images
from logpose.tasks.detection.options import DetectionPredictOptions

SMALL = PointSetOptions(channels=16, depth=1)


def test_an_image_that_breaks_off_is_left_out(coco_folder, tmp_path, caplog):
    first, second = (Path(shutil.copy(photo, tmp_path)) for photo in sorted((coco_folder / "val").iterdir())[:2])
    first.write_bytes(first.read_bytes()[:200])
    torch.manual_seed(0)
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), COCO, True, SMALL, short=64, longest=96)
    model.set_error_distribution(RLELoss().eval().error_distribution())
    options = DetectionPredictOptions(checkpoint=tmp_path, inputs=(tmp_path,), box_score=0.001, device="cpu")
    found = predict_in_images(model, options)
    rows = json.loads(json.dumps(list(found.rows())))
    assert {row["file_name"] for row in rows} == {second.name}
    assert found.saved_rows is None
    assert np.isfinite(found.arrays()["keypoints"]).all()
    assert first.name in caplog.text
