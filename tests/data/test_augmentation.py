"""How training inputs are varied: which values are refused, and the size of a resized image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.data.augmentation import Augmentation, ShortSide, SquareCrop


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 1.0},
        {"scale": -0.1},
        {"rotation": -1.0},
        {"flip_probability": 1.5},
        {"half_body_probability": -1.0},
        {"rotation_probability": 2.0},
        {"shift_probability": 2.0},
        {"shift": -0.1},
        {"occlusion": 1.1},
        {"occlusion": -0.1},
        {"colour": 1.0},
        {"half_body_upper": 1.5},
    ],
)
def test_augmentations_that_cannot_be_name_the_field(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Augmentation(**wrong)


sides = st.integers(20, 300)


@given(sides, sides, st.integers(10, 200), st.integers(0, 200))
def test_short_sides_are_detectron2s(width, height, short, more):
    longest = short + more
    matrix, (h, w) = ShortSide((short,), longest).place((width, height), [], None)
    # As detectron2's ResizeShortestEdge has it.
    scale = short / min(height, width)
    tall, wide = (short, scale * width) if height < width else (scale * height, short)
    if max(tall, wide) > longest:
        scale = longest / max(tall, wide)
        tall, wide = tall * scale, wide * scale
    assert abs(h - tall) <= 0.5 + 1e-6
    assert abs(w - wide) <= 0.5 + 1e-6
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]) @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(corners, [[-0.5, -0.5], [w - 0.5, h - 0.5]])


@pytest.mark.parametrize(
    "way",
    [
        lambda: ShortSide(()),
        lambda: ShortSide((10,), 5),
        lambda: ShortSide((0,)),
        lambda: ShortSide(flip=2),
        lambda: SquareCrop(0),
        lambda: SquareCrop(scale=(2, 1)),
        lambda: SquareCrop(scale=(0, 1)),
    ],
)
def test_transforms_that_are_none_are_refused(way):
    with pytest.raises(InputError, match=r"ShortSide|SquareCrop"):
        way()
