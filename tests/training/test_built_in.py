"""Models that come with logpose: their names stand wherever a checkpoint does."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from logpose import Predictor, load_model
from logpose.core.errors import InputError
from logpose.core.skeletons import LSP
from logpose.data.images import read_image
from logpose.data.lsp import LspPeople
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


class TestPerson:
    """The model that comes with the package, as it is."""

    def test_it_is_small_and_its_card_has_the_licence(self):
        folder = built_in()["person"]
        assert (folder / "model.safetensors").stat().st_size < 13e6
        model = load_model("person")
        assert sum(parameter.numel() for parameter in model.parameters()) < 7e6
        assert model.skeleton.joints == LSP.joints
        assert model.calibration.levels == (0.5, 0.9, 0.95)
        assert "research use" in built_in_facts()["person"]["licence"]
        assert "**Research use.**" in (folder / "README.md").read_text()

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((480, 640, 3), np.uint8),
            np.full((30, 40, 3), 255, np.uint8),
            np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8),
            np.zeros((1, 1, 3), np.uint8),
            np.zeros((2, 3000, 3), np.uint8),
        ],
        ids=["black", "white", "noise", "a pixel", "a line"],
    )
    def test_where_nobody_is_it_finds_nobody(self, image):
        assert len(Predictor(device="cpu")(image)) == 0

    def test_people_in_whole_photographs_are_found(self, data_root):
        """Of people whom it was not trained on, whichever way up, small or large."""
        people = LspPeople(data_root / "lspet" / "joints.mat", part="val").samples[:24]
        predictor = Predictor(device="cpu")
        whole = list(predictor.many([(read_image(who.image), None) for who in people]))
        assert sum(len(found) for found in whole) >= 22
        errors = [
            np.linalg.norm(found.keypoints[0] - who.keypoints, axis=1)[who.visible > 0] / who.box[2:].max()
            for found, who in zip(whole, people, strict=True)
            if len(found)
        ]
        assert np.median(np.concatenate(errors)) < 0.06
        image = read_image(people[0].image)
        small = predictor(cv2.resize(image, (image.shape[1] // 4, image.shape[0] // 4), interpolation=cv2.INTER_AREA))
        large = predictor(cv2.resize(image, (image.shape[1] * 8, image.shape[0] * 8)))
        side = people[0].box[2:].max()
        for found, factor in ((small, 4), (large, 1 / 8)):
            assert np.median(np.linalg.norm(found.keypoints[0] * factor - whole[0].keypoints[0], axis=1)) < 0.08 * side

    def test_regions_hold_what_they_say(self, data_root):
        people = LspPeople(data_root / "lspet" / "joints.mat", part="val").samples[::10]
        found = Predictor(device="cpu").many([(read_image(who.image), [who.box.tolist()]) for who in people])
        inside = [
            (((each.keypoints[0] - who.keypoints) / each.regions[0.9][0]) ** 2).sum(axis=1)[who.visible > 0] <= 1
            for each, who in zip(found, people, strict=True)
        ]
        assert np.concatenate(inside).mean() == pytest.approx(0.9, abs=0.04)

    def test_altered_weights_are_refused(self, tmp_path):
        folder = shutil.copytree(built_in()["person"], tmp_path / "person")
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[-7] ^= 1
        (folder / "model.safetensors").write_bytes(bytes(content))
        with pytest.raises(InputError, match="checksum"):
            load_model(folder)
        (folder / "model.safetensors").write_bytes(bytes(content[:1000]))
        with pytest.raises(InputError, match="checksum"):
            load_model(folder)

    def test_the_command_needs_no_other_word(self, command, photos, tmp_path):
        note_built_in.cache_clear()
        code, _, err = command(
            "predict", photos[0], "--save-images", tmp_path / "out", "--save-json", tmp_path / "a.json"
        )
        assert code == 0, err
        assert "the built-in model person predicts" in err
        assert "one person was looked for" in err
        assert len(list((tmp_path / "out").iterdir())) == 1
