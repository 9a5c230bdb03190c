"""Evaluation by models whose faults are known: what is reported is what was put in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import brentq
from torch import Tensor
from torch.nn import functional

from logpose.core.cameras import Camera
from logpose.core.errors import InputError
from logpose.core.geometry import box_to_region, crop_matrix, invert_affine
from logpose.core.samples import Sample, Scoring
from logpose.core.skeletons import COCO, H36M_LIFTING
from logpose.core.space import Space
from logpose.core.structures import Batch, ErrorDistribution, Prediction
from logpose.data.batches import collate
from logpose.data.crops import Crops, InMemory, crop_loader
from logpose.data.transforms import CropTransform
from logpose.losses import Gaussian, L2Loss, Laplace, MixedRLELoss
from logpose.models import PoseModel, RegressionModel, create_backbone
from logpose.tasks.pose.evaluate import Evaluation, evaluate
from logpose.tasks.pose.predict import Predictor

SIZE = (64, 48)
COUNT = 60


class Crowd:
    """People on black pictures, some joints unlabelled, two people to an image."""

    skeleton = COCO

    def __init__(self, count: int = COUNT, twice: bool = False) -> None:
        rng = np.random.default_rng(0)
        self.samples = []
        image = np.zeros((200, 300, 3), np.uint8)
        for i in range(count):
            box = np.array([*rng.uniform(20, 100, 2), *rng.uniform(50, 90, 2)])
            keypoints = box[:2] + rng.uniform(0, 1, (17, 2)) * box[2:]
            visible = rng.choice([0, 1, 2], 17, p=[0.2, 0.2, 0.6])
            visible[0] = 2
            keypoints[visible == 0] = math.nan
            for _ in range(1 + twice):
                self.samples.append(Sample(image, box, keypoints, visible, box[2] * box[3] / 2, i // 2, i + 1))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class Oracle(PoseModel):
    """Knows the answer, and errs as it is told. It is shown the people in order, each batch once (no flip test)."""

    def __init__(
        self, people: Any, error: Tensor | None = None, sigma: Tensor | None = None, dim: int | None = None
    ) -> None:
        crops = Crops(people, CropTransform(COCO, SIZE))
        batch = collate([crops[0, i] for i in range(len(people))])
        labels = batch.target.shape[-1]
        super().__init__(people.skeleton, SIZE, dim or labels)
        self.batch: Batch = batch
        self.truth = functional.pad(batch.target, (0, self.dim - labels)).nan_to_num()  # what nobody knows is 0
        shape = self.truth.shape
        self.error = torch.zeros(shape) if error is None else error.expand(shape)
        self.sigma = torch.full(shape, 0.1) if sigma is None else sigma.expand(shape)
        self.place = 0

    def forward(self, images: Tensor) -> Prediction:
        rows = slice(self.place, self.place + len(images))
        self.place += len(images)
        sigma = self.sigma[rows]
        return Prediction(self.truth[rows] + self.error[rows], sigma, 1 - sigma.mean(dim=-1), self.error_distribution)

    def config(self) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def people() -> Crowd:
    return Crowd()


def figures(model: PoseModel, people: Any, loss: Any = None, **options: Any) -> dict[str, float]:
    return evaluate(model, people, loss, flip_test=False, batch_size=16, **options).compute()


def pixels_of(people: Any) -> np.ndarray:
    """For each person, pixels of the image to a unit of crop coordinates, across and down."""
    scales = [np.array(box_to_region(p.box, SIZE)[1]) for p in (people[i] for i in range(len(people)))]
    return np.stack(scales)[:, None]


def noise(seed: int = 0) -> Tensor:
    return torch.randn(COUNT, 17, 2, generator=torch.Generator().manual_seed(seed))


# How far off


def test_the_truth_is_perfect(people: Crowd) -> None:
    found = figures(Oracle(people), people)
    assert found["people"] == COUNT
    assert found["joints"] == sum(int((people[i].visible > 0).sum()) for i in range(COUNT))
    assert found["error_px"] == pytest.approx(0, abs=1e-4)
    assert found["nme"] == pytest.approx(0, abs=1e-6)
    assert found["oks"] == pytest.approx(1)
    assert [found[f"pck@{t}"] for t in (0.05, 0.1, 0.2)] == [1, 1, 1]
    assert found["ap"] == found["ap50"] == found["ap75"] == pytest.approx(1)
    assert found["ar"] == pytest.approx(1)
    # Nothing is claimed of a likelihood or a spread where no loss was given and no law is known.
    assert not {"nll", "std_px", "sigma_rank"} & set(found)
    assert not any(name.startswith("coverage") for name in found)


def test_a_constant_offset_is_measured_in_pixels_of_the_image(people: Crowd) -> None:
    offset = torch.tensor([0.03, -0.04])
    found = figures(Oracle(people, offset), people)
    visible = np.stack([people[i].visible > 0 for i in range(COUNT)])
    apart = np.linalg.norm(pixels_of(people) * offset.numpy(), axis=-1) * np.ones((1, 17))
    side = np.array([people[i].box[2:].max() for i in range(COUNT)])
    assert found["error_px"] == pytest.approx(apart[visible].mean(), rel=1e-4)
    relative = (apart / side[:, None])[visible]
    diagonal = np.array([np.hypot(*people[i].box[2:]) for i in range(COUNT)])
    assert found["nme"] == pytest.approx((apart / diagonal[:, None])[visible].mean(), rel=1e-4)
    for threshold in (0.05, 0.1, 0.2):
        assert found[f"pck@{threshold}"] == pytest.approx((relative <= threshold).mean())
    area = np.array([people[i].area for i in range(COUNT)])
    variance = (2 * np.array(COCO.sigmas)) ** 2
    similarity = np.exp(-(apart**2) / (2 * area[:, None] * variance))
    each = [similarity[i][visible[i]].mean() for i in range(COUNT)]
    assert found["oks"] == pytest.approx(np.mean(each), rel=1e-4)
    assert 0 < found["ap"] < 1


def test_average_precision_can_be_left_out(people: Crowd) -> None:
    evaluation = evaluate(Oracle(people), people, flip_test=False)
    assert "ap" not in evaluation.compute(costly=False)
    assert "error_px" in evaluation.compute(costly=False)


def test_batches_and_workers_change_nothing(people: Crowd) -> None:
    error = 0.02 * noise()
    found = [evaluate(Oracle(people, error), people, flip_test=False, batch_size=size).compute() for size in (1, 7, 64)]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5, nan_ok=True)


# How sure


@pytest.mark.parametrize("skewed", [False, True])
def test_coverage_nll_and_spread_of_a_gaussian(people: Crowd, skewed: bool) -> None:
    # The standardised error is N(mean, diag(std²)): labels scatter about mu + sigma · mean.
    mean, std = (torch.tensor([0.5, -1.0]) if skewed else torch.zeros(2)), torch.tensor([0.7, 1.3])
    sigma = 0.01 + 0.05 * torch.rand(COUNT, 17, 2, generator=torch.Generator().manual_seed(3))
    error = mean + std * noise()
    model = Oracle(people, -sigma * error, sigma)
    levels = torch.tensor([*(0.05 * i for i in range(1, 20)), 0.99], dtype=torch.float64)
    model.set_error_distribution(ErrorDistribution(mean, std, torch.from_numpy(stats.chi(2).ppf(levels)).float()))
    loss = Laplace()
    found = figures(model, people, loss)
    for level in (0.5, 0.9, 0.95):
        assert found[f"coverage@{level}"] == pytest.approx(level, abs=0.04)
    labelled = model.batch.weight > 0
    spread = np.sqrt(((pixels_of(people) * (sigma * std).numpy()) ** 2).sum(axis=-1))
    assert found["std_px"] == pytest.approx(spread[labelled.numpy()].mean(), rel=1e-4)
    expected = (-stats.laplace.logpdf(error.numpy()) + np.log(sigma.numpy())).sum(axis=-1)
    assert found["nll"] == pytest.approx(expected[labelled.numpy()].mean(), rel=1e-4, abs=1e-4)
    # What is reported as the position is the density's mean, not mu.
    off = pixels_of(people) * (sigma * (mean - error)).numpy()
    assert found["error_px"] == pytest.approx(np.linalg.norm(off, axis=-1)[labelled.numpy()].mean(), rel=1e-4)


def test_gaussian_nll(people: Crowd) -> None:
    sigma = 0.02 + 0.05 * torch.rand(COUNT, 17, 2, generator=torch.Generator().manual_seed(4))
    model = Oracle(people, sigma * noise(), sigma)
    found = figures(model, people, Gaussian())
    labelled = (model.batch.weight > 0).numpy()
    each = -stats.norm.logpdf((sigma * noise()).numpy(), scale=sigma.numpy()).sum(axis=-1)
    assert found["nll"] == pytest.approx(each[labelled].mean(), rel=1e-4)


def test_a_constant_scale_has_a_likelihood_but_no_ranking(people: Crowd) -> None:
    loss = L2Loss()
    loss.moment.fill_(0.05**2)
    model = Oracle(people, 0.05 * noise(), torch.ones(()))
    model.set_error_distribution(loss.error_distribution())
    found = figures(model, people, loss)
    labelled = (model.batch.weight > 0).numpy()
    each = -stats.norm.logpdf(0.05 * noise().numpy(), scale=0.05).sum(axis=-1)
    assert found["nll"] == pytest.approx(each[labelled].mean(), rel=1e-4)
    assert found["coverage@0.9"] == pytest.approx(0.9, abs=0.04)
    assert "sigma_rank" not in found
    assert "confidence_oks" not in found


def test_who_knows_its_errors_ranks_them_perfectly(people: Crowd) -> None:
    size = 0.01 + 0.2 * torch.rand(COUNT, 17, 1, generator=torch.Generator().manual_seed(5))
    error = size * torch.tensor([0.6, 0.8])
    model = Oracle(people, error, error.abs())
    model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.linspace(0.1, 3, 20)))
    found = figures(model, people)
    assert found["sigma_rank"] == pytest.approx(1)
    model = Oracle(people, error, 0.3 - error.abs())
    model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.linspace(0.1, 3, 20)))
    assert figures(model, people)["sigma_rank"] < -0.5


def test_confidence_and_oks_of_people(people: Crowd) -> None:
    # One error and one sigma to a person: whoever is worse is less sure.
    size = torch.linspace(0.001, 0.08, COUNT)[:, None, None]
    model = Oracle(people, size * torch.tensor([1.0, 0.0]), size)
    model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.linspace(0.1, 3, 20)))
    evaluation = evaluate(model, people, flip_test=False)
    found = evaluation.compute()
    apart = pixels_of(people)[:, 0, 0] * size[:, 0, 0].numpy()
    visible = np.stack([people[i].visible > 0 for i in range(COUNT)])
    area = np.array([people[i].area for i in range(COUNT)])
    each = np.exp(-(apart[:, None] ** 2) / (2 * area[:, None] * (2 * np.array(COCO.sigmas)) ** 2))
    similarity = [row[seen].mean() for row, seen in zip(each, visible, strict=True)]
    expected = stats.pearsonr(1 - size[:, 0, 0].numpy(), similarity).statistic
    assert found["confidence_oks"] == pytest.approx(expected, rel=1e-3)
    assert expected > 0.5


# The mirror


class Symmetric(PoseModel):
    """Sees bright dots and never mind which way round: the flip test cannot change what it says."""

    def forward(self, images: Tensor) -> Prediction:
        pixels = images.float().mean(dim=1)
        height, width = pixels.shape[1:]
        total = pixels.sum(dim=(1, 2)).clamp_min(1)
        x = (pixels.sum(dim=1) * torch.arange(width)).sum(dim=1) / total / width - 0.5
        y = (pixels.sum(dim=2) * torch.arange(height)).sum(dim=1) / total / height - 0.5
        mu = torch.stack([x, y], dim=-1)[:, None].expand(-1, 17, 2)
        sigma = torch.full_like(mu, 0.25)
        return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), self.error_distribution)

    def config(self) -> dict[str, Any]:
        return {}


class Biased(Symmetric):
    """The same, but always too far to the right."""

    def forward(self, images: Tensor) -> Prediction:
        prediction = super().forward(images)
        prediction.mu = prediction.mu + torch.tensor([0.1, 0.0])
        return prediction


def noisy_batch() -> Batch:
    crowd = Crowd(4)
    rng = np.random.default_rng(1)
    for sample in crowd.samples:
        sample.image = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    return next(iter(crop_loader(Crops(crowd, CropTransform(COCO, SIZE)), 4, training=False)))


def test_the_flip_test_leaves_a_symmetric_model_alone() -> None:
    batch = noisy_batch()
    plain, flipped = (Symmetric(COCO, SIZE).predict(batch, flip) for flip in (False, True))
    torch.testing.assert_close(flipped.mu, plain.mu, atol=1e-6, rtol=0)
    torch.testing.assert_close(flipped.sigma, plain.sigma)
    torch.testing.assert_close(flipped.confidence, plain.confidence)


def test_the_flip_test_cancels_a_bias_to_one_side() -> None:
    batch = noisy_batch()
    honest = Symmetric(COCO, SIZE).predict(batch, flip_test=False)
    torch.testing.assert_close(Biased(COCO, SIZE).predict(batch, flip_test=True).mu, honest.mu, atol=1e-6, rtol=0)
    assert (Biased(COCO, SIZE).predict(batch, flip_test=False).mu - honest.mu).abs().max() > 0.05


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_skewed_error_distribution_keeps_mu_and_reports_the_mean(flip_test: bool) -> None:
    """A model that is off by the error distribution's mean, to the left in the crop as in its mirror image.

    On the crop its expected position is right; brought back from the mirror image it is right too.
    """

    class Skewed(Symmetric):
        def forward(self, images: Tensor) -> Prediction:
            prediction = super().forward(images)
            prediction.mu = prediction.mu - prediction.sigma * self.error_distribution.mean
            return prediction

    mean = torch.tensor([0.4, -0.2])
    batch, model = noisy_batch(), Skewed(COCO, SIZE)
    model.set_error_distribution(ErrorDistribution(mean, torch.ones(2), torch.ones(20)))
    prediction = model.predict(batch, flip_test)
    honest = Symmetric(COCO, SIZE).predict(batch).mu
    torch.testing.assert_close(prediction.mean, honest, atol=1e-6, rtol=0)
    torch.testing.assert_close(prediction.mu, honest - 0.25 * mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(prediction.error_distribution.mean, mean)
    assert prediction.mu.dtype == torch.float32


# Results


def test_results_are_entries_of_a_coco_file(people: Crowd) -> None:
    sigma = torch.linspace(0.1, 0.6, 17)[:, None].expand(17, 2)
    model = Oracle(people, sigma=sigma)
    for i, sample in enumerate(people.samples):
        sample.score = 0.5 + i / 100
    rows = evaluate(model, people, flip_test=False).results(category_id=7)
    for sample in people.samples:
        sample.score = 1.0
    assert len(rows) == COUNT
    assert sorted(row["image_id"] for row in rows) == sorted(i // 2 for i in range(COUNT))
    confidence = 1 - sigma[:, 0].numpy()
    for i, row in enumerate(rows):
        assert set(row) == {"image_id", "category_id", "keypoints", "score"}
        assert row["category_id"] == 7
        triplets = np.array(row["keypoints"]).reshape(17, 3)
        np.testing.assert_allclose(triplets[:, 2], confidence, atol=1e-3)
        seen = people[i].visible > 0
        np.testing.assert_allclose(triplets[seen, :2], people[i].keypoints[seen], atol=2e-3)
        # Detector's score + mean + maximum of the joints, as the released code ranks.
        assert row["score"] == pytest.approx(0.5 + i / 100 + confidence.mean() + confidence.max(), rel=1e-5)


def test_results_are_scored_as_asked(people: Crowd) -> None:
    scorings: tuple[Scoring, ...] = ("sum", "product", "box", "oks")

    def measured(scoring: Scoring) -> Evaluation:
        oracle = Oracle(people)
        oracle.set_error_distribution(Gaussian().error_distribution())
        return evaluate(oracle, people, flip_test=False, scoring=scoring)

    evaluations = {scoring: measured(scoring) for scoring in scorings}
    found = {s: evaluation.results() for s, evaluation in evaluations.items()}
    assert {row["score"] for row in found["box"]} == {1.0}
    for row, summed in zip(found["product"], found["sum"], strict=True):
        confidence = np.array(row["keypoints"]).reshape(17, 3)[:, 2]
        assert row["score"] == pytest.approx(confidence.mean(), abs=1e-3)
        assert summed["score"] == pytest.approx(1 + confidence.mean() + confidence.max(), abs=1e-3)
    by_oks = evaluations["oks"]
    for index, row in enumerate(found["oks"]):
        area = 0.53 * people[index].box[2] * people[index].box[3]
        share = by_oks.rows[index][1] ** 2 / (area * (2 * np.array(COCO.sigmas)[:, None]) ** 2)
        assert row["score"] == pytest.approx((1 / np.sqrt(1 + share)).prod(axis=-1).mean(), abs=5e-3)
    with pytest.raises(InputError, match="--score oks"):
        evaluate(Oracle(people), people, flip_test=False, scoring="oks")


def test_figures_by_torso_and_head(people: Crowd) -> None:
    def found() -> dict[str, float]:
        model = Oracle(people, error=torch.tensor([0.02, 0.0]))
        return evaluate(model, people, flip_test=False).compute(costly=False)

    plain = found()
    # An error of 0.02 of the crop is as many pixels as 0.02 of the region's width.
    off = np.array([0.02 * box_to_region(s.box, SIZE)[1][0] for s in people.samples])
    near, labelled, near_head = 0, 0, 0
    for s, pixels in zip(people.samples, off, strict=True):
        diagonals = [(5, 12), (6, 11)]  # left shoulder to right hip, and the other where that is not labelled
        sizes = [np.linalg.norm(s.keypoints[a] - s.keypoints[b]) for a, b in diagonals if s.visible[a] and s.visible[b]]
        count = int((s.visible > 0).sum())
        near_head += count * (pixels < 0.5 * 10)
        if sizes:
            labelled += count
            near += count * (pixels <= 0.1 * sizes[0])
    assert 0 < near < labelled, "all alike: the test would not tell"
    assert plain["pck_torso@0.1"] == pytest.approx(near / labelled)
    assert not any(name.startswith("pckh") for name in plain)
    people.head_sizes = np.full(COUNT, 10.0)
    heads = found()
    del people.head_sizes
    assert heads["pckh@0.5"] == pytest.approx(near_head / sum((s.visible > 0).sum() for s in people.samples))


def test_nms_merges_who_was_found_twice() -> None:
    twice = Crowd(10, twice=True)
    sigma = torch.full((20, 17, 2), 0.2)
    sigma[1::2] = 0.1  # the second of each is surer
    plain = evaluate(Oracle(twice, sigma=sigma), twice, flip_test=False).results()
    merged = evaluate(Oracle(twice, sigma=sigma), twice, flip_test=False, nms=True).results()
    assert len(plain) == 20
    assert len(merged) == 10
    assert {row["score"] for row in merged} == {max(row["score"] for row in plain)}
    # Two people of one image stay two.
    assert sorted(row["image_id"] for row in merged) == sorted(i // 2 for i in range(10))
    figures = evaluate(Oracle(twice, sigma=sigma), InMemory(twice, range(0, 20, 2)), flip_test=False)
    assert len(figures.results()) == 10


@pytest.mark.parametrize(("alike", "left"), [(0.92, 1), (0.88, 2)])
def test_nms_is_at_an_oks_of_nine_tenths_of_the_padded_region(alike: float, left: int) -> None:
    twice = Crowd(1, twice=True)
    width, height = box_to_region(twice[0].box, SIZE)[1]

    def oks_at(pixels: float) -> float:
        return float(np.mean([math.exp(-(pixels**2) / (8 * s**2 * width * height)) for s in COCO.sigmas]))

    apart = brentq(lambda pixels: oks_at(pixels) - alike, 0, width)
    error = torch.zeros(2, 17, 2)
    error[1, :, 0] = apart / width
    assert len(evaluate(Oracle(twice, error), twice, flip_test=False, nms=True).results()) == left


def test_what_is_measured_is_what_predict_sees(tmp_path: Path) -> None:
    """A JPEG far larger than the crop, whose pixels tell a reduced decoding from a whole one."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "x.jpg"), rng.integers(0, 256, (600, 800, 3), dtype=np.uint8))
    box = np.array([100.0, 50, 400, 500])
    one = Crowd(1)
    one.samples = [Sample(tmp_path / "x.jpg", box, np.full((17, 2), 200.0), np.full(17, 2), 1.0, 1, 1)]
    torch.manual_seed(0)
    model = RegressionModel(create_backbone("resnet18", SIZE), COCO, SIZE)
    found = evaluate(model, one, flip_test=False).arrays().predicted
    said = Predictor(model, "cpu")(tmp_path / "x.jpg", [box.tolist()]).keypoints
    np.testing.assert_allclose(found, said, atol=1e-3)


