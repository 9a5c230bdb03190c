"""Backbones by name, weights from files that may be anything, and timm where it is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from urllib.error import HTTPError, URLError

import pytest
import torch
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.models import ResNet, create_backbone, load_backbone_weights
from logpose.models.resnet import IMAGENET_URLS

SIZE = (64, 48)

pytestmark = pytest.mark.usefixtures("thin_module")


def torchvision_state(depth: int = 18) -> dict[str, Tensor]:
    """A state dict as torchvision publishes: with a classifier, every value its own."""
    torch.manual_seed(3)
    state = {
        name: torch.rand_like(t) if t.is_floating_point() else t + 7 for name, t in ResNet(depth).state_dict().items()
    }
    return state | {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}


def is_filled(backbone: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_resnets_by_name(depth: int) -> None:
    with torch.device("meta"):
        backbone = create_backbone(f"resnet{depth}", SIZE)
    assert isinstance(backbone, ResNet)
    assert backbone.name == f"resnet{depth}"


@pytest.mark.parametrize("name", ["resnet19", "ResNet50", "", "resnet", "hrnet_w18", "../resnet18"])
def test_unknown_names_list_the_known(name: str) -> None:
    with pytest.raises(InputError, match=r"no backbone .*resnet18, .*timm/NAME"):
        create_backbone(name, SIZE)


# Weights from whole checkpoints


@pytest.mark.parametrize(
    "prefix",
    ["model.backbone.", "backbone.", "preact.", "module.preact.", "model.backbone.body.", "model.trunk.backbone."],
)
def test_a_checkpoint_s_backbone_is_taken(tmp_path: Path, prefix: str) -> None:
    state = torchvision_state()
    whole = {prefix + name: value for name, value in state.items()} | {"loss.flow.biases.0": torch.zeros(3)}
    torch.save({"state_dict": whole, "epoch": 3}, tmp_path / "whole.ckpt")
    backbone = create_backbone("resnet18", SIZE)
    load_backbone_weights(backbone, str(tmp_path / "whole.ckpt"))
    assert is_filled(backbone, state)


@pytest.mark.parametrize(
    ("extra", "mean", "std"),
    [
        ({"preact.conv1.weight": None, "flow.mask": 0}, (0.406, 0.457, 0.480), (1, 1, 1)),
        ({"preact.conv1.weight": None, "flow3d.mask": 0}, (0.406, 0.457, 0.480), (0.225, 0.224, 0.229)),
        ({"model.pixel_mean": 0.5, "model.pixel_std": 0.25}, (0.5,) * 3, (0.25,) * 3),
        ({"unknown": 0}, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
    ids=["released", "released 3-D", "ours", "torchvision"],
)
def test_a_checkpoint_s_channel_statistics_come_with_it(tmp_path: Path, make_recipe, extra, mean, std) -> None:
    """Weights see pixels as those did that they were trained on, whichever recipe goes on with them."""
    prefix = "preact." if "preact.conv1.weight" in extra else "model.backbone." if "model.pixel_mean" in extra else ""
    whole = {prefix + name: value for name, value in torchvision_state().items()}
    whole |= {name: torch.full((3, 1, 1), float(v)) for name, v in extra.items() if v is not None}
    torch.save(whole, tmp_path / "whole.pth")
    recipe = make_recipe(weights=str(tmp_path / "whole.pth"))
    model = recipe.model(recipe, COCO, True)
    torch.testing.assert_close(model.pixel_mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(model.pixel_std.flatten(), torch.tensor(std, dtype=torch.float32))


# Weights from files


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_torchvisions_file(tmp_path: Path, wrapped: bool) -> None:
    state = torchvision_state()
    file = tmp_path / "weights.pth"
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, file)
    backbone = create_backbone("resnet18", SIZE)
    assert not is_filled(backbone, state)
    load_backbone_weights(backbone, str(file))
    assert is_filled(backbone, state)


def test_old_files_do_not_count_batches(tmp_path: Path) -> None:
    state = {name: value for name, value in torchvision_state().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "old.pth")
    backbone = create_backbone("resnet18", SIZE)
    load_backbone_weights(backbone, str(tmp_path / "old.pth"))
    assert torch.equal(backbone.conv1.weight, state["conv1.weight"])


def test_weights_in_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    state = torchvision_state()
    safetensors.save_file(state, tmp_path / "weights.safetensors")
    backbone = create_backbone("resnet18", SIZE)
    load_backbone_weights(backbone, str(tmp_path / "weights.safetensors"))
    assert is_filled(backbone, state)
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{not json")
    with pytest.raises(InputError, match=r"bad\.safetensors: not a weights file"):
        load_backbone_weights(backbone, str(tmp_path / "bad.safetensors"))


class Own(nn.Module):
    """A backbone of one's own with a part that is called like a classifier."""

    channels = 4

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


def test_a_part_called_head_is_filled_too(tmp_path: Path) -> None:
    state = {**Own().state_dict(), "classifier.weight": torch.zeros(3)}
    torch.save(state, tmp_path / "own.pth")
    own = Own()
    load_backbone_weights(own, str(tmp_path / "own.pth"))
    assert is_filled(own, state)


