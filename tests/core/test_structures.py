from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, distributed

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.structures import LEVELS, Batch, ErrorDistribution, Evaluator, Prediction


def make_batch(**changed: Tensor) -> Batch:
    parts = {
        "images": torch.zeros(2, 3, 8, 6, dtype=torch.uint8),
        "target": torch.zeros(2, 5, 2),
        "weight": torch.ones(2, 5),
        "to_image": torch.zeros(2, 2, 3),
        "index": torch.tensor([4, 9]),
    }
    return Batch(**{**parts, **changed})


def make_prediction(error_distribution: ErrorDistribution) -> Prediction:
    return Prediction(
        mu=torch.tensor([[[0.1, -0.2], [0.3, 0.4]]]),
        sigma=torch.tensor([[[0.5, 0.25], [0.125, 1.0]]]),
        confidence=torch.tensor([[0.625, 0.4375]]),
        error_distribution=error_distribution,
    )


SKEWED = ErrorDistribution(torch.tensor([0.5, -1.0]), torch.tensor([2.0, 4.0]), torch.linspace(0.1, 3.0, len(LEVELS)))


# The annotations are part of what is promised, so that they are checked at all is tested first.


@pytest.mark.parametrize(
    "changed",
    [
        {"images": torch.zeros(3, 3, 8, 6, dtype=torch.uint8)},
        {"images": torch.zeros(2, 3, 8, 6)},
        {"target": torch.zeros(2, 4, 2)},
        {"weight": torch.ones(2, 5, 1)},
        {"to_image": torch.zeros(2, 3, 3)},
        {"index": torch.zeros(2)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_shapes_are_checked_while_tests_run(changed: dict[str, Tensor]) -> None:
    make_batch()
    with pytest.raises(TypeCheckError, match=next(iter(changed))):
        make_batch(**changed)


def test_a_sample_needs_a_flag_for_every_joint() -> None:
    image, box = np.zeros((4, 4, 3), np.uint8), np.array([0.0, 0.0, 4.0, 4.0])
    Sample(image, box, np.zeros((3, 2)), np.array([0, 1, 2]), area=16.0, image_id=1, id=1)
    with pytest.raises(TypeCheckError, match="visible"):
        Sample(image, box, np.zeros((3, 2)), np.array([0, 1]), area=16.0, image_id=1, id=1)


def test_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)


def test_levels_rise_from_5_to_99_percent() -> None:
    assert len(LEVELS) == 20
    assert LEVELS[0] == 0.05
    assert LEVELS[-1] == 0.99
    assert np.all(np.diff(LEVELS) > 0)
    np.testing.assert_allclose(LEVELS[:-1], np.arange(5, 100, 5) / 100)


def test_batch_moves_every_field() -> None:
    # The meta device holds no numbers, so this needs no accelerator.
    moved = make_batch().to("meta")
    for field in ("images", "target", "weight", "to_image", "index"):
        assert getattr(moved, field).device.type == "meta", field
    stayed = make_batch().to(torch.device("cpu"))
    assert stayed.index.tolist() == [4, 9]
    assert stayed.images.dtype == torch.uint8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs CUDA")
def test_batch_pins_every_field() -> None:
    pinned = make_batch().pin_memory()
    assert all(getattr(pinned, field).is_pinned() for field in ("images", "target", "weight", "to_image", "index"))


# ErrorDistribution


def test_radius_at_the_kept_levels_is_the_kept_radius() -> None:
    for level, radius in zip(LEVELS, SKEWED.radius.tolist(), strict=True):
        assert SKEWED.radius_at(level) == pytest.approx(radius, rel=1e-6)


def test_radius_at_a_level_written_by_hand() -> None:
    # 0.15 and 0.95 are not the doubles that multiples of 0.05 come out as.
    assert SKEWED.radius_at(0.15) == pytest.approx(float(SKEWED.radius[2]), rel=1e-6)
    assert SKEWED.radius_at(0.95) == pytest.approx(float(SKEWED.radius[18]), rel=1e-6)


def test_radius_between_two_levels_is_halfway() -> None:
    between = SKEWED.radius_at(0.525)
    assert between == pytest.approx(float(SKEWED.radius[9] + SKEWED.radius[10]) / 2, rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.04, 0.995, 1.0, -1.0, math.nan])
def test_radius_refuses_levels_that_are_not_kept(level: float) -> None:
    with pytest.raises(ValueError, match=r"level must lie in \[0\.05, 0\.99\]"):
        SKEWED.radius_at(level)


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_nothing_can_be_read_out_of_an_unknown_error_distribution(dim: int) -> None:
    error_distribution = ErrorDistribution.unknown(dim)
    assert error_distribution.mean.tolist() == [0.0] * dim
    assert error_distribution.std.shape == (dim,)
    assert error_distribution.std.isnan().all()
    assert math.isnan(error_distribution.radius_at(0.5))


def test_an_error_distribution_moves_every_field() -> None:
    moved = SKEWED.to("meta")
    assert {moved.mean.device.type, moved.std.device.type, moved.radius.device.type} == {"meta"}


# Prediction


def test_mean_and_std_are_those_of_mu_plus_sigma_times_error() -> None:
    prediction = make_prediction(SKEWED)
    torch.testing.assert_close(prediction.mean, torch.tensor([[[0.35, -0.45], [0.3625, -0.6]]]))
    torch.testing.assert_close(prediction.std, torch.tensor([[[1.0, 1.0], [0.25, 4.0]]]))


def test_mean_and_std_against_drawn_errors() -> None:
    torch.manual_seed(0)
    prediction = make_prediction(SKEWED)
    errors = SKEWED.mean + SKEWED.std * torch.randn(200_000, 1, 1, 2)
    positions = prediction.mu + prediction.sigma * errors
    torch.testing.assert_close(positions.mean(0), prediction.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(positions.std(0), prediction.std, atol=0, rtol=0.01)


def test_a_prediction_about_another_mean_keeps_its_error_distribution() -> None:
    prediction = make_prediction(SKEWED)
    mean, sigma = torch.tensor([[[0.25, -0.5], [0.0, 1.0]]]), 2 * prediction.sigma
    moved = prediction.about(mean, sigma, prediction.confidence / 2)
    torch.testing.assert_close(moved.mean, mean)
    # SKEWED's mean is (0.5, -1): mu lies half a sigma to the left, and one sigma below.
    torch.testing.assert_close(moved.mu, mean - torch.tensor([0.5, -1.0]) * sigma)
    assert torch.equal(moved.sigma, sigma)
    assert torch.equal(moved.confidence, prediction.confidence / 2)
    assert moved.error_distribution is prediction.error_distribution


def test_mu_is_the_mean_of_a_symmetric_error_distribution() -> None:
    prediction = make_prediction(ErrorDistribution.unknown(2))
    assert torch.equal(prediction.mean, prediction.mu)
    moved = prediction.about(prediction.mean + 1, prediction.sigma, prediction.confidence)
    assert torch.equal(moved.mu, prediction.mu + 1)
    assert prediction.std.isnan().all()


def test_bands_of_an_error_distribution_are_read_between_levels() -> None:
    bands = torch.stack([torch.linspace(0.1, 2, len(LEVELS)), torch.linspace(0.2, 4, len(LEVELS))], dim=1)
    error_distribution = ErrorDistribution(torch.zeros(2), torch.ones(2), torch.ones(len(LEVELS)), bands)
    assert error_distribution.bands_at(0.5).tolist() == pytest.approx(bands[9].tolist(), rel=1e-6)
    assert error_distribution.bands_at(0.525).tolist() == pytest.approx(((bands[9] + bands[10]) / 2).tolist(), rel=1e-6)
    moved = error_distribution.to("meta").bands
    assert moved is not None
    assert moved.device.type == "meta"
    with pytest.raises(ValueError, match=r"0\.999"):
        error_distribution.bands_at(0.999)
    with pytest.raises(ValueError, match="band of level"):
        SKEWED.bands_at(0.5)


# Evaluator


class Collected(Evaluator[float]):
    def update(self, batch: dict[int, float], prediction: float, /) -> None:
        for index, row in batch.items():
            self.add(index, row + prediction)

    def is_finite(self) -> bool:
        return True

    def compute(self, costly: bool = True) -> dict[str, float]:
        return {"sum": sum(self.rows.values()) + costly}


def test_alone_an_evaluator_gathers_nothing() -> None:
    evaluator = Collected()
    evaluator.update({0: 1.0, 1: 2.0}, 0.5)
    evaluator.gather()
    assert evaluator.rows == {0: 1.5, 1: 2.5}


def test_an_evaluator_gathers_the_rows_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_gather_object(parts: list[dict[int, float]], own: dict[int, float]) -> None:
        parts[:] = [{2: 2.0}, own]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather_object", all_gather_object)
    evaluator = Collected()
    evaluator.update({1: 1.0}, 0.5)
    evaluator.gather()
    assert evaluator.rows == {2: 2.0, 1: 1.5}


def test_an_evaluator_without_figures_is_refused() -> None:
    class Half(Evaluator[float]):
        def update(self, batch: object, prediction: object, /) -> None: ...

    with pytest.raises(TypeError, match="compute"):
        Half()
