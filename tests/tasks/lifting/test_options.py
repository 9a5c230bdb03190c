"""Options of lifting models: the skeletons are those that files of keypoints may have."""

from __future__ import annotations

from typing import get_args, get_type_hints

from logpose.data.keypoint_files import LAYOUTS, Layout
from logpose.tasks.lifting.options import LiftingPredictOptions


def test_skeletons_are_those_that_are_read():
    literal, _ = get_args(get_type_hints(LiftingPredictOptions)["skeleton"])
    assert set(get_args(literal)) == set(get_args(Layout)) == {"model", *LAYOUTS}
