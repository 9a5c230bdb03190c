"""Weights among other things: the tensors are taken, and nothing else is made or run."""

from __future__ import annotations

import os
import shutil
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.models import RegressionModel, ResNet
from logpose.models.weight_files import Inert, checkpoint_path, fetched, own_checkpoint, read_state_dict
from logpose.training.checkpoint import save


class Bomb:
    """Runs code where a pickle is trusted."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


class History:
    """Something of a kind of its own, as mmengine's runner keeps it in its checkpoints."""

    def __init__(self, *values: float) -> None:
        self.values, self.last = np.array(values), {"last": values[-1]}


def weights() -> OrderedDict[str, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).half()
    state = layer.state_dict()
    state["own"] = torch.randn(4, 2).T  # not contiguous
    return state


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_read_from_among_anything(tmp_path: Path, legacy: bool) -> None:
    """Settings with arrays of NumPy, histories, paths: as a runner writes them beside the weights."""
    beside = {
        "meta": {"sigmas": np.ones(17), "score": np.float64(0.7), "at": Path("x")},
        "history": {"loss": History(1.0, 2.0), "nested": [History(3.0)] * 2},
        "builtins": [slice(1, 2), range(3), frozenset({4}), "ab".upper],
    }
    expected = weights()
    torch.save({**beside, "state_dict": expected}, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = read_state_dict(tmp_path / "a.pth")
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


@pytest.mark.parametrize("also", [{}, {"meta": np.ones(3)}])
def test_code_beside_the_tensors_is_not_run(tmp_path: Path, also: dict[str, object]) -> None:
    torch.save({**also, "bomb": Bomb(tmp_path / "boom"), "state_dict": weights()}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: not a weights file that can be read safely"):
        read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "boom").exists()
    torch.load(tmp_path / "a.pth", weights_only=False)  # the bomb is real
    assert (tmp_path / "boom").exists()


def test_what_is_no_tensor_where_one_should_be_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(2), "b": Bomb(tmp_path / "boom")}}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: not a weights file that can be read safely \(it holds an object of"):
        read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "boom").exists()


def test_what_stands_for_objects_does_nothing() -> None:
    one = Inert(1, two=3)
    one.__setstate__({"b": 3})
    assert isinstance(one(4), Inert)
    assert vars(one) == {}


# Checkpoints of logpose


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    save(RegressionModel(ResNet(18), Skeleton("x", ("a",)), (32, 32)), None, folder)
    return folder


def test_a_checkpoint_of_logpose_is_recognised(folder: Path, tmp_path: Path) -> None:
    assert own_checkpoint(str(folder)) == folder
    assert own_checkpoint(str(folder / "model.safetensors")) == folder
    torch.save(weights(), tmp_path / "theirs.pth")
    assert own_checkpoint(str(tmp_path / "theirs.pth")) is None
    assert [own_checkpoint(word) for word in ("random", "imagenet", "coco")] == [None] * 3
    with pytest.raises(InputError, match="gone"):
        own_checkpoint(str(tmp_path / "gone"))


@pytest.mark.parametrize("inner", ["", "/model.safetensors", "/deep/model.safetensors"])
def test_of_a_repository_on_the_hub_the_description_is_fetched_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    def download(repository: str, file: str) -> str:
        assert repository == "someone/pose"
        (tmp_path / file).parent.mkdir(exist_ok=True)
        if not (folder / Path(file).name).is_file():
            raise OSError("no such file")
        return str(shutil.copy(folder / Path(file).name, tmp_path / file))

    hub = ModuleType("huggingface_hub")
    hub.hf_hub_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    found = own_checkpoint(f"hf://someone/pose{inner}")
    assert found == (tmp_path / "deep" if "deep" in inner else tmp_path)
    assert found is not None
    assert (found / "config.json").is_file()


def test_what_names_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    assert checkpoint_path("run") == Path("run")
    (tmp_path / "run" / "best.ckpt").touch()
    assert checkpoint_path(tmp_path / "run") == tmp_path / "run" / "best.ckpt"
    (tmp_path / "run" / "model.safetensors").touch()
    assert checkpoint_path("run") == Path("run")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    # What is misspelt here is looked for nowhere else.
    for here in ("run/bset.ckpt", "gone/best.ckpt", "run/gone", "gone", "a/b/c", str(tmp_path / "gone")):
        assert checkpoint_path(here) == Path(here)
    for there, token in (("me/mine", "me/mine: no such file"), ("hf://me/mine", "hf://me/mine: the Hub")):
        with pytest.raises(InputError, match=token):
            checkpoint_path(there)
    hub = ModuleType("huggingface_hub")
    asked: list[str] = []
    hub.snapshot_download = lambda name, **_: asked.append(name) or str(tmp_path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    for there in ("me/mine", "hf://me/mine", Path("hf://me/mine-1.0"), "hf://run/gone"):
        assert checkpoint_path(there) == tmp_path
    assert asked == ["me/mine", "me/mine", "me/mine-1.0", "run/gone"]


@pytest.mark.parametrize("start", ["hf://me/", "https://", "http://"])
def test_of_files_that_belong_together_one_is_not_fetched(start: str) -> None:
    with pytest.raises(InputError, match="binary files must lie beside it"):
        fetched(f"{start}mine/movenet.json")
