"""Options of boundary models: what `eval`, `predict` and `inspect` share is of one type and has one help."""

from __future__ import annotations

from typing import get_type_hints

from docstring_parser import parse_from_object

from logpose.tasks.boundaries.options import BoundaryEvalOptions, BoundaryInspectOptions, BoundaryPredictOptions


def test_the_height_of_a_pixel_is_given_alike():
    made = (BoundaryEvalOptions, BoundaryPredictOptions, BoundaryInspectOptions)
    assert {get_type_hints(options)["um_per_px"] for options in made} == {float | None}
    helps = [{entry.arg_name: entry.description for entry in parse_from_object(options).params} for options in made]
    assert len({found["um_per_px"] for found in helps}) == 1
