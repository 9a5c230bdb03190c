"""Models that come with logpose: their names stand wherever a checkpoint does."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from logpose import Predictor, load_model
from logpose.core.skeletons import LSP
from logpose.losses import RLELoss
from logpose.models import RegressionModel, ResNet
from logpose.models.backbones import load_backbone_weights
from logpose.models.weight_files import built_in, checkpoint_path
from logpose.training.built_in import built_in_facts, note_built_in
from logpose.training.checkpoint import save


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegressionModel:
    """A model that is built in as `person`."""
    monkeypatch.setattr("logpose.models.weight_files.BUILT_IN", tmp_path / "built_in")
    note_built_in.cache_clear()
    model, loss = RegressionModel(ResNet(18), LSP, (64, 64)), RLELoss()
    model.set_error_distribution(loss.error_distribution())
    notes = {"description": "people", "licence": "of the data", "figures": {"nll": 1.0}}
    save(model, loss, tmp_path / "built_in" / "person", **notes)
    return model


def test_its_name_is_a_checkpoint_unless_there_is_such_a_path(person, tmp_path, monkeypatch):
    assert list(built_in()) == ["person"]
    assert torch.equal(load_model("person").fc_mu.weight, person.fc_mu.weight)
    backbone = ResNet(18)
    load_backbone_weights(backbone, "person")
    assert torch.equal(backbone.conv1.weight, person.backbone.conv1.weight)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "person").mkdir()
    assert checkpoint_path("person") == Path("person")


def test_a_predictor_without_a_model_takes_it_and_reports_it_once(person, caplog):
    with caplog.at_level(logging.WARNING, logger="logpose"):
        found = [Predictor(device="cpu", looks=1)(np.zeros((40, 30, 3), np.uint8)) for _ in range(2)]
    assert found[0].skeleton.joints == LSP.joints
    messages = [record.message for record in caplog.records if "person" in record.message]
    assert len(messages) == 1
    assert "of the data" in messages[0]


def test_facts_are_plain(person):
    facts = built_in_facts()["person"]
    assert (facts["description"], facts["licence"], facts["figures"]) == ("people", "of the data", {"nll": 1.0})
    assert facts["megabytes"] > 40
