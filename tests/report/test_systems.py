"""The paper's networks: exact to the parameter, and their multiply-accumulates to the digits that are known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.models import RegressionModel, create_backbone
from logpose.report.systems import SYSTEMS, count_models
from logpose.training.checkpoint import save


@pytest.fixture(scope="module")
def counted() -> dict:
    return dict(count_models(list(SYSTEMS)))


# name: parameters and GMAC, to the digits that are known.
KNOWN = {
    "resnet50_direct": (23_577_698, "4.004"),
    "resnet50_rle": (23_647_364, "4.004"),
    "resnet50_simplepose": (33_999_697, "5.426"),
    "resnet50_3d_direct": (23_618_678, "5.338"),
    "resnet50_3d_rle": (23_729_324, "5.339"),
    "resnet50_3d_integral": (34_291_392, "8.425"),
    "resnet101_rle": (42_500_160 + 139_332, "7.640"),
    "resnet152_rle": (58_143_808 + 139_332, "11.277"),
    "resnet101_384_rle": (42_500_160 + 139_332, "17.191"),
    "resnet152_384_rle": (58_143_808 + 139_332, "25.373"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_counts(counted: dict, name: str) -> None:
    parameters, computed = KNOWN[name]
    assert counted[name]["parameters"] == parameters
    assert f"{counted[name]['macs'] / 1e9:.3f}" == computed


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("hrnet_w32_heatmap", "28.536"), ("hrnet_w32_rle", "39.254"),
        ("hrnet_w48_384_heatmap", "63.596"), ("hrnet_w48_384_rle", "75.491"),
    ],
)  # fmt: skip
def test_hrnets(counted: dict, name: str, millions: str) -> None:
    assert f"{counted[name]['parameters'] / 1e6:.3f}" == millions


def test_parameters_that_the_paper_prints(counted: dict) -> None:
    """But for 23.8M of the networks in space, to which the paper adds flows: 23,729,324 and a flow of 55,332 are."""
    for name, system in SYSTEMS.items():
        if system.parameters and "3d_" not in name:
            assert f"{counted[name]['parameters'] / 1e6:.1f}M" == system.parameters
            assert counted[name]["paper"] == {"parameters": system.parameters, "gflops": system.gflops}
    assert f"{(counted['resnet50_3d_rle']['parameters'] + 55_332) / 1e6:.1f}M" == "23.8M"


def test_lifting(counted: dict) -> None:
    """Parameters of the published codes; what SRNet computes of a frame; the paper's GFLOPs of 64 poses."""
    names = ("lifting_fc", "lifting_martinez", "lifting_srnet", "lifting_srnet243")
    assert [counted[name]["parameters"] for name in names] == [4_291_635, 4_291_632, 899_029, 3_612_067]
    assert counted["lifting_fc"]["macs"] == 34 * 1024 + 4 * 1024**2 + 1024 * 51
    assert f"{64 * (counted['lifting_fc']['macs'] + 2 * 5 * 1024) / 1e9:.3f}/64" == SYSTEMS["lifting_fc"].gflops
    assert f"{counted['lifting_srnet']['macs'] / 1e6:.3f}" == "0.889"
    assert counted["lifting_srnet243"]["input"] == "keypoints of 243 frames"


def test_what_is_saved_over_simplepose(counted: dict) -> None:
    """26 %, not the 58.8 % of the paper's rounded figures; its head costs 0.36 of the backbone."""
    rle, simple = counted["resnet50_rle"], counted["resnet50_simplepose"]
    assert round(1 - rle["macs"] / simple["macs"], 3) == 0.262
    assert round(simple["macs_head"] / rle["macs_backbone"], 2) == 0.36


def test_a_checkpoint_is_counted_at_its_size(tmp_path: Path) -> None:
    model = RegressionModel(create_backbone("resnet18", (64, 48)), COCO, (64, 48))
    save(model, None, tmp_path / "model")
    row = dict(count_models([str(tmp_path / "model")]))[str(tmp_path / "model")]
    assert row["input"] == "crops of 64×48"
    assert row["parameters"] == 11_176_512 + 2 * (512 * 34 + 34)


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="resnet50_rle"):
        dict(count_models(["resnet50_rl"]))


def test_point_set_anchors(counted: dict) -> None:
    """Two stages of three towers on three levels of an image of 800×800: 100², 50² and 25² cells of 256 channels."""
    row = counted["point_set_hrnet_w32_rle"]
    cells, channels = 100**2 + 50**2 + 25**2, 256
    towers = 2 * 3 * cells * 4 * 9 * channels**2  # of three convolutions, and one whose taps are at the anchor's points
    assert row["input"] == "an image of 800×800"
    assert row["macs_head"] > towers
    assert row["macs_backbone"] == pytest.approx(
        counted["hrnet_w32_rle"]["macs_backbone"] * 800**2 / (256 * 192), rel=0.2
    )


def test_mask_rcnn(counted: dict) -> None:
    """torchvision's page gives its keypoint R-CNN 59,137,258 parameters and 137.42 G."""
    row = counted["mask_rcnn_resnet50_heatmap"]
    if importlib.util.find_spec("torchvision") is None:
        assert "logpose-keypoints[detect]" in row["error"]
        return
    assert row["parameters"] == 59_137_258
    assert f"{row['macs'] / 1e9:.2f}" == "137.42"
    assert row["macs"] > counted["mask_rcnn_resnet50_rle"]["macs"]
