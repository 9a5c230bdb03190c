"""Prediction without torch: the same people as by a checkpoint, from a file that needs nothing of logpose."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from logpose import Predictor, load_model, runtime
from logpose.core.calibration import Calibration
from logpose.runtime import predict

FILE = Path(predict.__file__)


def test_the_file_stands_alone():
    """A bundle has a copy of it, and people read it."""
    source = FILE.read_text()
    assert len(source.splitlines()) <= 150
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes}
    allowed = {"__future__", "argparse", "json", "pathlib", "typing", "cv2", "numpy", "onnxruntime"}
    assert names == allowed


def test_nothing_of_torch_is_imported():
    """Where torch is not installed, `logpose.runtime` can be imported."""
    code = (
        "import sys\n"
        "for name in ('torch', 'jaxtyping', 'lightning', 'scipy', 'matplotlib'): sys.modules[name] = None\n"
        "import logpose.runtime as runtime\n"
        "print(runtime.Predictor.__name__, [n for n in sys.modules if n.startswith('logpose.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Predictor" in done.stdout


@pytest.fixture(scope="module")
def files(thin_module, thin_run, tmp_path_factory):
    """A checkpoint that is calibrated, and files of it."""
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    from logpose.export.graph import facts_of, graph_of
    from logpose.export.targets import TARGETS

    folder, model = tmp_path_factory.mktemp("files"), load_model(thin_run)
    radii = [[[1 + size + joint / 20, 2 + size] for joint in range(17)] for size in range(2)]
    model.calibration = Calibration(np.linspace(0.5, 1.5, 17).tolist(), (0.5, 0.9), radii, sizes=(60.0,), uncertain=5.0)
    for target in (TARGETS["onnx"], TARGETS["openvino"]):
        graph = graph_of(model)
        target.write(graph, facts_of(graph, "single", {}), folder / f"model{target.suffix}", ())
    return model, folder


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_people_are_those_that_the_checkpoint_finds(files, photos, suffix):
    model, folder = files
    one, other = Predictor(model, batch_size=2), runtime.Predictor(folder / f"model{suffix}", batch_size=2)
    boxes = [[4.0, 6.0, 40.0, 50.0, 0.9], [-5.5, 20.0, 100.0, 30.5, 0.2], [10.0, 10.0, 30.0, 90.0, 1.0]]
    for photo in photos:
        for given in (boxes, [boxes[0][:4]], [], None):
            want, found = one(photo, given), other(photo, given)
            assert len(found.boxes) == len(want)
            assert found.boxes == pytest.approx(want.boxes)
            assert found.keypoints == pytest.approx(want.keypoints, abs=2e-3)
            assert found.sigma == pytest.approx(want.sigma, abs=2e-3)
            assert found.confidence == pytest.approx(want.confidence, abs=1e-4)
            assert found.scores == pytest.approx(want.scores, abs=1e-4)
            assert {float(level) for level in found.radius} == set(want.regions)
            for level, axes in want.regions.items():
                assert found.radius[f"{level:g}"] == pytest.approx(axes, abs=5e-3)
        image = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
        assert np.array_equal(other(image, boxes).keypoints, other(photo, boxes).keypoints)


def test_nobody_is_returned_where_joints_stay_uncertain(files, photos):
    _, folder = files
    network = runtime.open_network(folder / "model.onnx")
    network.facts["calibration"]["uncertain"] = 1e-6
    found = runtime.Predictor(network)(photos[0])
    assert (len(found.boxes), found.keypoints.shape, found.rows()) == (0, (0, 17, 2), [])
    assert len(runtime.Predictor(network)(photos[0], [[0, 0, 40, 40]]).boxes) == 1


def test_it_runs_as_a_program(files, photos, tmp_path):
    _, folder = files
    copy = tmp_path / "predict.py"
    copy.write_text(FILE.read_text())
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    words = [sys.executable, "-I", str(copy), str(photos[0]), "--box", "4", "6", "40", "50"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)
    found = runtime.Predictor(folder / "model.onnx")(photos[0], [[4, 6, 40, 50]])
    assert row["keypoints"] == pytest.approx(found.keypoints[0].round(3))
    assert set(row) == {"boxes", "keypoints", "sigma", "confidence", "scores", "radius"}
    bad = subprocess.run([*words[:3], "none.jpg"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == "predict.py: none.jpg: no image that can be read\n"


def test_bad_input_is_one_sentence(files, photos, tmp_path):
    _, folder = files
    predictor = runtime.Predictor(folder / "model.onnx")
    for boxes in ([[0, 0, -1, 5]], [[0, 0, 5]], [[0, 0, np.nan, 5]], [0, 0, 5, 5]):
        with pytest.raises(ValueError, match="boxes are x, y, width > 0"):
            predictor(photos[0], boxes)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.jpg: no image"):
        predictor(tmp_path / "text.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ValueError, match=r"empty\.jpg: no image"):
        predictor(tmp_path / "empty.jpg")
    grey = np.zeros((40, 50), np.uint8)
    for array in (grey, np.dstack([grey] * 4), np.dstack([grey] * 3) / 255, np.zeros((40, 50, 3), np.uint16)):
        with pytest.raises(ValueError, match="an image is RGB of 8 bits"):
            predictor(array, [[0, 0, 20, 20]])
    with pytest.raises(ValueError, match=r"none\.onnx: no such file"):
        runtime.Predictor(tmp_path / "none.onnx")
    network = runtime.open_network(folder / "model.onnx")
    network.facts["export"]["task"] = "lifting"
    with pytest.raises(ValueError, match=r"logpose\.Predictor takes others"):
        runtime.Predictor(network)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"export": {"task": "pose"}}', "[" * 100_000])
def test_what_a_file_keeps_is_checked(text, tmp_path, monkeypatch):
    (tmp_path / "model.onnx").touch()
    monkeypatch.setattr(predict.Network, "_opened", lambda *_: (text, None))
    with pytest.raises(ValueError, match=r"model\.onnx: not a file of `logpose export`"):
        runtime.open_network(tmp_path / "model.onnx")
