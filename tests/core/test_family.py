"""A base class makes any class of its family from the kind in a configuration, and no other class."""

from __future__ import annotations

import pytest

from logpose.core.errors import InputError, UnknownKindError
from logpose.core.family import Family


class Shape(Family):
    def __init__(self, size: float = 1.0) -> None:
        self.size = size


class Square(Shape):
    pass


@pytest.fixture
def of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Shape, Square):
        monkeypatch.setattr(kind, "__module__", "logpose.shapes")


@pytest.mark.usefixtures("of_the_package")
def test_a_kind_chooses_the_class() -> None:
    assert Square(2.0).config() == {"kind": "Square", "size": 2.0}
    made = Shape.from_config({"kind": "Square", "size": 2.0})
    assert (type(made), made.size) == (Square, 2.0)
    assert type(Square.from_config({})) is Square
    assert type(Shape.from_config({})) is Shape


@pytest.mark.usefixtures("of_the_package")
def test_other_kinds_and_keys_are_refused() -> None:
    with pytest.raises(UnknownKindError, match="Circle"):
        Shape.from_config({"kind": "Circle"})
    with pytest.raises(UnknownKindError, match="Shape"):
        Square.from_config({"kind": "Shape"})
    with pytest.raises(InputError, match="width"):
        Shape.from_config({"kind": "Square", "width": 2.0})


def test_classes_of_other_packages_are_not_made() -> None:
    assert not Shape.members()
    with pytest.raises(UnknownKindError, match="Square"):
        Shape.from_config({"kind": "Square"})