def test_random_weights_are_left_as_they_are() -> None:
    backbone = create_backbone("resnet18", SIZE)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    load_backbone_weights(backbone, "random")
    assert is_filled(backbone, before)


def test_a_text_is_no_weights_file(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("root:x:0:0:root:/root:/bin/bash\n")
    with pytest.raises(InputError, match=r"text\.pth: not a weights file .*it was not written by torch\.save"):
        load_backbone_weights(create_backbone("resnet18", SIZE), str(tmp_path / "text.pth"))


class Bomb:
    """Runs code where a pickle is trusted."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Bomb(tmp_path / "boom")}, tmp_path / "evil.pth")
    backbone = create_backbone("resnet18", SIZE)
    with pytest.raises(InputError, match=r"evil\.pth: not a weights file that can be read safely"):
        load_backbone_weights(backbone, str(tmp_path / "evil.pth"))
    assert not (tmp_path / "boom").exists()
    # The bomb is real: code that trusts the file runs it.
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", bytes(range(256)) * 20, b"PK\x03\x04" + b"\0" * 50])
def test_files_that_are_no_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.pth: not a weights file"):
        load_backbone_weights(create_backbone("resnet18", SIZE), str(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], {"a": 1}, {"state_dict": {"a": "b"}}, torch.zeros(3), {1: torch.zeros(2)}]
)
def test_files_without_a_dictionary_of_tensors(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"x\.pth: holds no dictionary of tensors"):
        load_backbone_weights(create_backbone("resnet18", SIZE), str(tmp_path / "x.pth"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.pth: no such weights file \(give a file, an address, "):
        load_backbone_weights(create_backbone("resnet18", SIZE), str(tmp_path / "gone.pth"))
    with pytest.raises(InputError, match="no such weights file"):
        load_backbone_weights(create_backbone("resnet18", SIZE), str(tmp_path))


def test_weights_of_another_network_change_nothing(tmp_path: Path) -> None:
    state = torchvision_state()
    backbone = create_backbone("resnet18", SIZE)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    state["layer4.1.bn2.bias"] = torch.zeros(3)
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(
        InputError, match=r"not weights of resnet18; 2 tensors .* the first is layer1\.0\.conv1\.weight"
    ):
        load_backbone_weights(backbone, str(tmp_path / "x.pth"))
    assert is_filled(backbone, before)


# Weights from the network


def test_imagenet_weights_are_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    state, asked = torchvision_state(), {}

    def download(url: str, **options: object) -> dict[str, Tensor]:
        asked.update(options, url=url)
        return state

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    backbone = create_backbone("resnet18", SIZE)
    load_backbone_weights(backbone, "imagenet")
    assert is_filled(backbone, state)
    assert asked["url"] == IMAGENET_URLS[18]
    assert asked["weights_only"] is True
    assert asked["check_hash"] is True


@pytest.mark.parametrize(
    "error",
    [
        URLError("name resolution"),
        HTTPError("https://x", 503, "unavailable", None, None),  # type: ignore[arg-type]
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
        RuntimeError("invalid hash value"),
    ],
)
def test_without_a_network_the_alternatives_are_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    with pytest.raises(InputError, match=r"resnet18 could not be downloaded .*--weights FILE.*--weights random"):
        load_backbone_weights(create_backbone("resnet18", SIZE), "imagenet")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a web server that offers weights.pth; torch's cache is an empty folder."""
    (tmp_path / "www").mkdir()
    torch.save(torchvision_state(), tmp_path / "www" / "weights.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www"))) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_weights_from_an_address_are_downloaded_once(server: str, tmp_path: Path) -> None:
    for _ in range(2):  # the second time from the cache
        backbone = create_backbone("resnet18", SIZE)
        load_backbone_weights(backbone, f"{server}/weights.pth?download=true")
        assert is_filled(backbone, torchvision_state())
        (tmp_path / "www" / "weights.pth").unlink(missing_ok=True)


def test_an_address_without_weights(server: str) -> None:
    with pytest.raises(InputError, match=r"gone\.pth: cannot be downloaded \(.*404.*give a file instead"):
        load_backbone_weights(create_backbone("resnet18", SIZE), f"{server}/gone.pth")


def test_weights_from_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.save(torchvision_state(), tmp_path / "weights.pth")
    hub = ModuleType("huggingface_hub")
    asked: list[tuple[str, str]] = []
    hub.hf_hub_download = lambda *words: asked.append(words) or str(tmp_path / "weights.pth")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    backbone = create_backbone("resnet18", SIZE)
    load_backbone_weights(backbone, "hf://someone/pose/deep/weights.pth")
    assert asked == [("someone/pose", "deep/weights.pth")]
    assert is_filled(backbone, torchvision_state())
    with pytest.raises(InputError, match="hf://someone: not of the form hf://OWNER/NAME/FILE"):
        load_backbone_weights(backbone, "hf://someone")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'logpose-keypoints\[hub\]'"):
        load_backbone_weights(backbone, "hf://someone/pose/weights.pth")


def test_there_are_no_imagenet_weights_of_ones_own_backbone() -> None:
    with pytest.raises(InputError, match="no ImageNet weights are known for Own"):
        load_backbone_weights(Own(), "imagenet")
