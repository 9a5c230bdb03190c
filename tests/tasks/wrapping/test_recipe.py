"""From files to a wrapper: what is refused, and what the figures say."""

from __future__ import annotations

import json

import pytest
from tests.support.predicting_program import world, write

from logpose.core.errors import InputError
from logpose.tasks.wrapping.recipe import wrap


@pytest.mark.usefixtures("unchecked")
def test_it_is_better_than_the_program_s_own_scores(tmp_path, monkeypatch):
    monkeypatch.setattr("logpose.tasks.wrapping.fit.STEPS", 100)
    monkeypatch.setattr("logpose.tasks.wrapping.fit.EPOCHS", 2)
    predictions, labels, mirrored = write(tmp_path, world(200))
    fitted, figures = wrap(predictions, labels, mirrored, levels=(0.5, 0.9))
    assert figures["sigma_rank"] > figures["score_rank"] > 0.3
    assert "score_oks_r" not in figures, "all people have the score .5"
    assert figures["oks_expected_r"] > 0.4
    assert fitted.model.mirrored
    assert fitted.model.calibration.levels == (0.5, 0.9)
    assert fitted.model.calibration.groups == 200


def test_too_few_people(tmp_path):
    predictions, labels, _ = write(tmp_path, world(19))
    with pytest.raises(InputError, match="24 labelled images or more are needed, got 19"):
        wrap(predictions, labels)


def test_nobody_with_a_label(tmp_path):
    predictions, labels, mirrored = write(tmp_path, world(30))
    rows = json.loads(predictions.read_text())
    for row in rows:
        row["image_id"] += 100
    predictions.write_text(json.dumps(rows))
    with pytest.raises(InputError, match="none of its 30 predictions is of an image"):
        wrap(predictions, labels)
    with pytest.raises(InputError, match=r"predictions\.json: none of its"):
        wrap(mirrored, labels, predictions)
