"""What is kept beside the graph is found in an archive, and files without one are refused."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch

from logpose.runtime import LiteRtNetwork, TorchScriptNetwork, open_network, torch_networks


class Twice(torch.nn.Module):
    def forward(self, inputs):
        return 2 * inputs, inputs.sum(dim=1)


def written(path, facts):
    traced = torch.jit.trace(Twice(), torch.ones(2, 3))
    torch.jit.save(traced, str(path), _extra_files={} if facts is None else {torch_networks.FACTS: json.dumps(facts)})
    return path


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript(tmp_path, bare_facts):
    network = open_network(written(tmp_path / "model.torchscript", bare_facts))
    assert isinstance(network, TorchScriptNetwork)
    found = network(np.array([[1, 2, 3.5]], np.float32))
    assert found["keypoints"].tolist() == [[2, 4, 7]]
    assert found["confidence"].tolist() == [6.5]
    with pytest.raises(ValueError, match=r"bare\.torchscript: not a file of `logpose export`"):
        open_network(written(tmp_path / "bare.torchscript", None))
    (tmp_path / "other.torchscript").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"other\.torchscript: not a file of `logpose export`"):
        open_network(tmp_path / "other.torchscript")


def test_of_an_archive_at_the_end_of_a_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"a model")
    assert torch_networks._facts(str(path)) == ""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(torch_networks.FACTS, "{}")
    assert path.read_bytes().startswith(b"a model")
    assert torch_networks._facts(str(path)) == "{}"


def test_a_network_of_one_row_takes_batches():
    run = torch_networks._each(lambda row: [row + 1, row.sum(axis=1)])
    more, sums = run(np.arange(6.0).reshape(3, 2))
    assert more.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert sums.tolist() == [1, 5, 9]


def test_a_runtime_that_is_missing_is_named(tmp_path, monkeypatch):
    (tmp_path / "model.tflite").write_bytes(b"a model")
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match=r"model\.tflite: needs ai_edge_litert.*: pip install ai_edge_litert$"):
        LiteRtNetwork(tmp_path / "model.tflite")
