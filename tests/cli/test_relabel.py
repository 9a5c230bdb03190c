"""`logpose relabel`: a new file and its log, and what is refused."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from tests.support.predicting_program import JOINTS, world, write

from logpose.cli.main import main
from logpose.core.skeletons import Skeleton
from logpose.losses import Laplace
from logpose.models import RegressionModel, ResNet
from logpose.tasks.evaluation import Found
from logpose.tasks.pose import evaluate as module
from logpose.training.checkpoint import save


@pytest.fixture
def labels(tmp_path, monkeypatch):
    """Labels of ten people, of whom the fourth is mirrored; and a model that knows where their joints are."""
    drawn = world(10)
    predicted = drawn.truth.copy()
    drawn.truth[3] = drawn.truth[3][[1, 0, 2]]
    _, file, _ = write(tmp_path, drawn)
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), np.zeros((1000, 1000, 3), np.uint8))
    model = RegressionModel(ResNet(18), Skeleton("person", JOINTS), (64, 64))
    model.set_error_distribution(Laplace(2).error_distribution())
    save(model, Laplace(2), tmp_path / "model")

    class Evaluated:
        def __init__(self, people):
            self.samples = list(people.samples)

        def arrays(self):
            one = np.ones((10, 3))
            truth = np.stack([sample.keypoints[:, :2] for sample in self.samples])
            return Found.of(self.samples, predicted, np.full((10, 3, 2), 4.0), one, one * np.nan, one * np.nan, truth)

    monkeypatch.setattr(module, "evaluate", lambda _, people, *__, **___: Evaluated(people))
    return file


def test_what_is_changed_is_in_the_new_file_and_in_the_log(labels, tmp_path, capsys):
    out = tmp_path / "new.json"
    assert main(["relabel", str(labels), "--model", str(tmp_path / "model"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == ["changed 1 of 10 people", "  1 × sides"]
    was, now = (json.loads(path.read_text())["annotations"] for path in (labels, out))
    changed = [a["id"] for a, b in zip(was, now, strict=True) if a != b]
    (row,) = json.loads((tmp_path / "new.json.log.json").read_text())
    assert changed == [row["id"]] == [4]
    assert (
        row["after"]
        == now[3]["keypoints"]
        == was[3]["keypoints"][3:6] + was[3]["keypoints"][:3] + [*was[3]["keypoints"][6:]]
    )


def test_nothing_is_overwritten(labels, tmp_path, refused):
    words = ["relabel", labels, "--model", tmp_path / "model"]
    assert "is there already" in refused(*words, "--out", labels)
    (tmp_path / "new.json.log.json").write_text("")
    assert "new.json.log.json: is there already" in refused(*words, "--out", tmp_path / "new.json")
    assert "--nats" in refused(*words, "--out", tmp_path / "b.json", "--nats", "0")
    save(RegressionModel(ResNet(18), Skeleton("person", JOINTS), (64, 64)), None, tmp_path / "none")
    assert "density" in refused("relabel", labels, "--model", tmp_path / "none", "--out", tmp_path / "b.json")
