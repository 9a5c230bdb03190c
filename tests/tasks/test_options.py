"""Options of the tasks: what commands have in common has one default, one help and one range."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from logpose.cli.flags import help_text
from logpose.core.samples import Scoring
from logpose.data.keypoint_files import LAYOUTS, Layout
from logpose.tasks.options import (
    BoundaryEvalOptions,
    BoundaryInspectOptions,
    BoundaryPredictOptions,
    DetectionEvalOptions,
    DetectionPredictOptions,
    LiftingPredictOptions,
    PoseEvalOptions,
    PosePredictOptions,
)


@pytest.mark.parametrize(
    "options", [(PoseEvalOptions, PosePredictOptions), (DetectionEvalOptions, DetectionPredictOptions)]
)
def test_eval_and_predict_rank_people_one_way(options):
    defaults = [next(f.default for f in fields(made) if f.name == "score") for made in options]
    assert defaults[0] == defaults[1]
    for made in options:
        assert set(get_args(get_type_hints(made)["score"])) == set(get_args(Scoring))


def test_skeletons_are_those_that_are_read():
    literal, _ = get_args(get_type_hints(LiftingPredictOptions)["skeleton"])
    assert set(get_args(literal)) == set(get_args(Layout)) == {"model", *LAYOUTS}


def test_the_height_of_a_pixel_is_given_alike():
    made = (BoundaryEvalOptions, BoundaryPredictOptions, BoundaryInspectOptions)
    assert {get_type_hints(options)["um_per_px"] for options in made} == {float | None}
    helps = {
        help_text(options, "eval", "").rpartition("--um-per-px UM_PER_PX\n")[2].partition("--")[0] for options in made
    }
    assert len(helps) == 1
    assert "micrometres" in helps.pop()
