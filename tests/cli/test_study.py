"""`logpose study`: both studies of a model, and what is refused."""

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
from logpose.training.checkpoint import save


@pytest.fixture
def words(tmp_path):
    """A model, and ten people."""
    _, labels, _ = write(tmp_path, world(10))
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), np.full((1000, 1000, 3), 200, np.uint8))
    model = RegressionModel(ResNet(18), Skeleton("person", JOINTS), (64, 64))
    model.set_error_distribution(Laplace(2).error_distribution())
    save(model, Laplace(2), tmp_path / "model")
    return [str(tmp_path / "model"), "--data", str(labels), "--people", "3", "--device", "cpu"]


def test_both_studies_of_one_and_of_two_models(words, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["study", "occlusion", *words, "--json", "--report", str(page)]) == 0
    (study,) = json.loads(capsys.readouterr().out).values()
    assert study["joints"] == ["hand", "nose"]
    assert np.array(study["matrices"]["std"]).shape == (3, 2)
    assert page.read_text().count("data:image/jpeg") == 1
    assert main(["study", "truncation", words[0], *words, "--cut", "0.3", "--side", "left", "--report", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["0.0", "30.0"]
    assert page.read_text().count("data:image/jpeg") == 1, "the same model named twice is one"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["occlusion", "--cut", "0.5"], "--cut"),
        (["truncation", "--square", "0.5"], "--square"),
        (["occlusion", "--square", "1.5"], "--square"),
        (["truncation", "--cut", "1"], "--cut"),
        (["truncation", "--people", "0"], "--people"),
    ],
)
def test_wrong_options_are_named(words, refused, given, named):
    assert named in refused("study", given[0], *words, *given[1:])


def test_models_of_other_kinds_are_refused(words, tmp_path, refused):
    save(RegressionModel(ResNet(18), Skeleton("person", JOINTS), (64, 64), dim=3), None, tmp_path / "deep")
    assert "two dimensions" in refused("study", "occlusion", tmp_path / "deep", *words[1:])
