"""Images to label next: blur, near-duplicates, and the order of choice by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.losses import Laplace
from logpose.models import HeatmapModel, RegressionModel, ResNet
from logpose.tasks.pose.predict import Predictor
from logpose.tasks.pose.suggest import (
    ALIKE,
    BLURRED,
    Candidates,
    bits_apart,
    blur_of,
    candidates,
    choose,
    image_hash,
    labelled_features,
    wanting,
)

SKELETON = Skeleton("bird", ("left_wing", "right_wing", "beak"))


def photograph(seed: int = 0, size: int = 192) -> np.ndarray:
    """Discs of all sizes, with sharp edges."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), 128, np.uint8)
    for _ in range(80):
        centre, radius = rng.integers(0, size, 2).tolist(), int(rng.integers(2, 25))
        cv2.circle(image, centre, radius, rng.integers(0, 255, 3).tolist(), -1)
    return image


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = RegressionModel(ResNet(18), SKELETON, (64, 64))
    model.set_error_distribution(Laplace(2).error_distribution())
    return Predictor(model, device="cpu", looks=1)


def test_blur_grows_with_blurring_and_crosses_the_limit():
    image = photograph()
    found = [blur_of(image), *(blur_of(cv2.GaussianBlur(image, (0, 0), sigma)) for sigma in (1, 3, 6))]
    assert found == sorted(found)
    assert found[0] < BLURRED < found[2]
    assert blur_of(np.zeros((64, 64, 3), np.uint8)) == 1, "without edges there is nothing to see"


def test_copies_have_close_hashes_and_other_images_have_not():
    def apart(a: np.ndarray, b: np.ndarray) -> int:
        return bits_apart(image_hash(a), image_hash(b))

    assert bits_apart(-1, 0) == 64
    assert bits_apart(0b1010, 0b0110) == 2

    image = photograph()
    smaller = cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    noisy = np.clip(image.astype(int) + np.random.default_rng(0).integers(-4, 5, image.shape), 0, 255).astype(np.uint8)
    assert apart(image, smaller) <= ALIKE
    assert apart(image, noisy) <= ALIKE
    assert apart(image, photograph(1)) > 4 * ALIKE


def unit(*degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def test_each_choice_has_the_greatest_product_of_uncertainty_and_distance():
    seen, uncertainty = unit(0, 10, 90, 180), np.array([1.0, 0.95, 0.5, 0.4])
    # Nothing is known: the most uncertain first. Then 180° (.4 × 2), 90° (.5 × 1.41), and 10° (.95 × .17).
    assert list(choose(uncertainty, seen, np.empty((0, 0)), 4)) == [0, 3, 2, 1]
    # With 0° known 180° is best (.4 × 2 = .8), then 90° (.5 × 1.41), as before.
    assert list(choose(uncertainty, seen, unit(0), 3)) == [3, 2, 1]
    assert list(choose(uncertainty, seen, unit(0), 99))[-1] == 0


def found(count: int, **changes) -> Candidates:
    rng = np.random.default_rng(0)
    values = {
        "poses": [], "uncertainty": np.linspace(1, 2, count), "features": unit(*np.linspace(0, 170, count)),
        "blur": np.full(count, 0.3), "hashes": rng.integers(-(2**62), 2**62, count), "clips": ["a"] * count, "empty": 2,
    }  # fmt: skip
    return Candidates(**values | changes)


def test_blurred_images_and_near_duplicates_are_left_out():
    blur, hashes = np.full(8, 0.3), found(8).hashes
    blur[7] = 0.9
    hashes[5] = hashes[6] ^ 0b101
    rows, reasons = wanting(found(8, blur=blur, hashes=hashes), 8, np.empty((0, 0)))
    assert sorted(rows) == [0, 1, 2, 3, 4, 6]
    assert reasons == {"without anybody": 2, "blurred": 1, "near-duplicates": 1}


def test_no_clip_has_more_than_its_share():
    clips = ["a"] * 6 + ["b"] * 2
    rows, _ = wanting(found(8, clips=clips), 4, np.empty((0, 0)), by_clip=True)
    assert sorted(clips[row] for row in rows) == ["a", "a", "b", "b"]
    rows, _ = wanting(found(8, clips=clips), 4, np.empty((0, 0)))
    assert len(rows) == 4


def test_candidates_are_what_the_model_predicts(predictor, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), photograph(i))
    (tmp_path / "broken.png").write_bytes(b"no image")
    errors: list[InputError] = []
    got = candidates(predictor, ((path, None) for path in [*paths, tmp_path / "broken.png"]), errors.append)
    assert len(errors) == 1
    for path, poses, uncertainty in zip(paths, got.poses, got.uncertainty, strict=True):
        alone = predictor(path)
        assert poses.path == path
        assert poses.image is None
        assert poses.keypoints == pytest.approx(alone.keypoints, abs=1e-3)
        assert uncertainty == pytest.approx(alone.sigma.mean() / 192, rel=1e-4)
    assert np.linalg.norm(got.features, axis=1) == pytest.approx(np.ones(3))
    whole = np.array([0.0, 0, 192, 192])
    people = [Sample(path, whole, np.zeros((3, 2)), np.full(3, 2), 1.0, 0, 0) for path in paths]
    assert labelled_features(predictor, people) == pytest.approx(got.features, abs=1e-5)
    assert labelled_features(predictor, []).shape == (0, 0)
    # Of several people the least certain one counts.
    boxes = np.array([[0.0, 0, 60, 60, 1], [50, 50, 120, 100, 1]])
    two = candidates(predictor, [(paths[0], boxes)])
    each = predictor(paths[0], boxes)
    assert two.uncertainty == pytest.approx(max(each.sigma.mean(axis=(1, 2)) / [60, 120]), rel=1e-4)
    assert len(two.poses[0]) == 2
    # What is known already is the last to be chosen.
    assert list(choose(np.ones(3), got.features, got.features[[1]], 3))[-1] == 1


def test_models_without_standard_deviations_are_refused(tmp_path):
    with pytest.raises(InputError, match="standard deviations"):
        candidates(Predictor(HeatmapModel(ResNet(18), SKELETON, (64, 64)), device="cpu"), [(Path("a.png"), None)])