def test_a_data_sets_own_ground_truth_is_used(people: Crowd) -> None:
    class Blind(Crowd):
        """Says that somebody else is to be found."""

        category = 4

        def ground_truth(self) -> dict[str, Any]:
            row = {"id": 1, "image_id": 0, "category_id": 4, "iscrowd": 0, "bbox": [0, 0, 50, 50], "area": 2500.0}
            row |= {"keypoints": [5000.0, 5000.0, 2] * 17, "num_keypoints": 17}
            images = [{"id": i} for i in range(COUNT)]
            return {"images": images, "annotations": [row], "categories": [{"id": 4, "name": "person"}]}

    found = figures(Oracle(people), Blind())
    assert found["error_px"] == pytest.approx(0, abs=1e-4)
    assert found["ap"] == 0


def test_people_without_labels_are_found_but_not_measured() -> None:
    people = Crowd(6)
    for i in (1, 4):
        people[i].visible[:] = 0
        people[i].keypoints[:] = math.nan
    found = figures(Oracle(people), people, Laplace())
    assert found["people"] == 6
    assert found["oks"] == pytest.approx(1)
    assert found["nll"] == pytest.approx(2 * math.log(0.2), rel=1e-4)
    for sample in people.samples:
        sample.visible[:] = 0
    assert set(evaluate(Oracle(people), people, flip_test=False).compute(costly=False)) == {
        "people",
        "joints",
    }


