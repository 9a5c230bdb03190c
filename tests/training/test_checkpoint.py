"""What is written can be read, alone and safely; what cannot be read is refused in one line."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from logpose.core.errors import DamagedFileError, InputError
from logpose.core.skeletons import COCO, HUMANEVA, Skeleton
from logpose.core.structures import LEVELS, ErrorDistribution
from logpose.flows import RealNVP
from logpose.losses import Gaussian, L1Loss, L2Loss, Laplace, LikelihoodLoss, MixedRLELoss, RLELoss
from logpose.models import (
    LiftingModel,
    PointSetAnchors,
    PointSetOptions,
    PoseModel,
    RegressionModel,
    ResNet,
    create_backbone,
)
from logpose.training.checkpoint import describe, load, load_model, save

SIZE = (32, 32)
FACE = Skeleton("face", ("left_eye", "right_eye", "nose"), bones=((0, 2),), oks_sigmas=(0.02, 0.02, 0.03))

pytestmark = pytest.mark.usefixtures("thin_module")


class Tiny(nn.Module):
    """A backbone of one's own."""

    channels = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def content(model: PoseModel, loss: LikelihoodLoss) -> dict[str, Any]:
    """What Lightning writes of a module with these two, and our entry."""
    state = {f"model.{name}": t for name, t in model.state_dict().items()}
    state |= {f"loss.{name}": t for name, t in loss.state_dict().items()}
    return {"epoch": 3, "state_dict": state, "optimizer_states": [], "logpose": describe(model, loss)}


def disturbed(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.nan_to_num_(1.0).add_(0.1 * torch.rand_like(tensor))
    return module


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A sound checkpoint with a small backbone of one's own, and its content."""
    torch.manual_seed(0)
    whole = content(RegressionModel(Tiny(), FACE, SIZE), RLELoss(RealNVP(2, 2, (4,))))
    torch.save(whole, tmp_path / "tiny.ckpt")
    return tmp_path / "tiny.ckpt", whole


LOSSES: dict[str, Callable[[], LikelihoodLoss]] = {
    "l1": L1Loss,
    "l2": L2Loss,
    "laplace": Laplace,
    "gaussian": Gaussian,
    "rle": lambda: RLELoss(RealNVP(2, 2, (8, 8))),
    "small flow": lambda: RLELoss(RealNVP(2, 3, (8, 8, 8), "silu"), base="gaussian", gradient_reweighting=0.5),
    "released": lambda: RLELoss(convention="released", mode="dle"),
    "basic": lambda: RLELoss(mode="basic"),
    "mixed": lambda: MixedRLELoss(RLELoss(RealNVP(3, 2, (8,)), dim=3), RLELoss(RealNVP(2, 2, (8,)))),
    "3-D": lambda: RLELoss(RealNVP(3, 2, (8,)), dim=3),
}


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES.keys())
def test_round_trip(tmp_path: Path, make: Callable[[], LikelihoodLoss]) -> None:
    torch.manual_seed(0)
    loss = make()
    model = RegressionModel(
        ResNet(18), FACE, SIZE, loss.dim, predicts_sigma=loss.learns_sigma, padding=1.4, pixel_mean=(0.1, 0.2, 0.3)
    )
    disturbed(model).eval()
    disturbed(loss).eval()
    model.set_error_distribution(ErrorDistribution(torch.rand(loss.dim), torch.rand(loss.dim), torch.rand(len(LEVELS))))
    torch.save(content(model, loss), tmp_path / "model.ckpt")
    again, loss_again = load(tmp_path / "model.ckpt")
    assert not again.training
    assert loss_again is not None
    assert not loss_again.training
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    with torch.no_grad():
        expected, found = model(images), again(images)
        for name in ("mu", "sigma", "confidence", "mean", "std"):
            assert torch.equal(getattr(found, name), getattr(expected, name))
        x = torch.randn(2, 3, loss.dim)
        assert torch.equal(loss_again.log_prob(found.mu, found.sigma, x), loss.log_prob(found.mu, found.sigma, x))
    assert (again.skeleton, again.size, again.dim, again.padding) == (FACE_READ, SIZE, loss.dim, 1.4)
    assert torch.equal(again.error_distribution.radius, model.error_distribution.radius)
    assert describe(again, loss_again) == describe(model, loss)
    assert torch.equal(load_model(str(tmp_path / "model.ckpt"))(images).mu, found.mu)


