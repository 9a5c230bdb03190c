"""Objects made again from their constructor's arguments as plain values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from logpose.core.config import Configurable
from logpose.core.errors import InputError


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