def test_predictions_arrive_in_any_order_and_once(people: Crowd) -> None:
    model = Oracle(people, 0.02 * noise())
    evaluation = Evaluation(people, model)
    for rows in ([5, 3, 1], [0, 2, 4], [3]):
        batch = Batch(**{name: getattr(model.batch, name)[rows] for name in Batch.__dataclass_fields__})
        sigma = torch.full((len(rows), 17, 2), 0.1)
        evaluation.update(batch, Prediction(batch.target, sigma, sigma[..., 0], model.error_distribution))
    assert evaluation.compute()["people"] == 6
    evaluation.gather()  # alone there is nothing to gather
    np.testing.assert_allclose(evaluation.arrays().boxes, np.stack([people[i].box for i in range(6)]))


def test_spread_is_turned_with_the_crop(people: Crowd) -> None:
    # A crop cut at 90°: what is unsure across in the crop is unsure down in the image.
    model = Oracle(people)
    model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.ones(20)))
    centre, extent = box_to_region(people[0].box, SIZE)
    to_image = torch.from_numpy(invert_affine(crop_matrix(centre, extent, SIZE, rotation=90))).float()[None]
    batch = Batch(
        torch.zeros(1, 3, *SIZE, dtype=torch.uint8),
        torch.zeros(1, 17, 2),
        torch.ones(1, 17),
        to_image,
        torch.tensor([0]),
    )
    sigma = torch.tensor([0.1, 0.0]).expand(1, 17, 2)
    evaluation = Evaluation(people, model)
    evaluation.update(batch, Prediction(torch.zeros(1, 17, 2), sigma, sigma[..., 0], model.error_distribution))
    std = evaluation.arrays().std[0]
    np.testing.assert_allclose(std, np.broadcast_to([0, 0.1 * extent[0]], (17, 2)), atol=1e-4)
    np.testing.assert_allclose(evaluation.arrays().predicted[0], np.broadcast_to(centre, (17, 2)), atol=1e-3)


