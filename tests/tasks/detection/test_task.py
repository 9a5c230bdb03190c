"""`logpose eval`, `predict` and `inspect` of detection models."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from logpose.core.skeletons import COCO
from logpose.data.fingerprints import fingerprints
from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.models import PointSetAnchors, PointSetOptions, create_backbone
from logpose.tasks.detection.predict import Finder
from logpose.training.checkpoint import load, save

SMALL = PointSetOptions(channels=16, depth=1)


@pytest.fixture(scope="module")
def detector(thin_module, tmp_path_factory):
    """The checkpoint of an untrained thin model of point-set anchors on 64-pixel images."""
    torch.manual_seed(0)
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), COCO, True, SMALL, short=64, longest=96)
    loss = RLELoss(RealNVP(2, hidden=(8, 8)))
    model.set_error_distribution(loss.eval().error_distribution())
    save(model, loss, folder := tmp_path_factory.mktemp("detector") / "model")
    return folder


def test_figures_results_and_page(detector, coco_folder, page, tmp_path):
    shown = page(detector, coco_folder, "--save-json", tmp_path / "found.json", "--batch-size", 4)
    shown.check_figures()
    assert {"images", "found", "labelled", "matched", "ap"} <= shown.figures.keys()
    rows = json.loads((tmp_path / "found.json").read_text())
    assert len(rows) == shown.figures["found"]
    assert shown.images()["Examples"].std() > 5


def test_images_that_were_learned_from_are_counted(command, detector, coco_folder, tmp_path):
    model, loss = load(detector)
    model.learned_images = fingerprints([*sorted((coco_folder / "val").iterdir())[:3], coco_folder / "train"])
    save(model, loss, tmp_path / "model")
    code, out, err = command("eval", tmp_path / "model", coco_folder, "--json", "--device", "cpu")
    assert (code, json.loads(out)["images_learned"]) == (0, 3)
    assert "trained on 3 of the 8 images" in err
    assert "images_learned" not in json.loads(command("eval", detector, coco_folder, "--json")[1])


def test_predictions_are_those_of_the_finder(command, refused, detector, coco_folder, tmp_path):
    photos = sorted((coco_folder / "val").iterdir())[:2]
    saved = ("--save-json", tmp_path / "a.json", "--save-npz", tmp_path / "a.npz", "--save-images", tmp_path / "drawn")
    code, _, err = command("predict", detector, *photos, *saved, "--box-score", 0.001, "--device", "cpu")
    assert code == 0, err
    expected = list(Finder(detector, "cpu", least_score=0.001).many(photos))
    rows = json.loads((tmp_path / "a.json").read_text())
    assert len(rows) == sum(map(len, expected)) > 0
    assert rows[0]["score"] == pytest.approx(expected[0].scores[0], abs=1e-5)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert len(arrays["scores"]) == len(rows)
    assert all(cv2.imread(str(tmp_path / "drawn" / f"{photo.stem}-poses.jpg")) is not None for photo in photos)
    code, out, err = command("predict", detector, photos[0], "--box-score", 1, "--json", "--device", "cpu")
    assert (code, json.loads(out)) == (0, [])
    assert "--box-score" in err


def test_flags_about_crops_are_refused(refused, detector, coco_folder):
    photo = next((coco_folder / "val").iterdir())
    assert "--boxes and --nms" in refused("predict", detector, photo, "--boxes", "b.json", "--nms")
    assert "--flip-test" in refused("eval", detector, coco_folder, "--flip-test")
    assert "--box-score" in refused("predict", detector, photo, "--box-score", 2)


def test_its_data_are_inspected_as_labelled_people(command, coco_folder, tmp_path):
    words = ("--task", "detection", "--out", tmp_path / "sheets", "--json")
    code, out, err = command("inspect", coco_folder, *words)
    assert code == 0, err
    assert all(facts["counts"]["people"] > 0 for facts in json.loads(out).values())
