"""Which categories are learned from; what a file makes of it is in test_coco.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpose.core.errors import InputError
from logpose.data.categories import chosen_categories

FILE = Path("x.json")
CAT, DOG, COW = (
    {"id": i, "name": n, "keypoints": k} for i, n, k in ((1, "cat", ["a"]), (2, "dog", ["a"]), (3, "cow", ["b"]))
)


def test_those_with_joints():
    assert chosen_categories(FILE, [CAT, {"id": 9, "name": "tree"}, None]) == [CAT]
    assert chosen_categories(FILE, [CAT, DOG]) == [CAT, DOG]
    assert chosen_categories(FILE, [CAT, DOG, COW], "cow") == [COW]
    assert chosen_categories(FILE, [CAT, DOG, COW], "cat") == [CAT]


@pytest.mark.parametrize(
    ("categories", "wanted", "told"),
    [
        ([], None, "category"),
        ([{"id": 1, "keypoints": []}], None, "category"),
        ([CAT, COW], None, r"different keypoints \(cat, cow\)"),
        ([CAT, COW], "horse", "'horse' .*cat, cow"),
    ],
)
def test_what_cannot_be_chosen_is_told(categories, wanted, told):
    with pytest.raises(InputError, match=rf"x\.json: .*{told}"):
        chosen_categories(FILE, categories, wanted)
