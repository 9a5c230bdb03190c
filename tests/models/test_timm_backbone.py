"""timm's models as backbones, where timm is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.models import PointSetAnchors, PointSetOptions, create_backbone, load_backbone_weights
from logpose.models.backbone import IMAGENET_MEAN
from logpose.tasks.pose.recipe import Recipe

SIZE = (64, 48)


def is_filled(backbone: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())


if importlib.util.find_spec("timm") is None:
    timm_only = pytest.mark.skip(reason="timm is not installed: pip install 'logpose-keypoints[timm]'")
else:
    patch_torchvision()
    # timm's own dependencies warn of each other now and then.
    timm_only = pytest.mark.filterwarnings("default")

FAMILIES = {
    "mobilenetv3_small_050": (2, 3),
    "resnet18": (2, 3),
    "convnext_atto": (2, 3),
    "hrnet_w18_small": (2, 3),
    "vit_tiny_patch16_224": (1, 4 * 6),  # a row of tokens
    "swin_tiny_patch4_window7_224": (2, 3),
}


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_the_package_to_install_is_named() -> None:
    with pytest.raises(InputError, match=r"needs timm: pip install 'logpose-keypoints\[timm\]'"):
        create_backbone("timm/resnet18", SIZE)


@timm_only
@pytest.mark.parametrize(("name", "count"), [("resnet18", 5), ("convnext_atto", 6), ("vit_tiny_patch16_224", 13)])
def test_stages_hold_every_parameter_once(name: str, count: int) -> None:
    backbone = create_backbone(f"timm/{name}", (64, 64))
    stages = backbone.stage_parameters
    names = [name for stage in stages for name in stage]
    assert sorted(names) == sorted(name for name, _ in backbone.named_parameters())
    assert len(stages) == count
    order = list(dict(backbone.named_parameters()))
    firsts = [min(order.index(name) for name in stage) for stage in stages]
    assert firsts == sorted(firsts)
    assert create_backbone("timm/resnet18", (64, 64), all_branches=True).stage_parameters == ()


@timm_only
@pytest.mark.parametrize("name", FAMILIES)
def test_timm_models_are_backbones(name: str, tmp_path: Path) -> None:
    size = (64, 96)
    backbone = create_backbone(f"timm/{name}", size).eval()
    assert backbone.name == f"timm/{name}"
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, *size))
    assert features.shape == (2, backbone.channels, *FAMILIES[name])
    assert features.isfinite().all()
    # A file of timm's, with its classifier, fills all of it.
    import timm

    torch.manual_seed(1)
    options = {"img_size": size} if name.startswith(("vit", "swin")) else {}
    whole = timm.create_model(name, **options).eval()
    torch.save(whole.state_dict(), tmp_path / "timm.pth")
    load_backbone_weights(backbone, str(tmp_path / "timm.pth"))
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected = whole.forward_features(x)
        found = backbone(x)
    torch.testing.assert_close(found.mean(), _patches(whole, expected).mean(), atol=1e-5, rtol=1e-4)


def _patches(model: nn.Module, features: Tensor) -> Tensor:
    return features[:, getattr(model, "num_prefix_tokens", 0) :] if features.ndim == 3 else features


@timm_only
@pytest.mark.parametrize(("name", "mean"), [("vit_small_patch16_224", (0.5, 0.5, 0.5)), ("resnet18", IMAGENET_MEAN)])
def test_pixels_are_normalised_as_the_weights_want_them(name: str, mean: tuple[float, ...]) -> None:
    backbone = create_backbone(f"timm/{name}", (64, 96))
    assert backbone.pixel_mean == mean
    recipe = Recipe(people=lambda *_: None, backbone=f"timm/{name}", weights="random", size=(64, 96))
    assert recipe.model(recipe, COCO, True).pixel_mean.flatten().tolist() == pytest.approx(mean)


@timm_only
def test_timm_has_no_such_model() -> None:
    with pytest.raises(InputError, match=r"timm has no model 'resnet_of_mine'; it has .*resnet"):
        create_backbone("timm/resnet_of_mine", SIZE)


@timm_only
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_pretrained_weights_of_timm_are_made_for_the_crops_size(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import timm

    backbone = create_backbone(f"timm/{name}", (64, 96))
    create, made = timm.create_model, []

    def download(name: str, pretrained: bool = False, **options: object) -> nn.Module:
        assert pretrained
        made.append(create(name, **options))
        return made[-1]

    monkeypatch.setattr(timm, "create_model", download)
    load_backbone_weights(backbone, "imagenet")
    assert is_filled(backbone.model, made[-1].state_dict())


@timm_only
def test_timm_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    backbone = create_backbone("timm/resnet18", SIZE)

    def download(*_: object, **__: object) -> None:
        raise FileNotFoundError("no file in the cache, and the hub cannot be reached")

    monkeypatch.setattr(timm, "create_model", download)
    with pytest.raises(InputError, match=r"timm/resnet18 could not be downloaded .*--weights random"):
        load_backbone_weights(backbone, "imagenet")


@timm_only
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224"])
def test_detectors_work_on_timms_stages(name: str) -> None:
    """Three levels at strides 8, 16 and 32, with the weights of timm's whole network."""
    backbone = create_backbone(f"timm/{name}", (64, 96), neck=False, all_branches=True)
    with torch.no_grad():
        levels = backbone.stages(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[2:]) for level in levels] == [(8, 12), (4, 6), (2, 3)]
    assert tuple(level.shape[1] for level in levels) == backbone.stage_channels
    torch.manual_seed(0)
    model = PointSetAnchors(
        backbone, COCO, options=PointSetOptions(channels=16, depth=1, maps_weight=0.0), short=64, longest=96
    )
    assert len(model.eval()(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))) == 1
    again = PointSetAnchors.from_config(model.config())
    again.load_state_dict(model.state_dict())


