"""Files of PyTorch's own runtimes predict what the model predicts, and open as checkpoints."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from tiny_runs import Tiny

from logpose.core.calibration import Calibration
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.export.graph import ExportGraph, facts_of, graph_of
from logpose.export.targets import TARGETS
from logpose.losses import Laplace
from logpose.models import RegressionModel
from logpose.runtime import open_network
from logpose.training.checkpoint import load_model

PHONES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(package) is None, reason=f"the extra `{name}` is not installed"
        ),
    )
    for name, package in (("executorch", "executorch"), ("litert", "litert_torch"))
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    model = RegressionModel(Tiny(), COCO, (64, 64), visibility=True).eval()
    torch.nn.init.normal_(model.fc_mu.weight, std=0.5)
    model.set_error_distribution(Laplace(2).error_distribution())
    factor = np.linspace(0.8, 1.3, 17).tolist()
    model.calibration = Calibration(factor, (0.5, 0.9), [[[1 + i / 10, 2 + i / 10] for i in range(17)]])
    return model


@pytest.mark.parametrize("name", ["torchscript", *PHONES])
def test_a_file_predicts_what_the_model_predicts(name, model, tmp_path):
    target, graph = TARGETS[name], graph_of(model).eval()
    target.check("single", graph)
    path = tmp_path / f"model{target.suffix}"
    target.write(graph, facts_of(graph, "single", {"licence": "mine"}), path, ())
    network = open_network(path)
    assert network.facts["licence"] == "mine"
    inputs = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    for count in (1, 5, 2):
        found = network(inputs[:count].numpy())
        with torch.no_grad():
            wanted = dict(zip(graph.outputs, graph(inputs[:count]), strict=True))
        assert list(found) == ["keypoints", "confidence", "std", "radius", "visible"]
        for each, want in wanted.items():
            assert found[each] == pytest.approx(want.numpy(), abs=2e-5), each
    opened = load_model(path)
    with torch.inference_mode():
        one, other = (each.calibrated(each(inputs)) for each in (model, opened))
    assert torch.allclose(one.mean, other.mean, atol=2e-5)
    assert torch.allclose(one.std, other.std, atol=2e-5)


@pytest.mark.parametrize("name", ["torchscript", "executorch", "litert"])
def test_half_precision_and_8_bits_are_refused(name, model):
    for precision in ("half", "int8"):
        with pytest.raises(InputError, match=f"--to {name} writes weights in single precision only"):
            TARGETS[name].check(precision, graph_of(model))


def test_a_network_of_one_size_of_batches_is_refused(model, tmp_path):
    class OfTwo(ExportGraph):
        def forward(self, inputs):
            return (inputs.float().mean(dim=(2, 3)).view(-1, 3)[:2],)

    with pytest.raises(InputError, match="batches of one size only"):
        TARGETS["torchscript"].write(OfTwo(model), {}, tmp_path / "m.torchscript", ())
    assert not [*tmp_path.iterdir()]
