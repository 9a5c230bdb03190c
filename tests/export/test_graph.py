"""The graph's outputs are what users are given: expected positions and calibrated deviations, of every model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.support.anchors import anchors
from tiny_runs import Tiny

from logpose.core.calibration import Calibration
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Skeleton
from logpose.export.graph import MOST_PEOPLE, facts_of, graph_of
from logpose.losses import Laplace
from logpose.models import BoundaryModel, KeypointWrapper, Model, RegressionModel

COUNT = len(COCO)


def model_of(**options) -> RegressionModel:
    torch.manual_seed(0)
    model = RegressionModel(Tiny(), COCO, (32, 32), **options).eval()
    model.set_error_distribution(Laplace(2).error_distribution())
    return model


def outputs(model, *inputs) -> dict[str, np.ndarray]:
    graph = graph_of(model).eval()
    with torch.no_grad():
        return {name: values.numpy() for name, values in zip(graph.outputs, graph(*inputs), strict=True)}


def test_outputs_are_the_calibrated_prediction():
    model = model_of(visibility=True, correlated=True)
    torch.nn.init.normal_(model.fc_correlation.weight)
    factor = np.linspace(0.5, 2, COUNT)
    radii = [[[1.0 + i, 2.0 + i] for i in range(COUNT)], [[3.0 + i, 1.5 + i] for i in range(COUNT)]]
    model.calibration = Calibration(factor.tolist(), (0.5, 0.9), radii, sizes=(100.0,), visibility=(2.0, 0.5))
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    found = outputs(model, images)
    with torch.no_grad():
        raw = model(images)
    assert found["keypoints"] == pytest.approx(raw.mean.numpy(), abs=1e-6)
    assert found["std"] == pytest.approx(raw.std.numpy() * factor[:, None], rel=1e-5)
    assert found["correlation"] == pytest.approx(raw.error_correlation.numpy(), abs=1e-6)
    assert found["visible"] == pytest.approx((2 * raw.visibility + 0.5).sigmoid().numpy(), abs=1e-6)
    assert found["confidence"] == pytest.approx(raw.confidence.numpy(), abs=1e-6)
    # Of two ranges of sizes, which a crop does not show, the larger radius.
    assert found["radius"][2] == pytest.approx(np.array(radii).max(axis=0), rel=1e-6)


def test_what_is_not_known_is_no_output():
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert list(outputs(RegressionModel(Tiny(), COCO, (32, 32)).eval(), images)) == ["keypoints", "confidence"]
    found = outputs(model_of(), images)
    assert list(found) == ["keypoints", "confidence", "std", "radius"]
    # Without a calibration the regions are those of the density, at three levels.
    assert found["radius"][0, 4] == pytest.approx([model_of().region_radius(level)[0, 0] for level in (0.5, 0.9, 0.95)])


def test_radii_of_boundaries_are_of_dimensions():
    layers = Skeleton("layers", ("a", "b", "c"))
    model = BoundaryModel(layers, (32, 64), channels=4, depth=1, cells=4).eval()
    model.set_error_distribution(Laplace(3).error_distribution())
    assert outputs(model, model.example_input())["radius"].shape == (1, 3, 3)


def test_facts_are_plain_and_complete():
    model = model_of()
    facts = facts_of(graph_of(model), "half", {"licence": "none", "figures": {"pck": 0.5}})
    assert json.loads(json.dumps(facts)) == facts
    assert facts["model"] == model.config()
    assert facts["loss"] == {"kind": None}
    assert (facts["licence"], facts["export"]["precision"]) == ("none", "half")
    assert facts["export"]["error_distribution"]["std"] == pytest.approx([1.0, 1.0], abs=0.5)
    assert (
        facts_of(graph_of(RegressionModel(Tiny(), COCO, (32, 32))), "single", {})["export"]["error_distribution"]
        is None
    )


def test_a_detector_s_outputs_are_its_best_people(thin_resnets):
    detector = anchors()
    detector.calibration = Calibration([2.0] * COUNT, (0.5, 0.9), [[[1.0, 3.0]] * COUNT])
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    found = outputs(detector, images, torch.tensor([[64, 90]]))
    assert list(found) == ["boxes", "scores", "keypoints", "confidence", "std", "radius"]
    with torch.no_grad():
        (people,) = detector.detect(images, torch.tensor([[64, 90]]))
    assert len(people) > MOST_PEOPLE == len(found["scores"])
    assert found["keypoints"] == pytest.approx(people.keypoints()[:MOST_PEOPLE].numpy(), abs=1e-3)
    assert found["std"] == pytest.approx(2 * people.spread()[:MOST_PEOPLE].numpy(), rel=1e-4)
    assert found["radius"][7].tolist() == [[1.0, 3.0]] * COUNT
    facts = facts_of(graph_of(detector, 3), "single", {})["export"]
    assert (facts["shape"], facts["short"], facts["longest"]) == ([3, None, None], 64, 128)


def test_a_wrapper_s_outputs_are_pixels():
    wrapper = KeypointWrapper(COCO, members=2).eval()
    wrapper.set_error_distribution(Laplace(2).error_distribution())
    people = torch.rand(4, COUNT, 3) * torch.tensor([200.0, 400.0, 1.0]) + torch.tensor([900.0, 0.0, 0.0])
    found = outputs(wrapper, people)
    assert found["keypoints"] == pytest.approx(people[..., :2].numpy(), abs=1e-2)
    with torch.no_grad():
        relative = wrapper(people).std
    size = (people[..., :2].amax(dim=1) - people[..., :2].amin(dim=1)).amax(dim=1)
    assert found["std"] == pytest.approx((relative * size[:, None, None]).numpy(), rel=1e-4)


def test_what_is_not_exported():
    class Own(Model):
        task = "astrology"
        training_losses = predict = example_input = input_spec = None

    with pytest.raises(InputError, match="models of astrology are not exported"):
        graph_of(object.__new__(Own))
    with pytest.raises(InputError, match="--people is for detectors"):
        graph_of(model_of(), 3)
    with pytest.raises(InputError, match="several scales"):
        graph_of(anchors(scales=(0.5, 1.0)))
    with pytest.raises(InputError, match="1 to 100 people"):
        graph_of(anchors(), 0)
