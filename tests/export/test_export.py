"""From a checkpoint to files that are kept because they predict the same, or are not kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.support.anchors import anchors

from logpose import Predictor, load_model
from logpose.core.errors import InputError
from logpose.data.synthetic import SyntheticPeople, write_coco
from logpose.tasks.detection.predict import Finder
from logpose.training.checkpoint import save

pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from logpose.export import export as module
from logpose.export.export import default_folder, export
from logpose.export.targets import TARGETS
from logpose.export.verification import Limits

pytestmark = pytest.mark.usefixtures("thin_resnets")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Labelled people whom no model of these tests was trained on."""
    return write_coco({"val": SyntheticPeople(26, seed=17, people=(1, 1))}, tmp_path_factory.mktemp("others") / "data")


def test_files_lie_beside_the_checkpoint_unless_said_otherwise(tmp_path):
    (tmp_path / "best.ckpt").touch()
    assert default_folder(tmp_path) == default_folder(tmp_path / "best.ckpt") == tmp_path / "export"
    assert str(default_folder("person")) == "export"


def test_a_run_is_exported_and_proven_on_what_it_was_validated_on(tiny_run, photos, tmp_path):
    (written,) = export(tiny_run, out=tmp_path, licence="mine")
    assert written.path == tmp_path / "model.onnx"
    assert written.excess == ()
    assert written.verified.moved.max() < 0.01
    assert written.verified.rows > 8
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    assert load_model(written.path).exported_network.facts["licence"] == "mine"
    boxes = [[4.0, 6.0, 60.0, 90.0]]
    one, other = (Predictor(model, flip_test=True)(photos[0], boxes) for model in (tiny_run, written.path))
    assert other.keypoints == pytest.approx(one.keypoints, abs=1e-3)
    assert other.sigma == pytest.approx(one.sigma, abs=1e-3)
    with pytest.raises(InputError, match="export the checkpoint that it was made of"):
        export(written.path)


def test_what_predicts_something_else_is_not_kept(tiny_run, tmp_path, monkeypatch):
    right = TARGETS["onnx"].write

    def wrong(graph, *others):
        with torch.no_grad():
            graph.model.fc_mu.bias[0] += 1e-3
        right(graph, *others)
        with torch.no_grad():
            graph.model.fc_mu.bias[0] -= 1e-3

    monkeypatch.setattr(TARGETS["onnx"], "write", wrong)
    (tmp_path / "model.onnx").write_text("what was there")
    (written,) = export(tiny_run, out=tmp_path)
    assert "keypoints move by up to 0.048 crop_px, limit 0.01" in written.excess[0]
    assert (tmp_path / "model.onnx").read_text() == "what was there"
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_int8_has_its_own_calibration(target, tiny_run, others, tmp_path, monkeypatch):
    if target == "openvino":
        pytest.importorskip("nncf")
    monkeypatch.setitem(module.LIMITS, "int8", Limits())  # of few people, by a network that has hardly learned
    model = load_model(tiny_run)
    (written,) = export(tiny_run, [target], "int8", tmp_path, data=others)
    assert written.path.stem == "model-int8"
    quantised = load_model(written.path)
    assert quantised.calibration.levels == (0.5, 0.9, 0.95)
    assert quantised.calibration.groups == 26
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    with torch.inference_mode():
        apart = (quantised(images).mu - model(images).mu).abs()
    assert 0 < apart.max() < 0.1  # other arithmetic, the same network
    assert np.isfinite(written.verified.moved).all()


def test_int8_needs_labels_that_the_model_has_not_learned(tiny_run, coco_folder, others, tmp_path):
    with pytest.raises(InputError, match="--data DATA"):
        export(tiny_run, precision="int8", out=tmp_path)
    train = coco_folder / "annotations" / "person_keypoints_train.json"
    with pytest.raises(InputError, match="was trained on"):
        export(tiny_run, precision="int8", out=tmp_path, data=train)
    with pytest.raises(InputError, match=r"cannot be calibrated: level 0\.95 needs"):
        export(tiny_run, precision="int8", out=tmp_path, data=coco_folder)
    assert not [*tmp_path.iterdir()]
    with pytest.raises(InputError, match="was trained on"):
        export(tiny_run, precision="int8", out=tmp_path / "new", data=train)
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_where_a_second_kind_fails(tiny_run, tmp_path, monkeypatch):
    def fails(*_):
        raise InputError("no")

    monkeypatch.setattr(TARGETS["openvino"], "write", fails)
    with pytest.raises(InputError, match="no"):
        export(tiny_run, ["onnx", "openvino"], out=tmp_path / "new", unverified=True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(InputError, match=r"model\.onnx: a file cannot be written there"):
        export(tiny_run, out=tmp_path)


def test_unknown_targets_and_data_that_are_gone_are_refused(tiny_run, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--to tflite: choose from onnx, openvino"):
        export(tiny_run, ["tflite"], out=tmp_path)
    monkeypatch.setattr(module, "read", lambda _: {"logpose": {"recipe": {"data": "/gone"}}})
    with pytest.raises(InputError, match="/gone is not there"):
        export(tiny_run, out=tmp_path)
    (written,) = export(tiny_run, out=tmp_path, unverified=True)
    assert written.verified is None
    assert replace(written).path.is_file()


@pytest.mark.slow  # most of a minute to write
@pytest.mark.usefixtures("unchecked")  # sizes that may vary are no integers to beartype
def test_a_detector_is_exported_and_proven(coco_folder, photos, tmp_path):
    words = ("last.classification", "last.pose", "maps.6")
    model = anchors(words, bias=-1.5, nms=0.2, thresholds=((0.5, 0.4),))
    save(model, None, tmp_path / "detector")
    with pytest.raises(InputError, match="no labelled data"):
        export(tmp_path / "detector")
    with pytest.raises(InputError, match="--int8 is not for models of detection"):
        export(tmp_path / "detector", precision="int8", data=coco_folder)
    (written,) = export(tmp_path / "detector", ["openvino"], out=tmp_path, verify_on=coco_folder, people=4)
    assert written.excess == ()
    assert written.verified.people > 20
    assert written.verified.missing == 0
    one, other = (Finder(each)(photos[0]) for each in (tmp_path / "detector", written.path))
    assert len(one) >= len(other) == 4
    assert other.boxes == pytest.approx(one.boxes[:4], abs=0.05)
