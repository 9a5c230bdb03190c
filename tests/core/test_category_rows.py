from __future__ import annotations

import pytest

from logpose.core.category_rows import joint_pair, mirror_pairs
from logpose.core.errors import InputError

JOINTS = ("tail", "left", "right")


def test_pairs_are_of_names_or_of_numbers_from_one():
    assert joint_pair([1, 3], JOINTS, "skeleton") == (0, 2)
    assert joint_pair(["right", "tail"], JOINTS, "skeleton") == (2, 0)
    for wrong in ([0, 1], [1, 4], [1], ["a", "tail"], None):
        with pytest.raises(InputError, match=r"skeleton .*1 to 3"):
            joint_pair(wrong, JOINTS, "skeleton")


@pytest.mark.parametrize("row", [{"flip_pairs": [[2, 3]]}, {"flip_idx": [0, 2, 1]}, {"swap": ["", "right", "left"]}])
def test_the_three_forms_of_mirror_pairs(row):
    assert mirror_pairs(row, JOINTS) == ((1, 2),)
    assert mirror_pairs({}, JOINTS) is None
