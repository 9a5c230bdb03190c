"""What is found against what is labelled, in whole pictures: AP, who is whom, and figures of those."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.structures import ErrorDistribution, LossDict, Prediction
from logpose.data.coco import CocoKeypoints
from logpose.data.image_sets import ImageSet, whole_images
from logpose.data.scenes import SceneBatch
from logpose.data.synthetic import SyntheticPeople
from logpose.losses import Gaussian, Laplace
from logpose.metrics.oks import coco_ap
from logpose.models import Detections, Detector
from logpose.models.detector import box_maps, in_boxes, nobody
from logpose.tasks.detection.evaluate import DetectionEvaluation, evaluate_detector, ground_truth, in_image, matches


class Told(Detector):
    """Finds the people that it is told, as they are labelled, each joint off by `off` of its box; or nobody."""

    def __init__(self, off: float = 0.0, sigma: float = 0.1, finds=lambda *_: True, worst: bool = False):
        super().__init__(COCO, 64, 256)
        self.off, self.sigma, self.finds, self.worst = off, sigma, finds, worst
        self.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.arange(1.0, 21.0)))

    def training_losses(self, batch, loss) -> LossDict:
        raise NotImplementedError

    def detect(self, images, sizes):
        raise NotImplementedError

    def predict(self, batch: SceneBatch, flip_test: bool = False) -> list[Detections]:
        found = []
        for index, people in zip(batch.index.tolist(), batch.people, strict=True):
            rows = [row for row in range(len(people.boxes)) if self.finds(index, row)]
            if not rows:
                found.append(nobody(self))
                continue
            boxes = people.boxes[rows]
            mu = in_boxes(people.keypoints[rows], boxes) + self.off
            sigma = torch.full_like(mu, self.sigma)
            sure = torch.linspace(0.2, 0.9, 17).expand(len(rows), 17)
            scores = torch.linspace(0.9, 0.5, len(rows))
            found.append(
                Detections(boxes, scores, Prediction(mu, sigma, sure, self.error_distribution), box_maps(boxes))
            )
            if self.worst:
                found[-1].prediction.mu = mu * torch.nan
        return found


@pytest.fixture(scope="module")
def pictures() -> ImageSet:
    return whole_images(SyntheticPeople(4, seed=3, size=(96, 128), people=(2, 3)))


def test_who_finds_everybody_has_all_points(pictures):
    figures = evaluate_detector(Told(), pictures, Laplace(), batch_size=3).compute()
    assert figures["ap"] == figures["ar"] == figures["matched"] == 1
    assert figures["error_px"] < 0.01
    assert figures["images"] == 4
    assert figures["found"] == sum(len(pictures[i].people) for i in range(4))
    assert figures["recall_at_threshold"] == 1


def test_people_who_are_found_by_unsure_guesses_are_told_apart(pictures, monkeypatch):
    """Scores of a picture's people fall from .9 to .5: at .65 the last of two or three is not said."""
    monkeypatch.setattr(Told, "score_threshold", 0.65)
    figures = evaluate_detector(Told(), pictures).compute(costly=False)
    counts = [len(pictures[i].people) for i in range(4)]
    assert figures["matched"] == 1
    assert figures["recall_at_threshold"] == pytest.approx(sum({2: 1, 3: 2}[count] for count in counts) / sum(counts))


def test_who_finds_nobody_has_none(pictures):
    figures = evaluate_detector(Told(finds=lambda *_: False), pictures).compute()
    assert figures["ap"] == figures["matched"] == figures["found"] == 0
    assert "error_px" not in figures


def test_pictures_in_which_nobody_is_found_count(pictures):
    half = evaluate_detector(Told(finds=lambda picture, _: picture % 2 == 0), pictures).compute()
    everybody = sum((p.visible > 0).any() for i in range(4) for p in pictures[i].people)
    found = sum((p.visible > 0).any() for i in (0, 2) for p in pictures[i].people)
    assert half["labelled"] == everybody
    assert half["matched"] == pytest.approx(found / everybody)
    assert half["ar"] == pytest.approx(found / everybody, abs=0.01)