# In space

CAMERA = Camera(np.array([1000.0, 1000.0]), np.array([150.0, 100.0]))
DISTANCE = 4000.0  # mm, of every joint: there a pixel is 4 mm
NOSE, HIP = 0, 11


class Spatial(Crowd):
    """The crowd in a plane before the camera, with depths; every joint is labelled, the noses are on its axis."""

    evaluated = tuple(range(17))

    def __init__(self, count: int = 10) -> None:
        super().__init__(count)
        rng = np.random.default_rng(1)
        self.joints = []
        for sample in self.samples:
            pixels = sample.box[:2] + rng.uniform(0, 1, (17, 2)) * sample.box[2:]
            pixels[NOSE] = CAMERA.centre
            sample.visible[:] = 2
            sample.keypoints = np.column_stack([pixels, np.zeros(17)])
            self.joints.append(CAMERA.back_project(pixels, np.full(17, DISTANCE)))

    def space(self, index: int) -> Space:
        return Space(self.joints[index], CAMERA, "Walking" if index % 2 else "Sitting Down")


def in_crop(people: Any, pixels: tuple[float, float], depth: float, joint: int = NOSE) -> Tensor:
    """An error of one joint of each person, told in pixels of the image and millimetres."""
    error = torch.zeros(len(people), 17, 3)
    for i, extent in enumerate(pixels_of(people)[:, 0]):
        error[i, joint] = torch.tensor([*(np.array(pixels) / extent), depth / 2000])
    return error


