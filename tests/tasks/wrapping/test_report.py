"""Predictions of a wrapper as rows, and what is reported of people unlike those that it was fitted to."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from tests.support.predicting_program import JOINTS, World, world, write

from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import AnyImages
from logpose.models import KeypointWrapper
from logpose.tasks.options import WrappingPredictOptions
from logpose.tasks.wrapping.predict import read_given
from logpose.tasks.wrapping.report import differences, predict

SKELETON = Skeleton("person", JOINTS)


def fitted(drawn: World) -> KeypointWrapper:
    """A wrapper with the features of people."""
    model = KeypointWrapper(SKELETON).eval()
    given = np.concatenate([drawn.predicted, drawn.scores[..., None]], axis=-1)
    model.fit_features(torch.from_numpy(given).float(), 0.02)
    model.error_std.fill_(1)
    return model


@pytest.mark.parametrize(
    ("count", "size", "power", "words"),
    [(200, 1, 1, ""), (200, 4, 1, "(size of people: "), (200, 1, 3, "(score: "), (10, 1, 3, "")],
)
def test_people_unlike_those_that_it_was_fitted_to(tmp_path, count, size, power, words):
    model, drawn = fitted(world(200)), world(count, seed=1)
    drawn.predicted[:] *= size
    drawn.scores[:] = drawn.scores**power
    predictions, *_ = write(tmp_path, drawn)
    found = differences(model, read_given(predictions, None, AnyImages(predictions, SKELETON)))
    assert len(found) == bool(words)
    assert words in "".join(found)


def test_rows_of_a_program_that_writes_shares_of_the_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), np.uint8))
    (folder := tmp_path / "labels").mkdir()
    (folder / "a.txt").write_text("0 .5 .5 .4 .4 .25 .5 .9 .5 .5 .8 .75 .1 .7\n")
    options = WrappingPredictOptions(
        checkpoint=tmp_path, inputs=(folder,), images=tmp_path, device="cpu", save_json=tmp_path / "out.json"
    )
    made = predict(fitted(world(50)), options)
    (row,) = json.loads(json.dumps([*made.rows()]))
    assert row["file_name"] == "a"
    assert row["keypoints"] == pytest.approx([50, 50, 0.9, 100, 50, 0.8, 150, 10, 0.7], abs=1e-2)
    assert len(row["sigma"]) == 6
    assert "radius" not in row, "it is not calibrated"
    assert made.arrays()["image"].tolist() == ["a"]
    assert len([*made.text()]) == 1 + len(JOINTS)
