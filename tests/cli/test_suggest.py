"""`logpose suggest`: chosen images, those that are labelled already, and what is refused."""

from __future__ import annotations

import json

import cv2
import pytest
from tests.support.predicting_program import JOINTS, world, write
from tests.tasks.pose.test_suggest import photograph

from logpose.core.skeletons import Skeleton
from logpose.losses import Laplace
from logpose.models import RegressionModel, ResNet
from logpose.training.checkpoint import save


@pytest.fixture
def folder(tmp_path):
    """Six images, of which two are labelled; and a model."""
    (tmp_path / "images").mkdir()
    for i in range(6):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.jpg"), photograph(i))
    _, labels, _ = write(tmp_path, world(2))
    content = json.loads(labels.read_text())
    for row in content["images"]:
        row |= {"width": 192, "height": 192}
    for row in content["annotations"]:
        row |= {"keypoints": [50, 50, 2, 100, 60, 2, 70, 120, 2], "bbox": [50, 50, 50, 70], "area": 1855}
    labels.write_text(json.dumps(content))
    model = RegressionModel(ResNet(18), Skeleton("person", JOINTS), (64, 64))
    model.set_error_distribution(Laplace(2).error_distribution())
    save(model, Laplace(2), tmp_path / "model")
    return tmp_path


def test_what_is_labelled_is_not_chosen_again(folder, command):
    words = ("suggest", folder / "model", "--unlabelled", folder / "images", "--device", "cpu", "--looks", 1)
    known = ("--labelled", folder / "labels.json", "--images", folder / "images")
    code, text, err = command(*words, "--count", 3, *known, "--save-json", folder / "chosen.json")
    assert code == 0, err
    names = [line.rsplit("/", 1)[1] for line in text.splitlines()]
    assert len(names) == len({*names} - {"0.jpg", "1.jpg"}) == 3
    assert [row["file_name"] for row in json.loads((folder / "chosen.json").read_text())] == names
    code, text, err = command(*words, "--count", 99, "--json")
    assert code == 0, err
    content = json.loads(text)
    assert len(content["images"]) == 6
    assert content["images"][0]["uncertainty"] > 0
    assert "6 images are left to choose, of the 99 wanted" in err


def test_wrong_options_are_named(folder, refused):
    words = ("suggest", folder / "model", "--unlabelled")
    assert "--count" in refused(*words, folder / "images", "--count", 0)
    assert "nowhere" in refused(*words, folder / "nowhere")
    labelled = ("--labelled", folder / "labels.json", "--images", folder / "images")
    both = (folder / "images" / "0.jpg", folder / "images" / "1.jpg")
    assert "labelled already" in refused(*words, *both, *labelled)
