"""OpenVINO's form of a network: the graph and what is kept beside it are in the .xml, the weights in the .bin."""

from __future__ import annotations

import json

import numpy as np
import pytest

from logpose.runtime import OpenVinoNetwork, open_network

openvino = pytest.importorskip("openvino", reason="the extra `export` is not installed")


@pytest.fixture
def file(tmp_path, bare_facts):
    """Twice its inputs, and their sum."""
    from openvino import opset13 as operations

    inputs = operations.parameter([-1, 3], np.float32, name="inputs")
    twice = operations.multiply(inputs, np.float32(2))
    model = openvino.Model([twice, operations.reduce_sum(inputs, np.int64(1))], [inputs])
    model.set_rt_info(json.dumps(bare_facts), "logpose")
    openvino.save_model(model, path := tmp_path / "model.xml", compress_to_fp16=False)
    return path


@pytest.mark.parametrize("threads", [0, 1])
def test_outputs_have_the_names_that_the_file_gives(file, threads):
    network = open_network(file, threads)
    assert isinstance(network, OpenVinoNetwork)
    inputs = np.array([[1, 2, 3.5], [0, -1, 0]], np.float32)
    found = network(inputs)
    assert list(found) == ["keypoints", "confidence"]
    assert np.array_equal(found["keypoints"], 2 * inputs)
    assert np.array_equal(found["confidence"], [6.5, -1])


def test_other_files_and_lost_weights_are_refused(file, tmp_path):
    model = openvino.Core().read_model(file)
    other = openvino.Model(model.outputs, model.get_parameters())
    openvino.save_model(other, tmp_path / "other.xml")
    with pytest.raises(ValueError, match=r"other\.xml: not a file of `logpose export`"):
        open_network(tmp_path / "other.xml")
    file.with_suffix(".bin").unlink()
    with pytest.raises(ValueError, match=r"model\.xml: not a file of `logpose export`") as raised:
        open_network(file)
    assert "\n" not in str(raised.value)
