"""Other codes' checkpoints, against plain transcriptions of their networks; folders and the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tensorflow_js import NETWORK, PREFIX, movenet, published, write_tfjs
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, LSP, MPII
from logpose.losses import L1Loss, MixedRLELoss, RLELoss
from logpose.models import HRNet, RegressionModel, ResNet, create_backbone, load_backbone_weights
from logpose.training import interop
from logpose.training.checkpoint import load, load_model, save
from logpose.training.interop import (
    from_pretrained,
    load_heatmaps,
    load_mmpose,
    load_movenet,
    load_released,
    load_weights,
    push_to_hub,
)

pytestmark = pytest.mark.usefixtures("thin_module")


def disturbed(module: nn.Module, seed: int = 0) -> nn.Module:
    """With weights, statistics and biases that do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dtype.is_floating_point and "mask" not in name:
                noise = 0.02 * torch.randn(tensor.shape, generator=generator)
                tensor.add_(noise.abs() if name.endswith("running_var") else noise)
    return module.eval()


class TheirFlow(nn.Module):
    """RealNVP as both codes have it: a `Sequential` for each layer and purpose (FACTS §1.3)."""

    def __init__(self, masks: list[list[float]], hidden: int = 64) -> None:
        super().__init__()
        dim = len(masks[0])
        self.register_buffer("mask", torch.tensor(masks))

        def net(*last: nn.Module) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(dim, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(),
                nn.Linear(hidden, dim), *last,
            )  # fmt: skip

        self.s = nn.ModuleList(net(nn.Tanh()) for _ in masks)
        self.t = nn.ModuleList(net() for _ in masks)

    def log_prob(self, x: Tensor) -> Tensor:
        log_det, z = x.new_zeros(len(x)), x
        for i in reversed(range(len(self.mask))):
            kept = self.mask[i] * z
            s = self.s[i](kept) * (1 - self.mask[i])
            t = self.t[i](kept) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + kept
            log_det = log_det - s.sum(dim=1)
        dim = x.shape[1]
        return torch.distributions.MultivariateNormal(torch.zeros(dim), torch.eye(dim)).log_prob(z) + log_det


class Linear(nn.Module):
    """The released code's linear layer, with or without its scaling by the length of what it reads."""

    def __init__(self, channels: int, out: int, norm: bool) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(channels, out), norm

    def forward(self, x: Tensor) -> Tensor:
        y = x.matmul(self.linear.weight.t())
        if self.norm:
            y = y / torch.norm(x, dim=1, keepdim=True)
        return y + self.linear.bias


FLAT = [[0.0, 1.0], [1.0, 0.0]] * 3
SPATIAL = [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]] * 3


class Released(nn.Module):
    """The released network (FACTS §1.6, §3.1 and §3.2)."""

    def __init__(self, depth: int, joints: int = 17, dim: int = 2) -> None:
        super().__init__()
        self.preact = ResNet(depth)
        self.joints, self.dim = joints, dim
        self.fc_coord = Linear(self.preact.channels, joints * dim, norm=True)
        if dim == 2:
            self.fc_sigma: nn.Module = Linear(self.preact.channels, joints * dim, norm=False)
            self.flow = TheirFlow(FLAT)
        else:
            self.fc_sigma = nn.Linear(self.preact.channels, joints * dim)
            self.flow2d, self.flow3d = TheirFlow(FLAT), TheirFlow(SPATIAL)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.float() / 255
        for channel, mean in enumerate((0.406, 0.457, 0.480)):
            x[:, channel] -= mean
        if self.dim == 3:
            for channel, std in enumerate((0.225, 0.224, 0.229)):
                x[:, channel] /= std
        x = self.preact(x).mean(dim=(2, 3))
        shape = (len(images), self.joints, self.dim)
        return self.fc_coord(x).reshape(shape), self.fc_sigma(x).reshape(shape).sigmoid()