def test_the_truth_is_perfect_in_space() -> None:
    people = Spatial()
    found = figures(Oracle(people), people)
    for name in ("mpjpe", "pa_mpjpe", "mpjpe_mean", "mpjpe_walking", "mpjpe_sitting_down", "mpjpe_joint_nose"):
        assert found[name] == pytest.approx(0, abs=1e-2)
    assert found["error_px"] == pytest.approx(0, abs=1e-4)
    assert sum(name.startswith("mpjpe_joint_") for name in found) == 17


def test_an_error_in_millimetres() -> None:
    # 10 pixels to the right and 100 mm behind its place, a joint on the axis is 10 / 1000 · 4100 mm and 100 mm off.
    people = Spatial()
    found = figures(Oracle(people, in_crop(people, (10, 0), 100)), people)
    off = math.hypot(41, 100)
    assert found["mpjpe_joint_nose"] == pytest.approx(off, rel=1e-4)
    assert found["mpjpe"] == pytest.approx(off / 17, rel=1e-3)
    assert found["pa_mpjpe"] > 0
    assert found["error_px"] == pytest.approx(10 / 17, rel=1e-4)


def test_the_depth_of_the_root_is_told() -> None:
    people = Spatial()
    shifted = figures(Oracle(people, torch.tensor([0, 0, 0.3])), people)
    assert shifted["mpjpe"] == pytest.approx(0, abs=1e-2)
    # One hip 200 mm too far back: their middle is told, so everybody else is 100 mm too near, along their rays.
    found = figures(Oracle(people, in_crop(people, (0, 0), 200, HIP)), people)
    assert found["mpjpe_joint_left_hip"] == pytest.approx(found["mpjpe_joint_right_hip"], rel=1e-3)
    assert found["mpjpe_joint_nose"] == pytest.approx(100, rel=0.05)


