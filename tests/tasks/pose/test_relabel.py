"""Labels that are put right in the content of a COCO file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.support.predicting_program import world, write

from logpose.core.errors import InputError
from logpose.data.files import open_people
from logpose.metrics.doubtful_labels import Doubt
from logpose.tasks.pose.doubtful import Doubtful
from logpose.tasks.pose.relabel import relabelled

NONE = np.zeros((3, 2))


def test_exchanged_labels_are_put_right_once(tmp_path):
    _, labels, _ = write(tmp_path, world(4))
    before = json.loads(labels.read_text())
    people = open_people(labels, need_images=False)
    swap, own = Doubt("sides", (0, 1), 50.0, (1, 0, 2)), Doubt("other person", (0, 1, 2), 40.0, (0, 1, 2))
    doubtful = [
        Doubtful(0, swap, NONE, (True,) * 3),
        Doubtful(2, own, NONE, (True,) * 3, other=3),
        Doubtful(3, own, NONE, (True,) * 3, other=2),
        Doubtful(0, Doubt("exchanged", (1, 2), 30.0, (0, 2, 1)), NONE, (True,) * 3),
        Doubtful(1, Doubt("far off", (2,), 90.0, (0, 1, -1)), NONE, (True,) * 3),
        Doubtful(1, Doubt("sides", (0, 1), 19.0, (1, 0, 2)), NONE, (True,) * 3),
    ]
    content, log = relabelled(labels, people, doubtful, nats=20.0)
    was, now = ([row["keypoints"] for row in each["annotations"]] for each in (before, content))
    assert now[0] == was[0][3:6] + was[0][:3] + was[0][6:]
    assert now[1] == was[1]
    assert (now[2], now[3]) == (was[3], was[2])
    assert [row["id"] for row in log] == [1, 3, 4]
    assert log[0]["before"] == was[0]
    assert log[0]["after"] == now[0]
    assert json.loads(labels.read_text()) == before


def test_people_with_each_others_labels_are_changed_both_or_not_at_all(tmp_path):
    _, labels, _ = write(tmp_path, world(3))
    before = json.loads(labels.read_text())
    before["annotations"][1]["keypoints"][8] = 0
    labels.write_text(json.dumps(before))
    people = open_people(labels, need_images=False)
    own = [Doubt("other person", (0, 1, 2), nats, (0, 1, 2)) for nats in (50.0, 40.0)]
    doubtful = [
        Doubtful(row, doubt, NONE, (True,) * 3, other)
        for doubt, pair in zip(own, ((0, 1), (0, 2)), strict=True)
        for row, other in (pair, pair[::-1])
    ]
    content, log = relabelled(labels, people, doubtful, nats=20.0)
    rows = {tuple(row["keypoints"]): row["num_keypoints"] for row in content["annotations"]}
    assert rows.keys() == {tuple(row["keypoints"]) for row in before["annotations"]}, "nobody's labels are lost"
    assert rows[tuple(before["annotations"][1]["keypoints"])] == 2
    assert len(log) % 2 == 0


@pytest.mark.parametrize("ids", [(1, 1, 2), (1, 2, None)])
def test_annotations_without_ids_of_their_own(tmp_path, ids):
    _, labels, _ = write(tmp_path, world(3))
    content = json.loads(labels.read_text())
    for row, number in zip(content["annotations"], ids, strict=True):
        row["id"] = number
    people = open_people(labels, need_images=False)
    labels.write_text(json.dumps(content))
    with pytest.raises(InputError, match="no two the same"):
        relabelled(labels, people, [], 20.0)


def test_labels_in_another_form(tmp_path):
    (file := tmp_path / "labels.json").write_text("[]")
    with pytest.raises(InputError, match="COCO"):
        relabelled(file, None, [], 20.0)
