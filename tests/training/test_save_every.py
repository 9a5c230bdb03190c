"""The value of `--save-every`."""

from __future__ import annotations

import pytest

from logpose.core.errors import InputError
from logpose.training.save_every import SaveEvery


@pytest.mark.parametrize(
    ("text", "seconds", "steps"),
    [
        ("30s", 30, None),
        ("10min", 600, None),
        ("10 min", 600, None),
        ("2h", 7200, None),
        ("200steps", None, 200),
        ("1step", None, 1),
        ("epoch", None, None),
    ],
)
def test_an_interval_is_a_time_or_a_number_of_steps(text: str, seconds: float | None, steps: int | None) -> None:
    assert SaveEvery.parse(text) == SaveEvery(seconds, steps)


@pytest.mark.parametrize("text", ["", "10", "min", "0min", "-1s", "1.5h", "10 minutes", "10min ", "١٠min", "1e3steps"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--save-every"):
        SaveEvery.parse(text)


def test_it_is_due_after_its_time_or_steps() -> None:
    assert [SaveEvery(seconds=5).is_due(1, seconds) for seconds in (4.9, 5, 6)] == [False, True, True]
    assert [SaveEvery(steps=3).is_due(step, 1e9) for step in (1, 2, 3, 4, 6)] == [False, False, True, False, True]
    assert not SaveEvery().is_due(100, 1e9)