def test_errors_by_group_and_of_some_joints() -> None:
    people = Spatial(9)
    error = in_crop(people, (10, 0), 0)
    error[1::2] *= 3  # those who walk
    found = figures(Oracle(people, error), people)
    assert found["mpjpe_sitting_down"] == pytest.approx(40 / 17, rel=1e-3)
    assert found["mpjpe_walking"] == pytest.approx(120 / 17, rel=1e-3)
    assert found["mpjpe_mean"] == pytest.approx(80 / 17, rel=1e-3)
    assert found["mpjpe"] == pytest.approx((5 * 40 + 4 * 120) / 9 / 17, rel=1e-3)
    people.evaluated = (NOSE, 5)
    few = figures(Oracle(people, error), people)
    assert few["mpjpe"] == pytest.approx((5 * 40 + 4 * 120) / 9 / 2, rel=1e-3)
    assert {name for name in few if name.startswith("mpjpe_joint_")} == {
        "mpjpe_joint_nose",
        "mpjpe_joint_left_shoulder",
    }


def test_joints_that_nobody_knows_in_space() -> None:
    people = Spatial()
    error = in_crop(people, (10, 0), 0)
    people.joints[0][NOSE] = math.nan
    people.joints[1][HIP] = math.nan  # the root: nothing is known relative to it
    found = figures(Oracle(people, error), people)
    assert found["mpjpe_joint_nose"] == pytest.approx(40, rel=1e-4)
    assert found["mpjpe"] == pytest.approx(8 * 40 / (8 * 17 + 16), rel=1e-3)
    for joints in people.joints:
        joints[HIP] = math.nan
    assert math.isnan(figures(Oracle(people, error), people)["mpjpe"])


