"""What a wrapper is given: two views of the same people, and the program's own deviations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.support.predicting_program import JOINTS, world, write

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import AnyImages
from logpose.models import KeypointWrapper
from logpose.tasks.wrapping.predict import read_given, wrapped

SKELETON = Skeleton("person", JOINTS)


def test_people_of_both_views_are_matched(tmp_path, caplog):
    drawn = world(6)
    predictions, _, mirrored = write(tmp_path, drawn)
    for path, order in ((predictions, [0, 1, 2, 3, 4, 5]), (mirrored, [3, 2, 1, 0, 5])):
        rows = [json.loads(path.read_text())[i] for i in order]
        for row in rows:
            row["image_id"] //= 3  # three people in an image
        path.write_text(json.dumps(rows))
    given = read_given(predictions, mirrored, AnyImages(predictions, SKELETON))
    inputs = given.inputs(mirrored=True, deviations=False)
    assert inputs.shape == (6, 3, 6)
    assert inputs[..., :2] == pytest.approx(drawn.predicted, abs=1e-3)
    there = [0, 1, 2, 3, 5]
    assert inputs[there, :, 3:5] == pytest.approx(drawn.mirrored[there], abs=1e-3)
    assert np.isnan(inputs[4, :, 3:]).all()
    assert "1 of 6 people have none" in caplog.text
    with pytest.raises(InputError, match="leave out --mirrored"):
        given.inputs(mirrored=False, deviations=False)
    found = wrapped(KeypointWrapper(SKELETON, mirrored=True), given, batch_size=4)
    assert found.keypoints == pytest.approx(drawn.predicted, abs=1e-3)
    assert found.oks50 is None


def test_deviations_of_the_program(tmp_path):
    predictions, *_ = write(tmp_path, world(2))
    rows = json.loads(predictions.read_text())
    rows[0]["sigma"] = [1, 2, 3, 4, 5, 6]
    rows[1]["covariance"] = [[[4, 1], [1, 9]]] * 3
    predictions.write_text(json.dumps(rows))
    given = read_given(predictions, None, AnyImages(predictions, SKELETON))
    inputs = given.inputs(mirrored=False, deviations=True)
    assert inputs[0, :, 3:].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert inputs[1, 2, 3:].tolist() == [2, 3]
    with pytest.raises(InputError, match="--mirrored"):
        given.inputs(mirrored=True, deviations=False)
    del rows[1]["covariance"]
    predictions.write_text(json.dumps(rows))
    with pytest.raises(InputError, match="some rows have none"):
        read_given(predictions, None, AnyImages(predictions, SKELETON)).inputs(mirrored=False, deviations=True)


def test_views_that_are_one_or_not_mirrored_back(tmp_path, caplog):
    drawn = world(30)
    predictions, _, mirrored = write(tmp_path, drawn)
    read_given(predictions, mirrored, AnyImages(predictions, SKELETON))
    assert caplog.text == ""
    read_given(predictions, predictions, AnyImages(predictions, SKELETON))
    assert "both views are 0 of the person apart" in caplog.text
    drawn.mirrored[:] = 999 - drawn.mirrored
    write(tmp_path, drawn)
    read_given(predictions, mirrored, AnyImages(predictions, SKELETON))
    assert "mirrored back" in caplog.messages[-1]
