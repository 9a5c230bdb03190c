"""Files of each kind hold the model: opened again, they predict what it predicts, whatever the batch."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_runs import Tiny
from torch import nn

import logpose
from logpose.core.calibration import Calibration
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, Skeleton
from logpose.losses import Gaussian, Laplace
from logpose.models import (
    AttentionModel,
    BoundaryModel,
    HeatmapModel,
    IntegralModel,
    KeypointWrapper,
    LiftingModel,
    MaskRCNN,
    MaskRCNNOptions,
    RegressionModel,
    ResNet,
)
from logpose.training.checkpoint import load_model

pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from logpose.export.graph import facts_of, graph_of
from logpose.export.targets import TARGETS

pytestmark = pytest.mark.usefixtures("thin_module")

SIZE = (64, 64)
LAYERS = Skeleton("layers", ("top", "middle", "bottom"))


class Coarse(Tiny):
    """A backbone whose maps have 1/32 of the resolution."""

    def forward(self, images):
        return nn.functional.avg_pool2d(super().forward(images), 8)


def calibration(count: int, dim: int = 1, **more) -> Calibration:
    """A factor for each joint that is another for left and right, and radii of two levels."""
    factor = np.linspace(0.8, 1.3, count).tolist()
    return Calibration(factor, (0.5, 0.9), [[[1 + i / 10, 2 + i / 10] for i in range(count)]], **more)


def made(kind: str):
    torch.manual_seed(3)
    if kind == "regression":
        model = RegressionModel(Tiny(), COCO, SIZE, visibility=True, correlated=True)
        model.calibration = calibration(17, visibility=(0.7, 0.2), uncertain=0.2)
    elif kind == "plain":
        model = RegressionModel(Tiny(), COCO, SIZE)
    elif kind == "space":
        model = RegressionModel(Tiny(), H36M, SIZE, dim=3)
    elif kind == "heatmap":
        model = HeatmapModel(Coarse(), COCO, SIZE)
    elif kind == "integral":
        model = IntegralModel(Coarse(), COCO, SIZE, predicts_sigma=True, normalisation="sigmoid")
    elif kind == "attention":
        model = AttentionModel(ResNet(18), COCO, SIZE)
    elif kind in ("srnet", "martinez"):
        model = LiftingModel(kind, H36M, settings={"width": 64})
    elif kind == "lifting":
        model = LiftingModel("fc", H36M, settings={"width": 32})
        model.calibration = calibration(len(H36M))
    else:
        model = BoundaryModel(LAYERS, (32, 64), channels=8, depth=2, cells=4)
        model.calibration = calibration(3)
    for name, parameter in model.named_parameters():  # heads begin with a small gain: positions would hardly differ
        if name.startswith(("fc_", "output.")) and parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.5)
    if kind != "heatmap":
        loss = (Gaussian if kind == "integral" else Laplace)(model.dim)
        model.set_error_distribution(loss.error_distribution())
    if kind == "plain":
        model.error_mean += 0.3  # of a density that is skewed
    return model.eval()


KINDS = (
    "regression",
    "plain",
    "space",
    "heatmap",
    "integral",
    "attention",
    "lifting",
    "srnet",
    "martinez",
    "boundaries",
)


def batch_of(model, count: int) -> torch.Tensor:
    example, draw = model.example_input(), torch.Generator().manual_seed(count)
    shape = (count, *example.shape[1:])
    if example.dtype == torch.uint8:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)
    return torch.randn(shape, generator=draw) / 4


def write(model, folder: Path, target="onnx", precision="single", people: int | None = None, **notes) -> Path:
    graph, file = graph_of(model, people), folder / f"model{TARGETS[target].suffix}"
    TARGETS[target].write(graph, facts_of(graph, precision, notes), file, ())
    return file


class Inputs:
    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs = inputs


def assert_same(model, other, inputs: torch.Tensor, flip_test: bool = False) -> None:
    with torch.inference_mode():
        one, again = (each.predict(Inputs(inputs), flip_test) for each in (model, other))
    assert again.mean.numpy() == pytest.approx(one.mean.numpy(), abs=2e-5)
    assert again.confidence.numpy() == pytest.approx(one.confidence.numpy(), abs=1e-4)
    assert again.mu.numpy() == pytest.approx(one.mu.numpy(), abs=1e-4)
    assert again.std.numpy() == pytest.approx(one.std.numpy(), rel=1e-4, abs=1e-7, nan_ok=True)
    for name in ("correlation", "visibility"):
        values = getattr(one, name)
        assert (values is None) == (getattr(again, name) is None)
        if values is not None:
            assert getattr(again, name).numpy() == pytest.approx(values.numpy(), abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_an_onnx_file_predicts_what_the_model_predicts(kind, tmp_path):
    model = made(kind)
    other = load_model(write(model, tmp_path, licence="for tests", figures={"pck": 0.5}))
    assert isinstance(other, type(model))
    assert other.skeleton.config() == Skeleton.from_config(model.skeleton.config()).config()
    assert other.input_spec == model.input_spec
    assert other.error_distribution.std.numpy() == pytest.approx(model.error_distribution.std.numpy(), nan_ok=True)
    for count in (1, 3):
        assert_same(model, other, batch_of(model, count))
    if kind != "heatmap":  # whose flip test is one of maps
        assert_same(model, other, batch_of(model, 2), flip_test=True)
    if model.calibration:
        assert other.calibration.config() == model.calibration.config()
    facts = other.exported_network.facts
    assert facts["licence"] == "for tests"
    out = other.exported_network(batch_of(model, 2).numpy())
    if kind != "heatmap":
        level = facts["export"]["levels"].index(0.9)
        expected = np.broadcast_to(model.region_radius(0.9)[0], out["radius"].shape[1])
        assert out["radius"][1, :, level] == pytest.approx(expected, rel=1e-6)
    else:
        assert set(out) == {"keypoints", "confidence"}


@pytest.mark.parametrize("precision", ["single", "half"])
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_weights_in_half_precision_change_little_and_halve_the_file(target, precision, tmp_path):
    model = made("integral")
    file = write(model, tmp_path, target, precision)
    size = sum(each.stat().st_size for each in tmp_path.iterdir())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert size == pytest.approx(parameters * (4 if precision == "single" else 2), rel=0.1)
    assert sorted(each.suffix for each in tmp_path.iterdir()) == ([".onnx"] if target == "onnx" else [".bin", ".xml"])
    other, inputs = load_model(file), batch_of(model, 3)
    with torch.inference_mode():
        apart = (other(inputs).mu - model(inputs).mu).abs().max() * SIZE[0]
    assert apart < (0.002 if precision == "single" else 0.3)
    assert other.exported_network.facts["export"]["precision"] == precision


def test_floats_are_taken_as_the_pixels_that_they_are(tmp_path):
    model = made("plain")
    other, pixels = load_model(write(model, tmp_path)), batch_of(model, 2)
    with torch.inference_mode():
        assert torch.equal(other(pixels).mu, other(pixels.float() / 255).mu)


def test_what_a_file_keeps_can_be_read_without_opening_the_network(tmp_path):
    import onnx

    model = made("regression")
    file = write(model, tmp_path, recipe={"lr": float("inf")})
    kept = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    facts = json.loads(kept.pop("logpose"), parse_constant=pytest.fail)  # which JSON does not have
    assert not kept
    assert facts["recipe"] == {"lr": None}
    for private in (str(Path.cwd()), str(Path(logpose.__file__).parent), str(Path.home()) + "/"):
        assert private.encode() not in file.read_bytes()
    export = facts["export"]
    assert export["outputs"] == ["keypoints", "confidence", "std", "radius", "correlation", "visible"]
    assert (export["task"], export["size"], export["padding"]) == ("pose", [64, 64], 1.25)
    assert (export["input"], export["shape"]) == ("uint8", [3, 64, 64])
    assert export["joints"] == list(COCO.joints)
    assert facts["calibration"]["levels"] == [0.5, 0.9]


@pytest.mark.usefixtures("unchecked")  # sizes that may vary are no integers to beartype
@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is an extra")
def test_a_detector_s_file_finds_whom_it_finds_in_images_of_any_size(tmp_path):
    options = MaskRCNNOptions(
        16, anchor_sizes=(8, 16, 32, 64, 96), box_head_width=32, keypoint_head_channels=(16, 16), frozen=False,
        rpn_pre_nms_top_n=(60, 40), rpn_post_nms_top_n=(30, 60),
    )  # fmt: skip
    torch.manual_seed(1)
    model = MaskRCNN(COCO, "resnet18", short=64, longest=128, options=options).eval()
    for name, parameter in model.named_parameters():  # so that no two scores are nearly equal
        if ("cls_" in name or "fc_" in name) and parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    model.set_error_distribution(Laplace(2).error_distribution())
    model.calibration = calibration(17)
    other = load_model(write(model, tmp_path, people=5))
    assert isinstance(other, type(model))
    draw = torch.Generator().manual_seed(4)
    for height, width, size in ((64, 96, (64, 90)), (128, 64, (100, 64)), (96, 96, (96, 96))):
        images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=draw)
        with torch.inference_mode():
            both = [each.detect(images, torch.tensor([size, size])) for each in (model, other)]
            both = [[replace(p, prediction=each.calibrated(p.prediction)) for p in found]
                    for each, found in zip((model, other), both, strict=True)]  # fmt: skip
        for one, again in zip(*both, strict=True):
            count = min(len(one), 5)
            assert len(again) == count > 0
            assert again.boxes.numpy() == pytest.approx(one.boxes[:count].numpy(), abs=1e-2)
            assert again.box_scores.numpy() == pytest.approx(one.box_scores[:count].numpy(), abs=1e-4)
            assert again.keypoints().numpy() == pytest.approx(one.keypoints()[:count].numpy(), abs=1e-2)
            assert again.spread().numpy() == pytest.approx(one.spread()[:count].numpy(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_wrapper_s_file_gives_its_deviations(target, tmp_path):
    torch.manual_seed(2)
    model = KeypointWrapper(COCO, mirrored=True, refine=True, members=2).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    people = torch.rand(40, 17, 6) * torch.tensor([200.0, 400.0, 1.0, 200.0, 400.0, 1.0])
    people[3, :, 3:] = float("nan")  # not there in the second view, …
    people[4, 2, 3:] = people[5, 7, 5] = people[6, 1, 3] = float("nan")  # … or not all of it
    model.fit_features(people, 0.05)
    model.fit_usual(people)
    model.set_error_distribution(Laplace(2).error_distribution())
    model.calibration = calibration(17)
    file = write(model, tmp_path, target)
    other = load_model(file)
    with torch.inference_mode():
        one, again = model(people), other(people)
    assert again.mu.numpy() == pytest.approx(one.mu.numpy(), abs=1e-5)
    assert again.sigma.numpy() == pytest.approx(one.sigma.numpy(), rel=1e-3)
    assert again.sigma.std() > 0.01
    for name in model.statistics:
        assert getattr(other, name).numpy() == pytest.approx(getattr(model, name).numpy())
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < 300_000


@pytest.mark.parametrize("target", ["torchscript", "executorch", "litert"])
def test_kinds_of_files_that_have_no_detectors(target):
    with pytest.raises(InputError, match="does not write models of detection"):
        TARGETS[target].check(
            "single", SimpleNamespace(inputs=("inputs", "sizes"), model=SimpleNamespace(task="detection"))
        )


class OneSize(Tiny):
    """A backbone that takes a batch apart."""

    def forward(self, images):
        return torch.cat([super(OneSize, self).forward(images[i : i + 1]) for i in range(len(images))])


class Unknown(Tiny):
    """A backbone with an operation that ONNX does not have."""

    def forward(self, images):
        return torch.cummax(super().forward(images), dim=1).values


@pytest.mark.parametrize(("backbone", "token"), [(OneSize, "of one size only"), (Unknown, "cannot be written")])
def test_networks_that_cannot_be_written_are_refused(backbone, token, tmp_path):
    model = RegressionModel(backbone(), COCO, SIZE).eval()
    with pytest.raises(InputError, match=token) as raised:
        write(model, tmp_path)
    assert "\n" not in str(raised.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_missing_library_is_one_sentence(target, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(InputError, match=rf"--to {target} needs onnxscript: pip install"):
        TARGETS[target].check("single", graph_of(made("plain")))
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(InputError, match=r"needs onnx: pip install 'logpose-keypoints\[export\]'"):
        write(made("plain"), tmp_path, target)