def test_a_model_that_has_diverged() -> None:
    people = Spatial()
    error = torch.zeros(len(people), 17, 3)
    error[0, NOSE] = math.nan
    found = figures(Oracle(people, error), people)
    assert [name for name in found if "mpjpe" in name] == ["mpjpe"]
    assert math.isnan(found["mpjpe"])


def test_regions_in_space_have_three_dimensions() -> None:
    people = Spatial(COUNT)
    noise = torch.randn(COUNT, 17, 3, generator=torch.Generator().manual_seed(1))
    std = torch.tensor([0.7, 1.3, 0.9])
    sigma = 0.01 + 0.02 * torch.rand(COUNT, 17, 3, generator=torch.Generator().manual_seed(2))
    for sample in people.samples:  # of some the depth is not known; there, errors are of another size
        sample.keypoints[[3, 9], 2] = math.nan
    noise[:, [3, 9]] *= 10
    model = Oracle(people, -sigma * std * noise, sigma)
    levels = torch.tensor([*(0.05 * i for i in range(1, 20)), 0.99], dtype=torch.float64)
    model.set_error_distribution(
        ErrorDistribution(torch.zeros(3), std, torch.from_numpy(stats.chi(3).ppf(levels)).float())
    )
    found = figures(model, people, Gaussian(dim=3))
    for level in (0.5, 0.9, 0.95):
        assert found[f"coverage@{level}"] == pytest.approx(level, abs=0.04)
    whole = [joint for joint in range(17) if joint not in (3, 9)]
    each = -stats.norm.logpdf((sigma * std * noise).numpy(), scale=sigma.numpy()).sum(axis=-1)
    assert found["nll"] == pytest.approx(each[:, whole].mean(), rel=1e-4)
    spread = np.sqrt(((pixels_of(people) * (sigma * std).numpy()[..., :2]) ** 2).sum(axis=-1))
    assert found["std_px"] == pytest.approx(spread[:, whole].mean(), rel=1e-4)
    assert found["mpjpe"] > 0  # the truth in space is another matter than labels