class MMPose(nn.Module):
    """mmpose's RLE head on a ResNet (FACTS §1.7): x, y and two logits of each joint, positions in [0, 1]."""

    def __init__(self, depth: int, joints: int = 17) -> None:
        super().__init__()
        self.backbone = ResNet(depth)
        self.head = nn.Module()
        self.head.fc = nn.Linear(self.backbone.channels, 4 * joints)
        self.head.loss_module = nn.Module()
        self.head.loss_module.flow_model = TheirFlow(FLAT)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = (images.float() - torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)) / torch.tensor(
            [58.395, 57.12, 57.375]
        ).view(3, 1, 1)
        out = self.head.fc(self.backbone(x).mean(dim=(2, 3))).reshape(len(images), -1, 4)
        return out[..., :2], out[..., 2:].sigmoid()


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (2, 3, 64, 48), generator=torch.Generator().manual_seed(0)).byte()


def written(module: nn.Module, tmp_path: Path, **changes: Tensor | None) -> Path:
    state = dict(module.state_dict())
    for key, value in changes.items():
        state.pop(key) if value is None else state.update({key: value})
    torch.save(state, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


# The paper's


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_a_released_checkpoint_predicts_what_it_did(depth: int, images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = disturbed(Released(depth))
    model, loss = load_released(written(theirs, tmp_path))
    with torch.no_grad():
        mu, sigma = theirs(images)
        ours = model(images)
    torch.testing.assert_close(ours.mu, mu, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.sigma, sigma, atol=1e-5, rtol=0)
    assert (model.size, model.skeleton, model.backbone.name) == ((256, 192), COCO, f"resnet{depth}")
    x = torch.randn(50, 2)
    torch.testing.assert_close(loss.flow.log_prob(x), theirs.flow.log_prob(x), atol=1e-5, rtol=1e-5)
    assert (loss.convention, loss.base) == ("released", "laplace")
    assert model.error_distribution.std.isfinite().all()


@pytest.mark.parametrize("depth", [101, 152])
def test_deep_ones_are_known_by_their_blocks(depth: int) -> None:
    assert interop._depth(Path("x"), ResNet(depth).state_dict()) == depth


def test_a_released_checkpoint_of_three_dimensions(images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = disturbed(Released(18, joints=18, dim=3))
    model, loss = load_released(written(theirs, tmp_path))
    with torch.no_grad():
        mu, sigma = theirs(images)
        ours = model(images)
    torch.testing.assert_close(ours.mu, mu, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.sigma, sigma, atol=1e-5, rtol=0)
    assert isinstance(loss, MixedRLELoss)
    for part, flow, dim in ((loss.plane, theirs.flow2d, 2), (loss.space, theirs.flow3d, 3)):
        x = torch.randn(50, dim)
        torch.testing.assert_close(part.flow.log_prob(x), flow.log_prob(x), atol=1e-5, rtol=1e-5)


# Heatmaps


class SimplePose(nn.Module):
    """The public code's network, by its names: a ResNet's at the top, beside `deconv_layers` and `final_layer`.

    That code reads images as B, G and R, and normalises these as if they were R, G and B; mmpose does not.
    """

    bgr = True

    def __init__(self, depth: int, joints: int = 17) -> None:
        super().__init__()
        for name, part in ResNet(depth).named_children():
            self.add_module(name, part)
        channels, layers = ResNet(depth).channels, []
        for _ in range(3):
            layers += [nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
            channels = 256
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(256, joints, 1)

    def forward(self, images: Tensor) -> Tensor:
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
        images = images[:, [2, 1, 0]] if self.bgr else images
        x = self.maxpool(self.relu(self.bn1(self.conv1((images / 255 - mean) / std))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.final_layer(self.deconv_layers(x))


@pytest.mark.parametrize("of_mmpose", [False, True])
def test_simplepose_draws_what_it_did(of_mmpose: bool, images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = disturbed(SimplePose(18, joints=16))
    theirs.bgr = not of_mmpose
    state = dict(theirs.state_dict())
    if of_mmpose:
        state = {("head." if k.startswith(("deconv", "final")) else "backbone.") + k: v for k, v in state.items()}
    torch.save({"state_dict": state}, tmp_path / "theirs.pth")
    model, loss = load_weights(tmp_path / "theirs.pth")
    with torch.no_grad():
        torch.testing.assert_close(model(images).maps, theirs(images), atol=1e-4, rtol=1e-4)
    assert (model.size, model.skeleton, loss) == ((256, 256), MPII, None)
    # The backbone alone has the same input, in a model that begins with it.
    backbone = create_backbone("resnet18", (256, 256))
    load_backbone_weights(backbone, str(tmp_path / "theirs.pth"))
    assert torch.equal(backbone.conv1.weight, model.backbone.conv1.weight)
    if not of_mmpose:
        assert backbone.pixel_mean == (0.406, 0.456, 0.485)
        assert model.pixel_mean.flatten().tolist() == pytest.approx(backbone.pixel_mean)
        assert model.pixel_std.flatten().tolist() == pytest.approx((0.225, 0.224, 0.229))


@pytest.mark.parametrize("width", [32, 48])
def test_hrnet_with_its_last_layer(width: int, images: Tensor, tmp_path: Path, caplog) -> None:
    torch.manual_seed(0)
    net, last = disturbed(HRNet(width, neck=False)), nn.Conv2d(width, 17, 1)
    state = {**net.state_dict(), **{f"final_layer.{name}": p.detach() for name, p in last.named_parameters()}}
    torch.save(state, tmp_path / "pose_hrnet.pth")
    model, _ = load_weights(tmp_path / "pose_hrnet.pth")
    narrow = images[..., :32]  # whole cells of the coarsest branch
    with torch.no_grad():
        expected = last(net(model.normalised(narrow)))
        torch.testing.assert_close(model(narrow).maps, expected, atol=1e-4, rtol=1e-4)
    if width > 32:
        return  # what follows does not depend on it, and such networks are large
    # The backbone alone, for a model of one's own.
    backbone = create_backbone(f"hrnet_w{width}", (64, 48), neck=False)
    load_backbone_weights(backbone, str(tmp_path / "pose_hrnet.pth"))
    assert torch.equal(backbone.conv1.weight, net.conv1.weight)
    # And one with a neck, for RLE: the neck is not among them.
    necked = create_backbone(f"hrnet_w{width}", (64, 48))
    load_backbone_weights(necked, str(tmp_path / "pose_hrnet.pth"))
    assert torch.equal(
        necked.state_dict()["stage4.2.branches.3.0.conv1.weight"], net.stage4[2].branches[3][0].conv1.weight
    )
    assert any("has no neck of hrnet" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"final_layer.weight": torch.zeros(17, 256)}, "not a 1×1 convolution"),
        ({"final_layer.weight": torch.zeros(21, 256, 1, 1)}, "21 joints in 2 dimensions"),
        ({"deconv_layers.3.weight": None}, r"deconv_layers\.3\.weight"),
        ({"layer2.0.conv1.weight": None}, "is not a resnet18 of ours"),
    ],
)
def test_what_is_wrong_with_heatmaps_is_named(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_heatmaps(written(SimplePose(18), tmp_path, **changes))


# mmpose's

FLOW = "head.loss_module.flow_model."


def test_an_mmpose_checkpoint_predicts_what_it_did(images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = disturbed(MMPose(18))
    file = tmp_path / "theirs.pth"
    torch.save({"meta": {"epoch": 210}, "state_dict": theirs.state_dict()}, file)
    model, loss = load_mmpose(file)
    with torch.no_grad():
        position, sigma = theirs(images)
        ours = model(images)
    torch.testing.assert_close(ours.mu + 0.5, position, atol=1e-5, rtol=0)  # theirs are in [0, 1] of the crop
    torch.testing.assert_close(ours.sigma, sigma, atol=1e-5, rtol=0)
    x = torch.randn(50, 2)
    expected = theirs.head.loss_module.flow_model.log_prob(x)
    torch.testing.assert_close(loss.flow.log_prob(x), expected, atol=1e-5, rtol=1e-5)
    assert loss.convention == "mmpose"


def test_a_checkpoint_as_mmpose_s_runner_writes_it(tmp_path: Path) -> None:
    """With the data set's settings in NumPy's arrays beside the weights."""
    state = MMPose(18).state_dict()
    torch.save({"meta": {"dataset_meta": {"sigmas": np.ones(17)}}, "state_dict": state}, tmp_path / "epoch_1.pth")
    model, loss = load_weights(tmp_path / "epoch_1.pth")
    assert loss.convention == "mmpose"
    assert torch.equal(model.backbone.conv1.weight, state["backbone.conv1.weight"])


def test_names_of_mmpose_before_1_0(images: Tensor, tmp_path: Path) -> None:
    theirs = disturbed(MMPose(18))
    state = {
        key.replace("head.loss_module.", "keypoint_head.loss.").replace("head.fc", "keypoint_head.fc"): value
        for key, value in theirs.state_dict().items()
    }
    assert "keypoint_head.loss.flow_model.mask" in state
    torch.save({"state_dict": state}, tmp_path / "old.pth")
    model, loss = load_weights(tmp_path / "old.pth")
    with torch.no_grad():
        torch.testing.assert_close(model(images).mu + 0.5, theirs(images)[0], atol=1e-5, rtol=0)
    assert loss.convention == "mmpose"


# Either


def test_whose_it_is_is_known_by_the_names(tmp_path: Path, tiny_run: Path) -> None:
    torch.manual_seed(0)
    loss = load_weights(written(Released(18), tmp_path))[1]
    assert loss.convention == "released"
    loss = load_weights(written(MMPose(18), tmp_path))[1]
    assert loss.convention == "mmpose"
    assert load_weights(tiny_run / "best.ckpt")[1].convention == "normalized"


@pytest.mark.parametrize(("size", "side"), [("thunder", 256), ("lightning", 192)])
def test_movenet_predicts_what_it_did(size: str, side: int, tmp_path: Path) -> None:
    """Through `load_weights`, which knows it by its suffix, and a folder."""
    tensors = movenet(size)
    model, loss = load_weights(write_tfjs(tmp_path / "movenet.json", tensors))
    assert (loss, model.skeleton, model.size) == (None, COCO, (side, side))
    save(model, None, tmp_path / "folder")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    with torch.no_grad():
        prediction = load_model(tmp_path / "folder").eval()(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    expected = published(tensors, pixels)
    np.testing.assert_allclose(prediction.mu.numpy() + 0.5, expected[..., [1, 0]], atol=1e-5)
    np.testing.assert_allclose(prediction.confidence.numpy(), expected[..., 2], atol=1e-5)
    with pytest.raises(InputError, match="17 maps do not fit 14 joints"):
        load_movenet(tmp_path / "movenet.json", LSP)


@pytest.mark.parametrize(
    ("lost", "replaced", "message"),
    [
        (f"{NETWORK}model/Conv1/Conv2D_weights", {}, "not a checkpoint of MoveNet for one person, it has no Conv1"),
        ("", {f"{NETWORK}model/Conv1/Conv2D_weights": np.zeros((3, 3, 3, 40), np.float32)}, "Conv1 has 40 outputs"),
        ("", {f"{NETWORK}model/Conv1/Conv2D_weights": np.zeros((), np.float32)}, "Conv1 has 0 outputs"),
        ("", {f"{NETWORK}model/block_3_expand/Conv2D_bn_offset": np.zeros(7, np.float32)}, "block_3_expand"),
        (f"{PREFIX}center_0/conv2d_4/BiasAdd/ReadVariableOp", {}, r"center\.\* is not"),
    ],
)
def test_what_is_not_movenet_is_refused(lost: str, replaced: dict, message: str, tmp_path: Path) -> None:
    tensors = movenet("lightning") | replaced
    tensors.pop(lost, None)
    with pytest.raises(InputError, match=rf"movenet\.json: .*{message}"):
        load_weights(write_tfjs(tmp_path / "movenet.json", tensors))


def test_names_of_training_on_several_devices(tmp_path: Path, images: Tensor) -> None:
    theirs = disturbed(Released(18))
    torch.save({f"module.{key}": value for key, value in theirs.state_dict().items()}, tmp_path / "a.pth")
    with torch.no_grad():
        torch.testing.assert_close(load_weights(tmp_path / "a.pth")[0](images).mu, theirs(images)[0], atol=1e-5, rtol=0)


def test_a_skeleton_and_size_of_one_s_own(tmp_path: Path) -> None:
    file = written(Released(18, joints=14), tmp_path)
    with pytest.raises(InputError, match="14 joints in 2 dimensions"):
        load_released(file)
    model, _ = load_released(file, LSP, (128, 96))
    assert (model.skeleton, model.size) == (LSP, (128, 96))
    with pytest.raises(InputError, match="28 coordinates do not fit 17 joints"):
        load_released(file, COCO)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc_coord.linear.weight": None}, "not a checkpoint of the paper's released code"),
        ({"fc_sigma.linear.bias": None}, r"it has no fc_sigma\.linear\.bias|has no fc_sigma"),
        ({"fc_sigma.linear.weight": torch.zeros(34)}, "not a linear layer"),
        ({"fc_sigma.linear.weight": torch.zeros(32, 64), "fc_sigma.linear.bias": torch.zeros(32)}, "do not fit"),
        ({"flow.mask": None}, r"has no flow flow\.s"),
        ({"flow.mask": torch.ones(6, 2)}, "masks of flow"),
        ({"flow.t.3.2.weight": None}, r"the flow flow\.\* is incomplete"),
        ({"flow.t.3.2.weight": torch.zeros(3, 3)}, "of another shape"),
        ({"preact.layer2.0.bn1.weight": None}, r"preact\.\* is not a resnet18 of ours"),
        ({"preact.layer3.0.conv1.weight": torch.zeros(2)}, "is not a resnet18 of ours"),
        ({"preact.layer5.0.conv1.weight": torch.zeros(2), "preact.layer4.7.conv1.weight": torch.zeros(2)}, "no ResNet"),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, change: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_released(written(Released(18), tmp_path, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.fc.weight": None}, "mmpose's RLE head"),
        ({"head.fc.weight": torch.zeros(66, 64), "head.fc.bias": torch.zeros(66)}, "66 outputs, not 4 for each joint"),
        ({f"{FLOW}mask": torch.tensor(1.0)}, "has no flow head"),
        ({f"{FLOW}s.0.0.weight": None, f"{FLOW}s.0.x.weight": torch.zeros(64, 2)}, "is incomplete or of another shape"),
        ({f"{FLOW}s.0.0.weight": torch.tensor(1.0)}, "is incomplete or of another shape"),
    ],
)
def test_what_mmpose_never_wrote(tmp_path: Path, change: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_mmpose(written(MMPose(18), tmp_path, **change))


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "run",))  # type: ignore[return-value]

    torch.save({"preact.conv1.weight": Hostile()}, tmp_path / "a.pth")
    with pytest.raises(InputError):
        load_released(tmp_path / "a.pth")
    with pytest.raises(InputError):
        load_weights(tmp_path / "a.pth")
    assert not (tmp_path / "run").exists()


# Folders and the Hub


def test_a_folder_holds_all_that_a_checkpoint_does(tiny_run: Path, tmp_path: Path) -> None:
    model, loss = load(tiny_run / "best.ckpt")
    save(model, loss, tmp_path / "out", figures={"ap": 0.5})
    entry = json.loads((tmp_path / "out" / "config.json").read_text())
    assert entry["figures"] == {"ap": 0.5}
    assert entry["model"]["skeleton"]["joints"] == list(model.skeleton.joints)
    again, same_loss = from_pretrained(tmp_path / "out")
    for mine, theirs in ((model, again), (loss, same_loss)):
        state = theirs.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in mine.state_dict().items())
    assert load_model(tmp_path / "out").size == model.size


def test_a_model_without_its_loss(tmp_path: Path) -> None:
    model = RegressionModel(ResNet(18), LSP, (64, 64), pixel_mean=(0.1, 0.2, 0.3), unit_features=True)
    save(model, None, tmp_path / "out")
    again, loss = load(tmp_path / "out")
    assert loss is None
    assert isinstance(again, RegressionModel)
    assert again.unit_features
    torch.testing.assert_close(again.pixel_mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))


def test_a_folder_from_before_unit_features(tmp_path: Path) -> None:
    save(RegressionModel(ResNet(18), LSP, (64, 64)), None, tmp_path / "out")
    config = tmp_path / "out" / "config.json"
    entry = json.loads(config.read_text())
    del entry["model"]["unit_features"]
    config.write_text(json.dumps(entry))
    assert not load(tmp_path / "out")[0].unit_features


@pytest.mark.parametrize("wrong", [{"size": [0, 64]}, {"size": [-64, 64]}, {"padding": 0}, {"padding": float("nan")}])
def test_a_hostile_config(tmp_path: Path, wrong: dict[str, object]) -> None:
    save(RegressionModel(ResNet(18), LSP, (64, 64)), None, tmp_path / "out")
    config = tmp_path / "out" / "config.json"
    entry = json.loads(config.read_text())
    entry["model"] |= wrong
    config.write_text(json.dumps(entry))
    with pytest.raises(InputError, match="crops"):
        load(tmp_path / "out")


def test_mixed_losses_go_into_a_folder_too(tmp_path: Path) -> None:
    loss = disturbed(MixedRLELoss())
    save(RegressionModel(ResNet(18), LSP, (64, 64), dim=3), loss, tmp_path / "out")
    again = load(tmp_path / "out")[1]
    assert isinstance(again, MixedRLELoss)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in loss.state_dict().items())


def test_our_own_know_their_skeleton(tiny_run: Path) -> None:
    with pytest.raises(InputError, match=r"best\.ckpt"):
        load_weights(tiny_run / "best.ckpt", skeleton=COCO)


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors"])
def test_a_damaged_folder(tmp_path: Path, damage: str) -> None:
    save(RegressionModel(ResNet(18), LSP, (64, 64), predicts_sigma=False), L1Loss(), tmp_path / "out")
    assert isinstance(load(tmp_path / "out")[1], L1Loss)
    file = tmp_path / "out" / damage
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(InputError, match="not a checkpoint, or damaged"):
        load(tmp_path / "out")
    file.unlink()
    with pytest.raises(InputError, match=f"{damage}: no such checkpoint"):
        load(tmp_path / "out")


def test_to_the_hub_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is an extra")
    shelf = tmp_path / "hub"

    class Api:
        """The Hub, as a folder."""

        def create_repo(self, name: str, private: bool, exist_ok: bool) -> None:
            (shelf / name).mkdir(parents=True, exist_ok=exist_ok)

        def file_exists(self, name: str, file: str) -> bool:
            return (shelf / name / file).is_file()

        def upload_folder(self, repo_id: str, folder_path: str) -> str:
            for file in Path(folder_path).iterdir():
                (shelf / repo_id / file.name).write_bytes(file.read_bytes())
            return f"hub/{repo_id}"

    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **_: str(shelf / name))
    model, loss = RegressionModel(ResNet(18), LSP, (64, 64)), RLELoss()
    assert push_to_hub(model, loss, "me/mine") == "hub/me/mine"
    again, _ = from_pretrained("me/mine")
    assert torch.equal(again.fc_mu.weight, model.fc_mu.weight)
    card = shelf / "me" / "mine" / "README.md"
    assert "logpose predict hf://me/mine photo.jpg" in card.read_text()
    card.write_text("by hand")
    push_to_hub(model, loss, "me/mine")
    assert card.read_text() == "by hand", "a card that is there is kept"


def test_neither_a_folder_nor_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="gone: no such"):
        from_pretrained(tmp_path / "gone")
    with pytest.raises(InputError, match="nobody/nothing: no such"):
        from_pretrained("nobody/nothing")
