"""A model of a file: what it refuses, and how a prediction before its calibration comes from one after it."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from tests.support.anchors import anchors
from tests.support.in_memory import InMemory
from tiny_runs import Tiny

from logpose.core.calibration import Calibration
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.losses import Laplace
from logpose.models import Model, RegressionModel
from logpose.models.exported import exported_model, is_exported, opened
from logpose.training.checkpoint import keep_calibration, save

COUNT = len(COCO)


class Batch:
    def __init__(self, inputs) -> None:
        self.inputs = inputs


def checkpoint(**options) -> RegressionModel:
    torch.manual_seed(0)
    model = RegressionModel(Tiny(), COCO, (32, 32), **options).eval()
    for layer in (model.fc_mu, model.fc_sigma, model.fc_correlation, model.fc_visibility):
        if layer is not None:
            torch.nn.init.normal_(layer.weight, std=0.5)
    model.set_error_distribution(Laplace(model.dim).error_distribution())
    factor = np.linspace(0.5, 2, COUNT).tolist()
    shift = (0.5, -1.0) if options.get("visibility") else ()
    model.calibration = Calibration(factor, (0.9,), [[[2.0]] * COUNT], visibility=shift)
    return model


def of_file(model: RegressionModel) -> RegressionModel:
    other = exported_model(deepcopy(model), InMemory(model))
    other.calibration = model.calibration
    return other.eval()


@pytest.mark.parametrize("options", [{}, {"dim": 3}, {"correlated": True, "visibility": True}])
def test_what_comes_before_the_calibration_is_recovered(options):
    model = checkpoint(**options)
    model.error_mean += 0.25
    model.error_std *= torch.linspace(0.6, 1.1, model.dim)
    other = of_file(model)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        one, again = model(images), other(images)
    for name in ("mu", "sigma", "mean", "std", "confidence", "correlation", "visibility"):
        values = getattr(one, name)
        if values is None:
            assert getattr(again, name) is None
        else:
            assert getattr(again, name).numpy() == pytest.approx(values.numpy(), abs=1e-5, rel=1e-4)
    calibrated = [each.calibrated(found).std.numpy() for each, found in ((model, one), (other, again))]
    assert calibrated[1] == pytest.approx(calibrated[0], rel=1e-4)
    assert other.region_radius(0.9).tolist() == model.region_radius(0.9).tolist()


def test_it_has_no_weights_and_says_so():
    model = checkpoint()
    other = of_file(model)
    assert isinstance(other, RegressionModel)
    assert other.is_finite()
    assert deepcopy(other) is other
    assert other.config() == json.loads(json.dumps(model.config()))
    assert other.dtype == torch.float32
    assert getattr(other, "backbone", None) is None
    with pytest.raises(InputError, match=r"has no weights, and no backbone: the checkpoint is needed"):
        _ = other.backbone
    with pytest.raises(AttributeError):
        _ = other.something_else
    with pytest.raises(InputError, match="no weights to save"):
        save(other, None, "never")


def test_a_certain_joint_stays_visible_through_a_flip_test():
    """A probability of 1 has no logit."""
    model = checkpoint(visibility=True)
    with torch.no_grad():
        model.fc_visibility.weight *= 0
        model.fc_visibility.bias[:] = torch.linspace(-200, 200, COUNT)
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with torch.inference_mode():
        found = [each.predict(Batch(images), flip_test=True).visibility.sigmoid() for each in (model, of_file(model))]
    assert found[1].numpy() == pytest.approx(found[0].numpy(), abs=1e-3)


def test_a_graph_that_does_not_fit_is_one_sentence():
    other = of_file(checkpoint())
    with pytest.raises(InputError, match=r"fails on inputs of \(1, 4, 32, 32\)"):
        other(torch.zeros(1, 4, 32, 32, dtype=torch.uint8))


def test_what_is_not_run_from_a_file():
    class Own(Model):
        task = "astrology"
        training_losses = predict = example_input = input_spec = None

    with pytest.raises(InputError, match="Own is not run from a file"):
        exported_model(object.__new__(Own), InMemory(checkpoint()))


def test_a_detector_of_a_file_has_the_people_that_are_there(thin_resnets):
    detector = anchors(nms=0.05)
    detector.calibration = Calibration(np.linspace(0.5, 2, COUNT).tolist(), (0.9,), [[[2.0]] * COUNT])
    other = of_file(detector)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        both = [each(images) for each in (detector, other)]
    for one, again in zip(*both, strict=True):
        assert 0 < len(one) == len(again) < 20
        assert again.boxes.numpy() == pytest.approx(one.boxes.numpy(), abs=1e-3)
        assert again.box_scores.numpy() == pytest.approx(one.box_scores.numpy(), abs=1e-5)
        assert again.keypoints().numpy() == pytest.approx(one.keypoints().numpy(), abs=1e-3)
        assert again.spread().numpy() == pytest.approx(one.spread().numpy(), rel=1e-4)
        assert again.prediction.confidence.numpy() == pytest.approx(one.prediction.confidence.numpy(), abs=1e-5)


OTHER = "not a file of `logpose export`"


@pytest.mark.parametrize(("name", "token"), [("none.onnx", "no such file"), ("text.onnx", OTHER), ("text.xml", OTHER)])
def test_files_that_are_none_are_refused(name, token, tmp_path):
    pytest.importorskip("openvino" if name.endswith("xml") else "onnxruntime")
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "text.xml").write_text("<no>model</no>")
    with pytest.raises(InputError, match=token) as raised:
        opened(tmp_path / name)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_runtime_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").touch()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(InputError, match="needs onnxruntime: pip install onnxruntime"):
        opened(tmp_path / "model.onnx")


def test_a_file_is_not_calibrated_but_its_checkpoint(tmp_path):
    assert is_exported("run/export/model.onnx")
    assert is_exported("model-int8.xml")
    assert not is_exported("run/best.ckpt")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match="calibrate the checkpoint, and export it again"):
        keep_calibration(tmp_path / "model.onnx", checkpoint().calibration)
    assert (tmp_path / "model.onnx").read_bytes() == b""
