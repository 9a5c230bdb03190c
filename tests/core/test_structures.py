from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.structures import LEVELS, Batch, ErrorDistribution, Prediction, Sample


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
    picture, box = np.zeros((4, 4, 3), np.uint8), np.array([0.0, 0.0, 4.0, 4.0])
    Sample(picture, box, np.zeros((3, 2)), np.array([0, 1, 2]), area=16.0, image_id=1, id=1)
    with pytest.raises(TypeCheckError, match="visible"):
        Sample(picture, box, np.zeros((3, 2)), np.array([0, 1]), area=16.0, image_id=1, id=1)


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
def test_nothing_can_be_read_out_of_an_unknown_law(dim: int) -> None:
    error_distribution = ErrorDistribution.unknown(dim)
    assert error_distribution.mean.tolist() == [0.0] * dim
    assert error_distribution.std.shape == (dim,)
    assert error_distribution.std.isnan().all()
    assert math.isnan(error_distribution.radius_at(0.5))


def test_law_moves_every_field() -> None:
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


def test_folding_changes_no_claim() -> None:
    prediction = make_prediction(SKEWED)
    folded = prediction.folded()
    assert folded.error_distribution.mean.tolist() == [0.0, 0.0]
    assert torch.equal(folded.mu, prediction.mean)
    assert torch.equal(folded.mean, prediction.mean)
    assert torch.equal(folded.std, prediction.std)
    assert torch.equal(folded.error_distribution.radius, SKEWED.radius)
    assert torch.equal(folded.folded().mu, folded.mu)
    assert prediction.error_distribution.mean.tolist() == [0.5, -1.0], "the original is left as it was"


def test_folding_a_symmetric_law_moves_nothing() -> None:
    prediction = make_prediction(ErrorDistribution.unknown(2))
    assert torch.equal(prediction.folded().mu, prediction.mu)
    assert prediction.std.isnan().all()


def test_bands_of_a_law_are_read_between_levels() -> None:
    bands = torch.stack([torch.linspace(0.1, 2, len(LEVELS)), torch.linspace(0.2, 4, len(LEVELS))], dim=1)
    error_distribution = ErrorDistribution(torch.zeros(2), torch.ones(2), torch.ones(len(LEVELS)), bands)
    assert error_distribution.bands_at(0.5).tolist() == pytest.approx(bands[9].tolist(), rel=1e-6)
    assert error_distribution.bands_at(0.525).tolist() == pytest.approx(((bands[9] + bands[10]) / 2).tolist(), rel=1e-6)
    moved = error_distribution.to("meta").bands
    assert moved is not None
    assert moved.device.type == "meta"
    with pytest.raises(ValueError, match=r"no band of level 0\.999"):
        error_distribution.bands_at(0.999)
    with pytest.raises(ValueError, match="no band"):
        SKEWED.bands_at(0.5)
