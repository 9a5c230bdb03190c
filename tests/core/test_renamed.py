"""Old names of arguments work for one version, with a warning."""

from __future__ import annotations

import inspect

import pytest

from logpose.core.renamed import renamed_arguments


@renamed_arguments(colour="color")
def paint(color: str = "red") -> str:
    return color


def test_the_old_name_warns_and_the_new_one_does_not() -> None:
    assert paint(color="blue") == "blue"
    with pytest.warns(DeprecationWarning, match="colour"):
        assert paint(**{"colour": "green"}) == "green"
    assert list(inspect.signature(paint).parameters) == ["color"]
