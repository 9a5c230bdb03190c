"""`logpose demo`: options that cannot be."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("demo", "--epochs", 0), "epochs must be at least 1"),
        (("demo", "--people", 0), "needs 32 people"),
        (("demo", "--seed", -1), "seed must be at least 0"),
    ],
)
def test_a_demo_that_cannot_be_leaves_nothing(refused, tmp_path, words, told):
    assert told in refused(*words, "--out", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
