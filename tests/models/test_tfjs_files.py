"""Files of TensorFlow.js: what they hold, and what lies about its sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.tensorflow_js import write_tfjs

from logpose.core.errors import InputError
from logpose.models.tfjs_files import read_tfjs

RNG = np.random.default_rng(0)
TENSORS = {
    "a/kernel": RNG.normal(size=(3, 2, 1, 4)).astype(np.float32),
    "a/bias": RNG.normal(size=4).astype(np.float32),
    "steps": np.array(7, np.int32),
    "empty": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
}


@pytest.mark.parametrize(
    ("dtype", "error"), [("float32", 0.0), ("float16", 2e-3), ("uint16", 1e-4), ("uint8", 2e-2)]
)  # steps of a half, and of 5 units in 65,535 and in 255
def test_every_tensor_has_its_values(tmp_path: Path, dtype: str, error: float) -> None:
    tensors = TENSORS if dtype in ("float32", "float16") else {k: v for k, v in TENSORS.items() if k != "empty"}
    found = read_tfjs(write_tfjs(tmp_path / "model.json", tensors, dtype))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].numpy().dtype == tensor.dtype
        np.testing.assert_allclose(found[name].numpy(), tensor, rtol=0, atol=error if tensor.dtype.kind == "f" else 0)


def test_tensors_in_several_files(tmp_path: Path) -> None:
    """A tensor may begin in one file and end in the next."""
    file = write_tfjs(tmp_path / "model.json", TENSORS, "float32")
    content, manifest = (tmp_path / "model.bin").read_bytes(), json.loads(file.read_text())
    manifest["weightsManifest"][0]["paths"] = ["shard1", "shard2"]
    (tmp_path / "shard1").write_bytes(content[:10])
    (tmp_path / "shard2").write_bytes(content[10:])
    file.write_text(json.dumps(manifest))
    assert all(np.array_equal(read_tfjs(file)[name].numpy(), tensor) for name, tensor in TENSORS.items())


ENTRY = {"name": "a", "shape": [2], "dtype": "float32"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"shape": [3]}, r"describes 12 bytes of weights, and there are 8 in model\.bin"),
        ({"shape": [1]}, r"describes 4 bytes of weights, and there are 8"),
        ({"shape": [2**30, 2**30, 2**30]}, "is not a shape"),
        ({"shape": [-2]}, r"weight a: \[-2\] is not a shape"),
        ({"shape": [2.0]}, "is not a shape"),
        ({"shape": [[2]]}, "is not a shape"),
        ({"shape": "2"}, "is not a shape"),
        ({"shape": [1] * 40}, "is not a shape"),
        ({"shape": [2**31 - 1] * 3 + [0]}, "is not a shape"),
        ({"dtype": "string"}, "type 'string' is none of"),
        ({"dtype": ["float32"]}, "is none of"),
        ({"quantization": {"dtype": "object"}}, "type 'object' is none of"),
        ({"quantization": "uint8"}, "is none of|type"),
        ({"shape": [8], "quantization": {"dtype": "uint8"}}, "no scale and min"),
        ({"shape": [8], "quantization": {"dtype": "uint8", "scale": float("inf"), "min": 0}}, "no scale and min"),
        ({"shape": [8], "quantization": {"dtype": "uint8", "scale": 10**400, "min": 0}}, "no scale and min"),
        ({"shape": [8], "quantization": {"dtype": "uint8", "scale": 1e300, "min": 0}}, "no scale and min"),
        ({"name": 3}, "a weight has no name"),
    ],
)
def test_a_weight_that_cannot_be(tmp_path: Path, entry: dict, message: str) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(8))
    manifest = [{"paths": ["model.bin"], "weights": [ENTRY | entry]}]
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    with pytest.raises(InputError, match=rf"model\.json: .*({message})"):
        read_tfjs(tmp_path / "model.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "no weightsManifest"),
        ("{}", "no weightsManifest"),
        ('{"weightsManifest": []}', "no weightsManifest"),
        ('{"weightsManifest": [3]}', "no weights or no paths"),
        ('{"weightsManifest": [{"paths": [], "weights": {}}]}', "no weights or no paths"),
        ('{"weightsManifest": [{"paths": [], "weights": [3]}]}', "has no name"),
        ('{"weightsManifest": [{"paths": ["../../etc/passwd"], "weights": []}]}', "not the name of a file beside it"),
        ('{"weightsManifest": [{"paths": ["/etc/passwd"], "weights": []}]}', "not the name of a file beside it"),
        ('{"weightsManifest": [{"paths": [".."], "weights": []}]}', "not the name of a file beside it"),
        ('{"weightsManifest": [{"paths": [7], "weights": []}]}', "not the name of a file beside it"),
        ('{"weightsManifest": [{"paths": ["gone.bin"], "weights": []}]}', "gone.bin: no such file"),
        (f'{{"weightsManifest": [{{"paths": ["{"x" * 300}"], "weights": []}}]}}', "no such file"),
        ("{", "not JSON"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_tfjs(tmp_path / "model.json")


def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(16))
    manifest = [{"paths": ["model.bin"], "weights": [ENTRY, ENTRY]}]
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    with pytest.raises(InputError, match="weight a is there twice"):
        read_tfjs(tmp_path / "model.json")