@timm_only
def test_weights_of_the_whole_network_fill_its_stages(tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "timm.pth")
    backbone = create_backbone("timm/resnet18", SIZE, neck=False, all_branches=True)
    load_backbone_weights(backbone, str(tmp_path / "timm.pth"))
    assert is_filled(backbone.published(), torch.load(tmp_path / "timm.pth", weights_only=True))


@timm_only
def test_a_transformer_of_one_stride_has_no_stages() -> None:
    with pytest.raises(InputError, match="timm/vit_tiny_patch16_224"):
        create_backbone("timm/vit_tiny_patch16_224", SIZE, neck=False, all_branches=True)


@timm_only
@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("mobilenetv3_small_050", "model.conv_head.weight"),
        ("convnext_atto", "model.head.norm.weight"),
        ("resnet18", None),
    ],
)
def test_what_serves_the_classifier_alone_waits_for_no_gradient(name: str, unused: str | None) -> None:
    backbone = create_backbone(f"timm/{name}", SIZE).train()
    backbone(torch.rand(2, 3, *SIZE)).sum().backward()
    learning = {key: value for key, value in backbone.named_parameters() if value.requires_grad}
    assert all(value.grad is not None for value in learning.values())
    assert unused is None or unused not in learning
    assert (len(learning) < len(dict(backbone.named_parameters()))) is (unused is not None)


@timm_only
@pytest.mark.parametrize(
    "name", ["efficientvit_b0", "deit_tiny_distilled_patch16_224", "efficientformer_l1", "crossvit_tiny_240"]
)
def test_models_that_are_no_backbones_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=rf"timm/{name} .*64×48"):
        create_backbone(f"timm/{name}", SIZE)


@timm_only
def test_a_class_token_is_no_feature_also_where_timm_does_not_count_it() -> None:
    assert create_backbone("timm/volo_d1_224", (64, 64))(torch.rand(1, 3, 64, 64)).shape == (1, 384, 1, 4 * 4)
