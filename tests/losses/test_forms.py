"""Options choose the class of the formula; combinations without a formula are refused."""

from __future__ import annotations

import copy
import inspect
import math

import pytest
import torch

from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.losses.conventions import BasicRLELoss, MmposeRLELoss, ReleasedRLELoss


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        ((), {}, RLELoss),
        ((), {"convention": "paper"}, RLELoss),
        ((), {"mode": "dle"}, RLELoss),
        ((), {"convention": "released"}, ReleasedRLELoss),
        ((None, 3, "laplace", "released"), {}, ReleasedRLELoss),
        ((), {"convention": "mmpose", "mode": "dle"}, MmposeRLELoss),
        ((None, 2, "laplace", "paper", "basic"), {}, BasicRLELoss),
    ],
)
def test_options_choose_the_class(arguments: tuple, options: dict, kind: type[RLELoss]) -> None:
    loss = RLELoss(*arguments, **options)
    assert type(loss) is kind
    again = copy.deepcopy(loss)
    assert type(again) is kind
    assert again.config() == loss.config()
    for one, other in zip(loss.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_subclass_of_ones_own_keeps_its_class_and_refuses_formulas_that_it_does_not_have() -> None:
    class Own(RLELoss):
        """Eq. 8 under another name."""

    assert type(Own()) is Own
    for wanted in ({"convention": "released"}, {"mode": "basic"}):
        with pytest.raises(ValueError, match="Own"):
            Own(**wanted)


def test_the_signature_is_that_of_the_arguments() -> None:
    assert list(inspect.signature(RLELoss).parameters) == RLELoss.arguments()


@pytest.mark.parametrize(
    ("options", "token"),
    [
        ({"convention": "Normalized"}, "convention"),
        ({"convention": "eq8"}, "convention"),
        ({"mode": "RLE"}, "mode"),
        ({"convention": "released", "mode": "eq8"}, "mode"),
        ({"base": "lapalce"}, "base"),
        ({"gradient_reweighting": -1.0}, "gradient_reweighting"),
        ({"gradient_reweighting": math.nan}, "gradient_reweighting"),
        ({"with_s": False}, "with_s"),
        ({"convention": "released", "gradient_reweighting": 0.5}, "gradient_reweighting"),
        ({"convention": "paper", "symmetric": True}, "symmetric"),
        ({"mode": "dle", "symmetric": True}, "symmetric"),
        ({"convention": "released", "with_s": True}, "with_s"),
        ({"convention": "paper", "mode": "dle", "with_s": True}, "with_s"),
        ({"mode": "basic", "flow": torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))}, "basic"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked")
def test_options_without_a_formula(options: dict, token: str) -> None:
    with pytest.raises(ValueError, match=token):
        RLELoss(**options)


@pytest.mark.parametrize(
    ("options", "token"),
    [
        ({"flow": RealNVP(3)}, "RealNVP"),
        ({"flow": RealNVP(2), "dim": 3}, "RealNVP"),
        ({"dim": 4, "convention": "released"}, "released"),
        ({"dim": 3, "convention": "mmpose"}, "mmpose"),
        ({"convention": "released", "base": "gaussian"}, "gaussian"),
        ({"convention": "released", "mode": "basic"}, "basic"),
        ({"convention": "mmpose", "mode": "basic"}, "basic"),
    ],
)
def test_formulas_that_do_not_exist(options: dict, token: str) -> None:
    with pytest.raises(ValueError, match=token):
        RLELoss(**options)
