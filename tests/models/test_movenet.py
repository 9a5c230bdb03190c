"""MoveNet's network: the published tensors under their names here, and how it describes itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.support.tensorflow_js import movenet, write_tfjs

from logpose.core.errors import InputError
from logpose.models.backbones import create_backbone, load_backbone_weights
from logpose.models.movenet import SIDES, MoveNetTrunk, in_torch

each_size = pytest.mark.parametrize("size", SIDES)


@each_size
def test_every_parameter_is_a_published_tensor(size: str, tmp_path: Path) -> None:
    """Backbone of that name, from the published file; what is left over are the heads and a constant."""
    tensors = movenet(size)
    backbone = create_backbone(f"movenet_{size}", (64, 64))
    load_backbone_weights(backbone, str(write_tfjs(tmp_path / "movenet.json", tensors)))
    found, state = in_torch({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}), backbone.state_dict()
    assert all(torch.equal(state[name], found[name]) for name in state)
    assert len(found) == len(tensors)
    heads = ("center.", "kpt_regress.", "kpt_offset.", "kpt_heatmap.conv2d.", "floordiv/")
    assert all(name.startswith(heads) for name in found.keys() - state.keys())


@pytest.mark.parametrize(("size", "count"), [("thunder", 6_226_046), ("lightning", 2_317_974)])
def test_parameter_counts(size: str, count: int) -> None:
    """The published files have so many values besides constants, of which the heads have 16,190."""
    count -= 3 * (24 * 9 + 24 * 96 + 96) + 97 * (1 + 17 + 34 + 34)
    assert sum(p.numel() for p in MoveNetTrunk(size).parameters()) == count


@each_size
def test_features_are_at_strides_4_and_32(size: str) -> None:
    with torch.device("meta"):
        trunk, images = MoveNetTrunk(size), torch.zeros(2, 3, 96, 64)
        fine, coarse = trunk.features(images)
        stages = trunk.stages(images)
        assert trunk(images).shape == coarse.shape == (2, trunk.channels, 3, 2)
    assert fine.shape == (2, trunk.map_channels, 24, 16)
    assert [stage.shape[1:] for stage in stages] == [
        (channels, 96 // stride, 64 // stride)
        for channels, stride in zip(trunk.stage_channels, (4, 8, 16, 32), strict=True)
    ]


def test_a_size_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="sizes are thunder, lightning"):
        MoveNetTrunk("storm")


def test_weights_of_the_other_size_are_refused(tmp_path: Path) -> None:
    file = write_tfjs(tmp_path / "movenet.json", movenet("lightning"))
    with pytest.raises(InputError, match="not weights of movenet_thunder"):
        load_backbone_weights(MoveNetTrunk("thunder"), str(file))
