"""Options of detection models: what `eval` and `predict` have in common has one default."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

from logpose.core.structures import Scoring
from logpose.tasks.detection.options import DetectionEvalOptions, DetectionPredictOptions


def test_eval_and_predict_rank_people_one_way():
    options = (DetectionEvalOptions, DetectionPredictOptions)
    defaults = [next(f.default for f in fields(made) if f.name == "score") for made in options]
    assert defaults[0] == defaults[1]
    for made in options:
        assert set(get_args(get_type_hints(made)["score"])) == set(get_args(Scoring))
