"""Every constructor argument of every density is restored from its configuration."""

from __future__ import annotations

import inspect
import json

import pytest

from logpose.core.errors import InputError, UnknownKindError
from logpose.flows import (
    GaussianMixture,
    NamedDensity,
    PlainRealNVP,
    RealNVP,
    density_from_config,
)

INNER = GaussianMixture(3)
# Of each class, objects that together have every argument at another value than its default.
OTHERS: dict[type[NamedDensity], list[NamedDensity]] = {
    PlainRealNVP: [PlainRealNVP(3, 2, (4, 5), "tanh")],
    RealNVP: [RealNVP(3, 2, (4, 5), "tanh"), RealNVP(2, 1, ())],
    GaussianMixture: [INNER],
}


@pytest.mark.parametrize("kind", NamedDensity.members().values(), ids=lambda kind: kind.__name__)
def test_every_argument_survives_a_round_trip(kind: type[NamedDensity]) -> None:
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    unchanged = {p.name for p in parameters}
    for density in OTHERS[kind]:
        config = json.loads(json.dumps(density.config()))
        for again in (type(density).from_config(config), density_from_config(config)):
            assert type(again) is kind
            for parameter in parameters:
                ours, theirs = (x.argument(parameter.name) for x in (density, again))
                if isinstance(ours, NamedDensity):
                    ours, theirs = ours.config(), theirs.config()
                assert ours == theirs
                if ours != parameter.default:
                    unchanged.discard(parameter.name)
    assert not unchanged, f"give {unchanged} another value than the default"


def test_without_a_kind_it_is_a_realnvp() -> None:
    assert type(density_from_config({"dim": 3, "layers": 2, "hidden": [4], "activation": "relu"})) is RealNVP


def test_unknown_kinds_and_keys_are_refused() -> None:
    with pytest.raises(UnknownKindError, match="Spline"):
        density_from_config({"kind": "Spline"})
    with pytest.raises(InputError, match="depth"):
        density_from_config({"kind": "RealNVP", "depth": 3})
