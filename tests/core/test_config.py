"""Objects made again from their constructor's arguments as plain values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from logpose.core import config
from logpose.core.config import Configurable, Family
from logpose.core.errors import InputError, UnknownKindError


@dataclass(frozen=True)
class Options(Configurable):
    widths: tuple[int, ...] = (1, 2)
    pairs: tuple[tuple[float, float], ...] = ()


class Network(Configurable):
    kind = "network"
    nested = {"options": Options.from_config}  # noqa: RUF012

    def __init__(self, depth: int, options: Options | None = None, names: Sequence[str] = ()) -> None:
        self.depth, self.options, self.names = depth, options, names


def test_round_trip_through_json() -> None:
    network = Network(3, Options((4,), ((0.5, 0.25), (1.0, 2.0))), ["a"])
    config = json.loads(json.dumps(network.config()))
    assert config == {
        "kind": "network",
        "depth": 3,
        "options": {"widths": [4], "pairs": [[0.5, 0.25], [1.0, 2.0]]},
        "names": ["a"],
    }
    again = Network.from_config(config)
    assert (again.depth, again.options, again.names) == (3, network.options, ("a",))
    assert again.config() == config


def test_objects_are_taken_as_they_are() -> None:
    options = Options()
    assert Network.from_config({"depth": 1, "options": options}).options is options


def test_missing_arguments_have_their_defaults() -> None:
    assert Options.from_config({}) == Options()


@pytest.mark.parametrize("config", [{"depth": 1, "width": 2}, {"depth": 1, "options": {"width": 2}}])
def test_unknown_keys_are_named(config: dict[str, object]) -> None:
    with pytest.raises(InputError, match="'width'"):
        Network.from_config(config)


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="'tree'"):
        Network.from_config({"kind": "tree", "depth": 1})


# Families of classes


class Shape(Family):
    __module__ = "logpose.shapes"

    def __init__(self, size: float = 1.0) -> None:
        self.size = size


class Square(Shape):
    __module__ = "logpose.shapes"


def test_a_kind_chooses_the_class() -> None:
    assert Square(2.0).config() == {"kind": "Square", "size": 2.0}
    made = Shape.from_config({"kind": "Square", "size": 2.0})
    assert (type(made), made.size) == (Square, 2.0)
    assert type(Square.from_config({})) is Square
    assert type(Shape.from_config({})) is Shape


def test_other_kinds_and_keys_are_refused() -> None:
    with pytest.raises(UnknownKindError, match="Circle"):
        Shape.from_config({"kind": "Circle"})
    with pytest.raises(UnknownKindError, match="Shape"):
        Square.from_config({"kind": "Shape"})
    with pytest.raises(InputError, match="width"):
        Shape.from_config({"kind": "Square", "width": 2.0})


def test_a_class_of_another_package_is_not_taken_for_one_of_the_same_name() -> None:
    own = type("Square", (Shape,), {"__module__": "somebody.shapes"})
    config = own(2.0).config()
    assert config["kind"] == "somebody.shapes.Square"
    assert own not in Shape.members().values()
    with pytest.raises(UnknownKindError, match=r"somebody\.shapes\.Square"):
        Shape.from_config(config)


@dataclass(kw_only=True)
class Copy(config.Options):
    count: int = 1
    source: Path


def test_required_options_may_follow_defaults_and_are_required() -> None:
    assert [f.name for f in fields(Copy)] == ["count", "source"]
    assert Copy.POSITIONAL == ()
    with pytest.raises(TypeError, match="source"):
        Copy(count=2)
