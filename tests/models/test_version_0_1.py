"""Checkpoints of version 0.1 load, and predict what they did: see training/checkpoints_0_1/README.md."""

from __future__ import annotations

import importlib.util
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch

from logpose import Finder
from logpose.core.errors import InputError
from logpose.models import MODELS, HRNet, IntegralModel, MaskRCNN, RegressionModel
from logpose.models.version_0_1 import upgraded
from logpose.training.checkpoint import build_model, describe, load, read

FOLDER = Path(__file__).resolve().parents[1] / "training" / "checkpoints_0_1"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
DETECTORS = ("point_set", "mask_rcnn")


def unpacked(name: str, folder: Path) -> Path:
    if name == "mask_rcnn" and importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is an extra")
    file = folder / f"{name}.ckpt"
    file.write_bytes(lzma.decompress((FOLDER / f"{name}.ckpt.xz").read_bytes()))
    return file


def close(found: object, expected: list[object], tolerance: float = 5e-5) -> None:
    wanted = np.array(expected, dtype=float)
    # Coordinates are sums of float32 of about 1, in an order that depends on threads and on the processor: those that
    # were recorded are 2e-5 off the same sums in float64.
    np.testing.assert_allclose(np.asarray(found, dtype=float).reshape(wanted.shape), wanted, rtol=5e-5, atol=tolerance)


SINCE = {"attention", "movenet", "wrapper"}
"""Models that version 0.1 did not have."""


def test_there_is_one_of_every_model() -> None:
    assert {file.name.removesuffix(".ckpt.xz") for file in FOLDER.glob("*.xz")} == set(EXPECTED)
    known = {kind.kind for kind in MODELS} - SINCE
    assert len(EXPECTED) == len(known) + 1  # pose in two and in three dimensions


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in DETECTORS])
def test_predictions_are_what_they_were(name: str, tmp_path: Path) -> None:
    model, loss = load(unpacked(name, tmp_path))
    inputs = model.example_input()
    steps = torch.arange(inputs.numel())
    values = (steps * 7919) % 251 if inputs.dtype == torch.uint8 else torch.cos(steps.float() * 0.9)
    with torch.no_grad():
        prediction = model(values.view(inputs.shape).to(inputs.dtype))
        for part in ("mu", "sigma", "std"):
            close(getattr(prediction, part).flatten()[:12], EXPECTED[name][part])
        if "nll" in EXPECTED[name]:
            assert loss is not None
            target = prediction.mu + 0.5 * prediction.sigma
            close(-loss.log_prob(prediction.mu, prediction.sigma, target).flatten()[:4], EXPECTED[name]["nll"])
    if loss is not None:
        again = build_model(json.loads(json.dumps(model.config())))
        assert describe(again, loss) == describe(model, loss)
        assert again.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", DETECTORS)
def test_people_are_detected_where_they_were(name: str, tmp_path: Path) -> None:
    image = (np.arange(120 * 100 * 3) * 7919 % 251).astype(np.uint8).reshape(120, 100, 3)
    found = Finder(unpacked(name, tmp_path), least_score=0.0)(image)
    close(found.scores[:3], EXPECTED[name]["scores"])
    for part in ("keypoints", "sigma"):
        close(getattr(found, part)[:3, :3], EXPECTED[name][part], tolerance=0.05)  # pixels of an input as large


def test_options_of_mask_rcnn_keep_their_values(tmp_path: Path) -> None:
    path = unpacked("mask_rcnn", tmp_path)
    model, _ = load(path)
    assert isinstance(model, MaskRCNN)
    chosen = {
        "channels": 16, "anchor_sizes": (16, 28, 40, 64, 96), "aspect_ratios": (1.0, 2.0), "outside": "mask",
        "rpn_iou_thresholds": (0.5, 0.3), "rpn_pre_nms_top_n": (60, 40), "rpn_post_nms_top_n": (30, 20),
        "samples_per_image": (32, 16), "detections_per_image": 5, "box_head_width": 32, "norm_eps": 1e-5,
        "keypoint_head_channels": (16, 16), "coordinates": "maps", "sharpness": 2.0, "with_logits": True,
        "roi_scale": 1.25, "min_map_size": 112, "frozen": False,
    }  # fmt: skip
    assert {name: getattr(model.options, name) for name in model.options.arguments()} == chosen
    config = torch.load(path, weights_only=True)["logpose"]["model"]
    with pytest.raises(InputError, match="'blur'"):
        build_model(upgraded(1, {**config, "blur": 1}, {}))


def test_what_stood_in_other_places_is_brought_together() -> None:
    """Of a backbone only its name was there; of channel statistics and a head for training only the tensors."""
    config = {
        "kind": "regression", "backbone": "hrnet_w32", "size": [64, 64], "dim": 2, "predicts_sigma": False,
        "unit_features": True, "padding": 1.25, "skeleton": {"name": "x", "joints": ["a"], "bones": [],
        "flip_pairs": [], "oks_sigmas": [0.1]},
    }  # fmt: skip
    tensors = {
        "model.pixel_mean": torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1),
        "model.pixel_std": torch.ones(3, 1, 1),
        "model.auxiliary_head.final_layer.bias": torch.zeros(1),
    }
    with torch.device("meta"):
        model = build_model(upgraded(1, config, tensors))
        assert isinstance(model, RegressionModel)
        assert isinstance(model.backbone, HRNet)
        assert (model.backbone.neck, model.backbone.all_branches, model.auxiliary) == (True, False, True)
        assert model.config()["pixel_mean"] == [0.1, 0.2, 0.3]
        integral = {**config, "kind": "integral", "normalisation": "sigmoid", "depth": 8}
        del integral["unit_features"]
        other = build_model(upgraded(1, integral, {}))
        assert isinstance(other, IntegralModel)
        assert not other.backbone.neck


def test_a_checkpoint_of_today_is_left_as_it_is(tmp_path: Path) -> None:
    config = {"kind": "regression", "backbone": "resnet18"}
    assert upgraded(2, config, {"model.pixel_mean": torch.zeros(3)}) is config
    path = unpacked("lift", tmp_path)
    assert read(path)["logpose"]["model"]["kind"] == "lifting"
