"""AP of a wrapped program: all its predictions in labelled images count, ranked by the score that is chosen."""

from __future__ import annotations

import json

import pytest
from tests.support.predicting_program import JOINTS, world, write

from logpose.core.skeletons import Skeleton
from logpose.models import KeypointWrapper
from logpose.tasks.options import WrappingEvalOptions
from logpose.tasks.wrapping.evaluate import evaluate
from logpose.training.checkpoint import save


@pytest.mark.parametrize("score", ["box", "oks"])
def test_people_that_nobody_labelled_are_wrong_ones(tmp_path, score):
    drawn = world(5)
    predictions, labels, _ = write(tmp_path, drawn)
    rows = json.loads(predictions.read_text())
    rows += [{**row, "keypoints": [900, 900, 0.9] * 3, "score": 0.8} for row in rows[:2]]
    predictions.write_text(json.dumps(rows))
    model = KeypointWrapper(Skeleton("person", JOINTS)).eval()
    model.base.fill_(-4)
    model.error_std.fill_(1)
    model.error_radius.copy_(model.error_radius.nan_to_num(1).cumsum(0))
    save(model, None, tmp_path / "wrapper")
    options = WrappingEvalOptions(
        checkpoint=tmp_path / "wrapper", data=labels, predictions=predictions, score=score, device="cpu"
    )
    found = evaluate(model, None, options)
    assert len(found.rows) == 5
    results = found.results()
    assert len(results) == 7
    if score == "box":
        assert [row["score"] for row in results] == [0.5] * 5 + [0.8] * 2
    figures = found.compute()
    assert figures["people"] == 5
    assert figures["ap50"] < 1 == figures["ar50"]
