"""Matching of predictions with labels, and figures of errors and scores, on hand-made and drawn people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.predictions import PredictedPeople
from logpose.tasks.audit import Audit, matched_people, worst

SKELETON = Skeleton("thing", ("a", "b"), oks_sigmas=(0.05, 0.05))


def labelled(image: int, joints, visible=(2, 2), size: float = 100.0) -> Sample:
    joints = np.array(joints, dtype=np.float64)
    box = np.array([*joints.min(axis=0), size, size])
    return Sample(Path(f"{image}.jpg"), box, joints, np.array(visible), size * size, image, image)


def predicted(*people) -> PredictedPeople:
    """People of an image, joints, scores and perhaps covariances."""
    found = PredictedPeople(SKELETON)
    for image, joints, scores, *covariance in people:
        row = np.column_stack([np.array(joints, dtype=np.float64), scores])
        found.add("", image, row, float(np.mean(scores)), *covariance, box=np.array([0.0, 0, 100, 100]))
    return found


def labels_of(samples, file: str = "labels.json") -> SimpleNamespace:
    """A file of labels."""
    return SimpleNamespace(file=Path(file), skeleton=SKELETON, samples=list(samples))


def drawn(count: int, seed: int = 0) -> tuple[PredictedPeople, list[Sample]]:
    """One person an image, whose errors are Gaussian with a standard deviation that the score foretells."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (count, 2, 2))
    std = rng.uniform(1, 12, (count, 2))
    found = PredictedPeople(SKELETON)
    for image in range(count):
        error = std[image, :, None] * rng.normal(size=(2, 2)) + [[3.0, 0.0], [0.0, 0.0]]
        row = np.column_stack([truth[image] + error, 1 - std[image] / 15])
        covariance = std[image, :, None, None] ** 2 * np.eye(2)
        found.add("", image, row, 1.0, covariance, np.array([0.0, 0, 100, 100]))
    return found, [labelled(image, truth[image]) for image in range(count)]


def test_one_with_one_and_several_by_their_similarity():
    people = [labelled(1, [[0, 0], [9, 9]]), labelled(2, [[0, 0], [20, 0]]), labelled(2, [[200, 0], [220, 0]])]
    found = predicted(
        (1, [[500, 0], [500, 9]], (0.5, 0.5)),  # far off, and yet the only ones
        (2, [[199, 0], [221, 0]], (0.9, 0.9)),
        (2, [[2, 0], [20, 1]], (0.8, 0.8)),
        (2, [[600, 600], [600, 600]], (0.9, 0.9)),
    )
    at = matched_people(found, [*people, labelled(3, [[0, 0], [1, 1]])])
    assert at.images.tolist() == [1, 2, 2]
    assert at.distance[1:].max() < 3
    assert (at.labelled, at.extra, at.images_without) == (4, 1, 1)
    figures = Audit(at).figures()
    assert figures["recall"] == 0.75
    assert worst(at, 5)[0][0] == 0
    with pytest.raises(InputError, match="no prediction is of a labelled person"):
        matched_people(predicted((9, [[0, 0], [1, 1]], (1, 1))), people)


def test_figures_of_a_hand_made_case():
    people = [labelled(image, [[10, 10], [50, 10]], visible) for image, visible in ((1, (2, 2)), (2, (2, 0)))]
    found = predicted((1, [[13, 14], [50, 10]], (0.2, 0.9)), (2, [[10, 10], [0, 0]], (0.8, 0.1)))
    audit = Audit(matched_people(found, people))
    figures = audit.figures()
    assert figures["joints"] == 3
    assert figures["error_px"] == pytest.approx(5 / 3)
    assert figures["bias_px"] == pytest.approx(5 / 3)
    assert figures["error_of_size"] == pytest.approx(0.05 / 3)
    assert "auroc" not in figures, "all are correct"
    assert any("all joints are correct" in note for note in audit.notes())
    assert figures["score_rank"] > 0
    assert any("no regions of scores" in note for note in audit.notes())
    assert audit.map() is None
    first, second = audit.by_joint()
    assert first["bias_px"] == [1.5, 2.0]
    assert (first["labels"], second["labels"]) == (2, 1)


def test_scores_that_foretell_errors_and_covariances_that_hold():
    audit = Audit(matched_people(*drawn(2000)))
    figures = audit.figures()
    for level in (0.5, 0.9, 0.95):
        assert figures[f"coverage@{level}"] == pytest.approx(level, abs=0.03)
        assert figures[f"own_coverage@{level}"] == pytest.approx(level, abs=0.06), "but for the bias of one joint"
    assert figures["score_rank"] > 0.5
    assert figures["std_rank"] > 0.5
    assert figures["auroc"] > 0.8
    assert 0 < figures["sparsification_excess"] < 0.6
    assert audit.by_joint()[0]["bias_px"][0] == pytest.approx(3, abs=0.5)
    regions = audit.map()["joints"]["a"]
    assert len(regions["score"]) == len(regions["radius"]["0.9"])
    assert regions["radius"]["0.9"] == sorted(regions["radius"]["0.9"], reverse=True)


def test_scores_without_information_are_reported():
    found, people = drawn(200)
    for row in found.rows:
        row[:, 2] = 1.0
    audit = Audit(matched_people(found, people))
    assert not {"auroc", "score_rank", "sparsification_excess"} & audit.figures().keys()
    assert any("cannot be measured" in note for note in audit.notes())
    for row in found.rows:
        row[:, 2] = np.random.default_rng(0).uniform(0, 40, 2)
    assert any("no probabilities" in note for note in Audit(matched_people(found, people)).notes())


def test_own_regions_are_measured():
    found, people = drawn(500)
    found.radii = [{"0.9": np.full((2, 2), 1e-3)} if i % 2 else {"0.9": np.full((2, 2), 1e3)} for i in range(500)]
    assert Audit(matched_people(found, people)).figures()["own_region@0.9"] == pytest.approx(0.5)


def test_noise_of_labels_is_among_the_figures():
    audit = Audit(matched_people(*drawn(50)), noise=np.array([1.0, np.nan]))
    assert audit.figures()["label_std_px"] == 1
    assert audit.by_joint()[1]["label_std_px"] is None


def test_a_region_is_turned_by_the_covariance():
    """A region that reaches 10 pixels along x and y, of errors that grow together: (8, 8) is in it, (8, -8) is not."""
    people = [labelled(1, [[0, 0], [50, 50]]), labelled(2, [[0, 0], [50, 50]])]
    covariance = np.array([[25.0, 20], [20, 25]])[None].repeat(2, axis=0)
    found = predicted((1, [[8, 8], [50, 50]], (0.5, 0.5), covariance), (2, [[8, -8], [50, 50]], (0.5, 0.5), covariance))
    at = matched_people(found, people)
    at = replace(at, regions={"0.9": np.full(at.predicted.shape, 10.0)})
    assert Audit(at).figures()["own_region@0.9"] == pytest.approx(3 / 4)