FACE_READ = Skeleton.from_config(FACE.config())


def test_what_is_described_is_plain() -> None:
    entry = describe(RegressionModel(ResNet(18), COCO, (256, 192)), RLELoss())

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
        return all(map(plain, value)) if isinstance(value, list) else isinstance(value, str | int | float | None)

    assert plain(entry)
    assert entry["format"] == 2
    assert entry["loss"]["kind"] == "RLELoss"


def test_a_backbone_of_ones_own_is_passed_in(tiny: tuple[Path, dict[str, Any]]) -> None:
    path, whole = tiny
    with pytest.raises(InputError, match=r"tiny\.ckpt: .*load_model"):
        load_model(path)
    model = load_model(path, backbone=Tiny())
    assert torch.equal(model.backbone.conv.weight, whole["state_dict"]["model.backbone.conv.weight"])
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_model(path, backbone=ResNet(18))


class OwnDensity(nn.Module):
    def log_prob(self, x: Tensor, /) -> Tensor:
        return x.square().sum(dim=-1)

    def sample(self, count: int, /) -> Tensor:
        return torch.zeros(count, 2)


class OwnLoss(Laplace):
    """Not one of ours."""


@pytest.mark.parametrize("loss", [RLELoss(OwnDensity()), OwnLoss()])
def test_a_loss_of_ones_own_is_left_out(tmp_path: Path, loss: LikelihoodLoss) -> None:
    torch.save(content(RegressionModel(ResNet(18), FACE, SIZE), loss), tmp_path / "own.ckpt")
    model, found = load(tmp_path / "own.ckpt")
    assert found is None
    assert model.skeleton.joints == FACE.joints


