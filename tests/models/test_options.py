"""Options of the detectors: values that no network can have are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from logpose.core.errors import InputError
from logpose.models.options import MaskRCNNOptions, PointSetOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"thresholds": ()},
        {"thresholds": ((0.4, 0.5),)},
        {"thresholds": ((1.4, 0.5),)},
        {"forced": -1},
        {"scales": ()},
        {"scales": (0.0,)},
        {"nms": 1.5},
        {"maps_weight": -1.0},
    ],
)
def test_options_of_point_set_anchors_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(PointSetOptions(), **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"anchor_sizes": (32, 64)},
        {"rpn_iou_thresholds": (0.3, 0.7)},
        {"min_map_size": -1},
        {"with_logits": True},
    ],
)
def test_options_of_mask_rcnn_that_cannot_be_name_the_field(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(MaskRCNNOptions(), **wrong)