def test_figures_are_those_of_a_loop(pictures):
    """Errors in pixels of the picture; the likelihood in the box's own coordinates."""
    off, sigma = 0.05, 0.1
    loss = Laplace()
    evaluation = evaluate_detector(Told(off, sigma), pictures, loss)
    figures = evaluation.compute(costly=False)
    errors, inside = [], []
    for i in range(4):
        for who in pictures[i].people:
            for visible in who.visible:
                if visible:
                    low = np.clip(who.box[:2], 0, [128, 96])
                    side = np.clip(who.box[:2] + who.box[2:], 0, [128, 96]) - low
                    errors.append(off * np.hypot(*side))
                    inside.append(2 * (np.log(2 * sigma) + off / sigma))
    assert figures["error_px"] == pytest.approx(np.mean(errors), rel=0.03)
    expected = float(-loss.log_prob(*(torch.tensor([[[v, v]]]) for v in (0.0, sigma, off))))
    assert figures["nll"] == pytest.approx(expected, abs=1e-3)
    assert figures["joints"] == len(errors)
    standardised_nll = evaluation.arrays().standardised_nll
    assert np.nanmean(standardised_nll) == pytest.approx(expected - 2 * np.log(sigma), abs=1e-3)


def test_a_skewed_error_distribution_s_mean_is_in_the_position_and_not_in_the_likelihood(pictures):
    """Labels are at mu; reported, and compared with the labels, is mu + sigma times the mean of the errors."""
    sigma, moved = 0.1, torch.tensor([0.5, -0.25])
    model, loss = Told(0.0, sigma), Laplace()
    model.set_error_distribution(ErrorDistribution(moved, torch.ones(2), torch.arange(1.0, 21.0)))
    evaluation = evaluate_detector(model, pictures, loss)
    figures, at = evaluation.compute(costly=False), evaluation.arrays()
    assert figures["nll"] == pytest.approx(2 * np.log(2 * sigma), abs=1e-3)
    low = np.clip(at.boxes[:, :2], 0, [128, 96])
    side = np.clip(at.boxes[:, :2] + at.boxes[:, 2:], 0, [128, 96]) - low
    expected = np.linalg.norm(side * sigma * moved.numpy(), axis=-1)[:, None] * (at.visible > 0)
    assert figures["error_px"] == pytest.approx(expected.sum() / (at.visible > 0).sum(), rel=0.03)


def test_the_likelihood_does_not_depend_on_the_frame_it_was_learned_in(pictures):
    """The same claim in a frame half as large again along x and twice along y: the same density of the box's places."""

    class Framed(Told):
        def predict(self, batch: SceneBatch, flip_test: bool = False) -> list[Detections]:
            factor = torch.tensor([1.5, 2.0])
            for found in (people := super().predict(batch, flip_test)):
                middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
                half = factor * (found.boxes[:, 2:] - found.boxes[:, :2]) / 2
                found.to_input = box_maps(torch.cat([middle - half, middle + half], dim=1))
                found.prediction.mu, found.prediction.sigma = (
                    getattr(found.prediction, name) / factor for name in ("mu", "sigma")
                )
            return people

    plain, framed = (evaluate_detector(model(0.05), pictures, Laplace()).compute(False) for model in (Told, Framed))
    assert framed["nll"] == pytest.approx(plain["nll"], abs=1e-4)
    assert framed["error_px"] == pytest.approx(plain["error_px"], rel=1e-5)


def test_a_loss_without_a_density_leaves_the_likelihood_out(pictures):
    assert "nll" not in evaluate_detector(Told(), pictures).compute(costly=False)
    assert "nll" in evaluate_detector(Told(), pictures, Laplace()).compute(costly=False)


def test_a_model_that_has_diverged_finds_nobody(pictures):
    evaluation = evaluate_detector(Told(worst=True), pictures, Laplace())
    assert evaluation.compute()["ap"] == 0
    assert evaluation.results() == []
    assert not evaluation.is_finite()
    assert evaluate_detector(Told(finds=lambda *_: False), pictures).is_finite()


def test_results_are_rows_of_coco(pictures):
    evaluation = evaluate_detector(Told(), pictures)
    people = sum(len(pictures[i].people) for i in range(4))
    for scoring, of in (
        ("box", lambda b, _: b),
        ("product", lambda b, c: b * c.mean()),  # the first is a little more than 0.2 in single precision
        ("sum", lambda b, c: b + c.mean() + c.max()),
    ):
        evaluation.scoring = scoring
        rows = evaluation.results(7)
        assert len(rows) == people
        assert rows[0]["category_id"] == 7
        assert rows[0]["image_id"] == pictures[0].image_id
        assert rows[0]["score"] == pytest.approx(of(0.9, np.linspace(0.2, 0.9, 17)), rel=1e-5)
        assert np.allclose(np.array(rows[0]["keypoints"]).reshape(17, 3)[:, 2], np.linspace(0.2, 0.9, 17), atol=1e-3)
        assert rows[0].keys() == {"image_id", "category_id", "keypoints", "score"}