# Files that are none


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_with_code_is_not_run(tiny: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    torch.save(tiny[1] | {"callbacks": Bomb(tmp_path / "boom")}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match=r"evil\.ckpt: not a checkpoint, or damaged"):
        load(tmp_path / "evil.ckpt", Tiny())
    assert not (tmp_path / "boom").exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.ckpt: no such checkpoint"):
        load(tmp_path / "gone.ckpt")
    with pytest.raises(InputError, match="no such checkpoint"):
        load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_breaks_off(tiny: tuple[Path, dict[str, Any]], share: float) -> None:
    path, _ = tiny
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"tiny\.ckpt: not a checkpoint, or damaged") as caught:
        load(path, Tiny())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_random_bytes(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for length in (1, 10, 1000):
        data = torch.randint(0, 256, (length,), dtype=torch.uint8, generator=generator).numpy().tobytes()
        (tmp_path / "x.ckpt").write_bytes(data)
        with pytest.raises(InputError, match=r"x\.ckpt: not a checkpoint, or damaged"):
            load(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    "other", [torch.zeros(3), [1, 2], {"state_dict": {}}, {"logpose": {"format": 2}}, {"logpose": 5, "state_dict": {}}]
)
def test_torch_files_that_are_no_checkpoint(tmp_path: Path, other: object) -> None:
    torch.save(other, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match=r"x\.ckpt: not a checkpoint of logpose .`logpose convert` reads"):
        load(tmp_path / "x.ckpt")


@pytest.mark.parametrize("number", [0, 3, "1", None])
def test_another_format(tiny: tuple[Path, dict[str, Any]], number: object) -> None:
    path, whole = tiny
    whole["logpose"]["format"] = number
    torch.save(whole, path)
    with pytest.raises(InputError, match=rf"tiny\.ckpt: .*format {number}"):
        load(path, Tiny())


def edit(*keys: str, value: Any = None, drop: bool = False) -> Callable[[dict[str, Any]], None]:
    def apply(whole: dict[str, Any]) -> None:
        for key in keys[:-1]:
            whole = whole[key]
        if drop:
            del whole[keys[-1]]
        else:
            whole[keys[-1]] = value

    return apply


DAMAGE = {
    "no model": edit("logpose", "model", drop=True),
    "no loss": edit("logpose", "loss", drop=True),
    "model is a number": edit("logpose", "model", value=3),
    "loss is a list": edit("logpose", "loss", value=[1]),
    "another kind of model": edit("logpose", "model", "kind", value="heatmap"),
    "no size": edit("logpose", "model", "size", drop=True),
    "size of nothing": edit("logpose", "model", "size", value=[]),
    "size of words": edit("logpose", "model", "size", value=["a", "b"]),
    "size without end": edit("logpose", "model", "size", value=[float("inf"), 3]),
    "skeleton without joints": edit("logpose", "model", "skeleton", value={"name": "x"}),
    "more joints than weights": edit("logpose", "model", "skeleton", "joints", value=["a", "b", "c", "d"]),
    "unknown loss": edit("logpose", "loss", "convention", value="mine"),
    "unhashable loss": edit("logpose", "loss", "kind", value=["RLELoss"]),
    "one more option": edit("logpose", "loss", "unexpected", value=1),
    "flow of one dimension": edit("logpose", "loss", "flow", "dim", value=1),
    "flow that is none": edit("logpose", "loss", "flow", value=7),
    "another activation": edit("logpose", "loss", "flow", "activation", value="dropout"),
    "hidden is a number": edit("logpose", "loss", "flow", "hidden", value=4),
    "missing tensor of the model": edit("state_dict", "model.fc_mu.bias", drop=True),
    "missing tensor of the loss": edit("state_dict", "loss.flow.biases.0", drop=True),
    "tensor of another shape": edit("state_dict", "model.fc_mu.bias", value=torch.zeros(3)),
    "tensor that is a word": edit("state_dict", "model.fc_mu.bias", value="word"),
    "a tensor too many": edit("state_dict", "model.fc_other.bias", value=torch.zeros(3)),
    "state is a list": edit("state_dict", value=[1]),
    "names that are numbers": edit("state_dict", value={1: torch.zeros(1)}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_entries(tiny: tuple[Path, dict[str, Any]], damage: Callable[[dict[str, Any]], None]) -> None:
    path, whole = tiny
    assert load(path, Tiny())[1] is not None
    whole = copy.deepcopy(whole)
    damage(whole)
    torch.save(whole, path)
    with pytest.raises(InputError, match=r"tiny\.ckpt: ") as caught:
        load(path, Tiny())
    assert "\n" not in str(caught.value)


def test_unknown_backbones_and_losses(tiny: tuple[Path, dict[str, Any]]) -> None:
    path, whole = tiny
    whole["logpose"]["model"]["backbone"] = {"kind": "resnet", "depth": 19}
    torch.save(whole, path)
    with pytest.raises(InputError, match=r"tiny\.ckpt: .*19"):
        load(path)


@pytest.mark.parametrize(("kind", "warned"), [("Other", True), (None, False)])
def test_a_loss_that_nobody_knows_is_reported(
    tiny: tuple[Path, dict[str, Any]], caplog: pytest.LogCaptureFixture, kind: str | None, warned: bool
) -> None:
    path, whole = tiny
    whole["logpose"]["loss"] = {"kind": kind}
    torch.save(whole, path)
    assert load(path, Tiny())[1] is None
    assert len(caplog.records) == warned
    assert all("Other" in record.message for record in caplog.records)


@pytest.mark.parametrize("sigma", [False, True])
def test_point_set_anchors_come_back_with_their_template(tmp_path: Path, sigma: bool) -> None:
    torch.manual_seed(0)
    options = PointSetOptions(channels=16, depth=1, scale=4.0, thresholds=((0.5, 0.4),), snap=False)
    backbone = create_backbone("resnet18", (64, 64))
    model = PointSetAnchors(backbone, COCO, sigma, options, short=64, longest=96).eval()
    model.set_template(model.template * 1.5)
    save(model, RLELoss() if sigma else L1Loss(), tmp_path / "model")
    again, loss = load(tmp_path / "model")
    assert isinstance(again, PointSetAnchors)
    assert isinstance(loss, RLELoss if sigma else L1Loss)
    assert again.config() == model.config()
    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    (one,), (other,) = model(image), again(image)
    assert torch.equal(one.keypoints(), other.keypoints())
    assert torch.equal(one.box_scores, other.box_scores)


def test_a_flipped_bit_of_either_form_is_noticed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LiftingModel("fc", HUMANEVA, settings={"width": 8})
    save(model, None, tmp_path)
    load(tmp_path)
    file = tmp_path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"model\.safetensors"):
        load(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["sha256"]  # of version 0.1
    (tmp_path / "config.json").write_text(json.dumps(config))
    load(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="of files without modes")
def test_others_may_read_a_folder_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save(RegressionModel(ResNet(18), COCO, (64, 48)), RLELoss(), tmp_path / "made")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "made").iterdir()} == {0o644}
