"""What detectors share: boxes as frames, detections, pixels, and that training can ask them what it asks of all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.structures import ErrorDistribution, LossDict, Prediction
from logpose.data.image_sets import LabelledImage
from logpose.data.scenes import SceneBatch, ShortSide, scene
from logpose.losses import L1Loss
from logpose.models import Detections, Detector
from logpose.models.detector import best_of_levels, box_iou, box_maps, in_boxes, nobody


class Nobody(Detector):
    """Finds nobody, and learns that by adding nothing to nothing."""

    def training_losses(self, batch: SceneBatch, loss) -> LossDict:
        return LossDict({"boxes": torch.tensor(1.0), "keypoints": torch.tensor(2.0)})

    def detect(self, images, sizes):
        return [nobody(self) for _ in images]


def random_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 50
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 1], dim=1)


def detections(seed: int = 0, count: int = 3) -> Detections:
    generator = torch.Generator().manual_seed(seed)
    mu = torch.rand(count, 17, 2, generator=generator) - 0.5
    sigma = torch.rand(count, 17, 2, generator=generator) * 0.1 + 0.01
    error_distribution = ErrorDistribution(
        torch.tensor([0.5, -1.0]), torch.tensor([2.0, 3.0]), torch.linspace(0.1, 3, 20)
    )
    boxes = random_boxes(count, seed).float()
    return Detections(
        boxes, torch.rand(count), Prediction(mu, sigma, 1 - sigma.mean(-1), error_distribution), box_maps(boxes)
    )


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10**6))
def test_overlap_is_that_of_a_loop(n, m, seed):
    one, other = random_boxes(n, seed), random_boxes(m, seed + 1)
    found = box_iou(one, other)
    assert found.shape == (n, m)
    for i in range(n):
        for j in range(m):
            a, b = one[i].tolist(), other[j].tolist()
            wide, high = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
            area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
            expected = wide * high / (area - wide * high)
            assert float(found[i, j]) == pytest.approx(expected, abs=1e-9)


def test_boxes_of_no_area_overlap_nothing():
    point = torch.tensor([[3.0, 3.0, 3.0, 3.0]])
    assert box_iou(point, point).tolist() == [[0.0]]


@given(st.integers(0, 10**6))
def test_frames_of_boxes_lead_there_and_back(seed):
    boxes = random_boxes(4, seed).float()
    points = torch.rand(4, 5, 2) * 80 - 20
    own = in_boxes(points, boxes)
    assert torch.allclose(geometry.from_crop(own, box_maps(boxes), (1, 1)), points, atol=1e-3)
    corners = boxes.view(4, 2, 2)
    assert torch.allclose(in_boxes(corners, boxes), torch.tensor([[-0.5, -0.5], [0.5, 0.5]]).expand(4, 2, 2), atol=1e-5)


def test_points_in_a_box_of_no_extent_are_finite():
    assert in_boxes(torch.ones(1, 2, 2), torch.zeros(1, 4)).isfinite().all()


def test_detections_are_in_pixels_of_the_input():
    found = detections()
    error_distribution = found.prediction.error_distribution
    expected = np.empty((3, 17, 2))
    spread = np.empty((3, 17, 2))
    for i in range(3):
        low, side = found.boxes[i, :2].numpy(), (found.boxes[i, 2:] - found.boxes[i, :2]).numpy()
        for k in range(17):
            mean = found.prediction.mu[i, k] + found.prediction.sigma[i, k] * error_distribution.mean
            expected[i, k] = low + side * (mean.numpy() + 0.5)
            spread[i, k] = side * found.prediction.sigma[i, k].numpy() * error_distribution.std.numpy()
    assert np.allclose(found.keypoints(), expected, atol=1e-4)
    assert np.allclose(found.spread(), spread, atol=1e-4)
    found.positions = torch.zeros(3, 17, 2)
    assert not found.keypoints().any()


def test_some_of_the_detections():
    found = detections()
    found.positions = torch.rand(3, 17, 2)
    last = found.chosen(torch.tensor([2, 0]))
    assert len(last) == 2
    assert torch.equal(last.boxes, found.boxes[[2, 0]])
    assert torch.equal(last.prediction.sigma, found.prediction.sigma[[2, 0]])
    assert torch.equal(last.positions, found.positions[[2, 0]])
    assert last.prediction.error_distribution is found.prediction.error_distribution
    assert len(found.chosen(found.box_scores > 2)) == 0


def test_what_lies_beyond_an_image_is_nothing():
    model = Nobody(COCO, 64, 64)
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    pixels = model.inputs(images, torch.tensor([[20, 64], [32, 10]]))
    assert not pixels[0, :, 20:].any()
    assert not pixels[1, :, :, 10:].any()
    expected = (images[1, 0, 31, 9] / 255 - 0.485) / 0.229
    assert float(pixels[1, 0, 31, 9]) == pytest.approx(float(expected), abs=1e-5)


def test_a_detector_is_asked_what_every_model_is():
    model = Nobody(COCO, 64, 64)
    error_distribution = ErrorDistribution(torch.zeros(2), torch.ones(2), torch.arange(20.0))
    model.set_error_distribution(error_distribution)
    assert torch.equal(model.error_distribution.radius, error_distribution.radius)
    found = model(model.example_input())
    assert len(found) == 1
    assert len(found[0]) == 0
    assert found[0].keypoints().shape == (0, 17, 2)
    batch = scene(LabelledImage(np.zeros((40, 60, 3), np.uint8), 1, ()), COCO, ShortSide((64,), 64))
    assert float(model.training_losses(batch, L1Loss()).total) == 3.0
    assert [len(people) for people in model.predict(batch)] == [0]
    assert model.output_type == "coordinates"
    assert model.config()["short"] == 64
    model.prepare(None)
    model.begin_epoch(0.5)
    with pytest.raises(InputError, match="no flip test"):
        model.predict(batch, flip_test=True)


@pytest.mark.parametrize(("short", "longest"), [(16, 64), (64, 32), (64, 10**5)])
def test_sizes_that_are_none_are_refused(short, longest):
    with pytest.raises(InputError, match="pixels a side"):
        Nobody(COCO, short, longest)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 12), st.integers(0, 10**6))
def test_the_best_of_levels_are_those_of_a_sorted_list(counts, most, seed):
    scores = torch.randn(sum(counts), generator=torch.Generator().manual_seed(seed))
    rows, there = best_of_levels(scores, counts, most)
    assert len(rows) == len(there) == most * len(counts)
    start = 0
    for level, count in enumerate(counts):
        own = rows[level * most : (level + 1) * most][there[level * most : (level + 1) * most]].tolist()
        assert own == sorted(range(start, start + count), key=lambda row: -scores[row])[:most]
        start += count