def test_people_are_scored_by_the_oks_that_their_spread_lets_expect(pictures):
    unknown = Told()
    unknown.set_error_distribution(ErrorDistribution.unknown(2))
    with pytest.raises(InputError, match="--score oks"):
        evaluate_detector(unknown, pictures, scoring="oks")
    known = Told()
    known.set_error_distribution(Gaussian().error_distribution())
    evaluation = evaluate_detector(known, pictures, scoring="oks")
    first, row = evaluation.rows[0].people, evaluation.results()[0]
    share = first.std[0] ** 2 / (0.53 * first.boxes[0, 2:].prod() * (2 * np.array(COCO.sigmas)[:, None]) ** 2)
    assert row["score"] == pytest.approx(0.9 * (1 / np.sqrt(1 + share)).prod(axis=-1).mean(), abs=5e-3)


def test_the_truth_is_that_of_the_file(crowd_file):
    """AP by our rows of the labels is AP by the file's own, crowds and people without labels included."""
    people = CocoKeypoints(crowd_file)
    pictures = whole_images(people)
    sample = people[0]
    triplets = np.column_stack([sample.keypoints, np.ones(17)]).ravel().tolist()
    results = [
        {"image_id": 1, "category_id": 1, "keypoints": triplets, "score": 0.9},
        {"image_id": 1, "category_id": 1, "keypoints": [15.0, 5.0, 1.0] * 17, "score": 0.8},  # in the crowd
        {"image_id": 2, "category_id": 1, "keypoints": [9.0, 9.0, 1.0] * 17, "score": 0.7},  # on the unlabelled
        {"image_id": 3, "category_id": 1, "keypoints": [9.0, 9.0, 1.0] * 17, "score": 0.95},  # where nobody is
    ]
    ours, theirs = (coco_ap(truth, results, COCO.sigmas) for truth in (ground_truth(pictures), people.ground_truth()))
    assert ours == pytest.approx(theirs, nan_ok=True)
    assert 0 < ours["ap"] < 1


boxes = st.lists(st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 20)] * 2), max_size=6)


@given(boxes, boxes)
def test_each_label_is_found_once(found, labelled):
    def overlap(a, b):
        wide, high = (max(0, min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
        return wide * high / (a[2] * a[3] + b[2] * b[3] - wide * high)

    taken: set[int] = set()
    expected = []
    for row, box in enumerate(found):
        left = [(overlap(box, other), -label) for label, other in enumerate(labelled) if label not in taken]
        if left and max(left)[0] >= 0.5:
            taken.add(-max(left)[1])
            expected.append((row, -max(left)[1]))
    arrays = (np.array(rows, dtype=np.float64).reshape(-1, 4) for rows in (found, labelled))
    assert matches(*arrays) == expected


def test_pixels_of_the_picture():
    """A detection in an input twice as wide and three times as high as its picture."""
    mu = torch.tensor([[[0.25, -0.25]] * 17])
    error_distribution = ErrorDistribution(torch.zeros(2), torch.tensor([2.0, 1.0]), torch.ones(20))
    said = Prediction(mu, torch.full_like(mu, 0.1), torch.ones(1, 17), error_distribution)
    box = torch.tensor([[20.0, 30.0, 60.0, 90.0]])
    people = in_image(
        Detections(box, torch.ones(1), said, box_maps(box)), torch.tensor([[0.5, 0, 1.0], [0, 1 / 3, 2.0]])
    )
    assert people.boxes.tolist() == [pytest.approx([19.5 / 2 + 1.5, 29.5 / 3 + 2.5, 20, 20])]
    assert people.keypoints[0, 0].tolist() == pytest.approx([1 + (20 + 0.75 * 40) / 2, 2 + (30 + 0.25 * 60) / 3])
    assert people.std[0, 0].tolist() == pytest.approx([0.1 * 2 * 40 / 2, 0.1 * 60 / 3])


def test_an_evaluation_without_pictures_has_no_figures(pictures):
    figures = DetectionEvaluation(pictures, Told()).compute(costly=False)
    assert figures["images"] == figures["found"] == 0
    assert np.isnan(figures["matched"])