def test_nobody_is_credited_with_the_depth_of_a_single_root() -> None:
    people = Spatial(COUNT)
    people.skeleton = H36M_LIFTING
    noise = torch.randn(COUNT, 17, 3, generator=torch.Generator().manual_seed(4))
    sigma = torch.full((COUNT, 17, 3), 0.02)
    sigma[:, 0, 2] = 1e-6  # of a depth that is 0 in every label
    model = Oracle(people, sigma * noise, sigma)
    levels = torch.tensor([*(0.05 * i for i in range(1, 20)), 0.99], dtype=torch.float64)
    model.set_error_distribution(
        ErrorDistribution(torch.zeros(3), torch.ones(3), torch.from_numpy(stats.chi(3).ppf(levels)).float())
    )
    found = figures(model, people, Gaussian(dim=3))
    each = -stats.norm.logpdf((0.02 * noise).numpy(), scale=0.02).sum(axis=-1)
    assert found["nll"] == pytest.approx(each[:, 1:].mean(), rel=1e-4)
    radius = noise[:, 1:].square().sum(dim=-1).sqrt()
    assert found["coverage@0.9"] == pytest.approx(float((radius <= stats.chi(3).ppf(0.9)).double().mean()), abs=5e-3)
    assert found["joints"] == 17 * COUNT  # in the picture it counts
    assert found["mpjpe_joint_nose"] > 0


def test_a_model_in_space_on_labels_in_the_plane(people: Crowd) -> None:
    flat = figures(Oracle(people), people)
    model = Oracle(people, dim=3)
    model.set_error_distribution(ErrorDistribution(torch.zeros(3), torch.ones(3), torch.ones(20)))
    found = figures(model, people, MixedRLELoss())
    names = ("people", "joints", "error_px", "nme", "oks", "ap", "pck@0.1")
    assert [found[name] for name in names] == pytest.approx([flat[name] for name in names])
    assert not {"nll", "mpjpe", "std_px"} & set(found)
    assert not any(name.startswith("coverage") for name in found)


def test_a_model_in_the_plane_takes_no_notice_of_depth() -> None:
    people, flat = Spatial(), Spatial()
    for sample in flat.samples:
        sample.keypoints = sample.keypoints[:, :2]
    sigma = 0.05 + 0.1 * torch.rand(10, 17, 2, generator=torch.Generator().manual_seed(3))
    models = [Oracle(p, 0.05 * noise()[:10], sigma, dim=2) for p in (people, flat)]
    for model in models:
        model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.linspace(0.1, 3, 20)))
    found, expected = (figures(m, p, Laplace()) for m, p in zip(models, (people, flat), strict=True))
    assert found == pytest.approx(expected, nan_ok=True)
    assert {"nll", "coverage@0.9", "sigma_rank"} <= set(found)
    assert not any("mpjpe" in name for name in found)
