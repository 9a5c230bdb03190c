"""Areas of segments: those that a label's box could have are taken, all others replaced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.areas import segment_area

SIDES = st.floats(2, 5000)


@given(SIDES, SIDES, st.floats(0.011, 1))
def test_of_a_share_of_the_box_as_given(width: float, height: float, share: float) -> None:
    area = max(1.001, share * width * height)
    assert segment_area(area, np.array([0, 0, width, height])) == (area, True)


@given(SIDES, SIDES, st.one_of(st.floats(max_value=0.0099), st.floats(9.1), st.text(), st.none(), st.just(np.nan)))
def test_of_anything_else_the_mean_share(width: float, height: float, share: object) -> None:
    area = share * width * height if isinstance(share, float) else share
    found, is_given = segment_area(area, np.array([5, 5, width, height]))
    assert not is_given
    assert found == pytest.approx(0.53 * width * height)
