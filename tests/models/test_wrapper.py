"""The model of wrappers: what it depends on, what it does not, and its figures of a person."""

from __future__ import annotations

import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.geometry import in_images
from logpose.core.skeletons import Skeleton
from logpose.losses import Laplace
from logpose.models import KeypointWrapper

SKELETON = Skeleton("person", ("left_hand", "right_hand", "nose"))


def people(count: int, channels: int = 3) -> torch.Tensor:
    given = torch.rand(count, 3, channels) * 200 + 50
    given[..., 2] = torch.rand(count, 3)
    if channels > 5:
        given[..., 5] = torch.rand(count, 3)
    return given


def fitted(**settings: bool) -> tuple[KeypointWrapper, torch.Tensor]:
    """A wrapper with random weights, and people for it."""
    torch.manual_seed(0)
    model = KeypointWrapper(SKELETON, **settings).eval()
    given = people(50, model.channels)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3)
    model.fit_features(given, 0.02)
    model.set_error_distribution(Laplace(2).error_distribution())
    return model.requires_grad_(False), given


@pytest.mark.parametrize("settings", [{}, {"mirrored": True}, {"deviations": True}, {"mirrored": True, "refine": True}])
def test_it_depends_on_people_alone_and_not_on_their_place_in_the_image(settings):
    model, given = fitted(**settings)
    moved = given.clone()
    moved[..., :2] += torch.tensor([300.0, -40.0])
    if model.mirrored:
        moved[..., 3:5] += torch.tensor([300.0, -40.0])
    here, there = model(given), model(moved)
    assert torch.allclose(here.sigma, there.sigma, atol=1e-4)
    assert torch.allclose(here.mu, there.mu, atol=1e-4)


@pytest.mark.parametrize("refine", [False, True])
def test_positions_in_the_image_are_the_given_ones_unless_they_are_refined(refine):
    model, given = fitted(refine=refine)
    keypoints, std, confidence, *_ = in_images(model(given), model.to_image(given), model.size)
    assert (abs(keypoints - given[..., :2].numpy()).max() < 1e-3) is not refine
    assert (std > 0).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_before_it_is_fitted_all_errors_are_typical_ones():
    model = KeypointWrapper(SKELETON).eval()
    given = people(40)
    model.fit_features(given, 0.05)
    assert torch.allclose(model(given).sigma, torch.full((40, 3, 2), 0.05))


def test_features_are_standardised_on_the_people_that_it_is_fitted_on():
    model, given = fitted(mirrored=True)
    own, everything = model.standardised(given)
    assert own.flatten(0, 1).mean(dim=0).abs().max() < 1e-4
    assert everything.std(dim=0).sub(1).abs().max() < 0.1


def test_a_second_view_that_is_missing_counts_as_a_usual_one():
    model, given = fitted(mirrored=True, refine=True)
    given[0, :, 3:6] = float("nan")
    prediction = model(given)
    assert prediction.sigma.isfinite().all()
    assert prediction.mu.isfinite().all()


@pytest.mark.parametrize("extreme", [0.0, 1.0, 1e6, -1e6])
def test_no_score_and_no_place_makes_it_infinite(extreme):
    model, given = fitted()
    given[0] = extreme
    prediction = model(given)
    assert prediction.sigma.isfinite().all()
    assert ((prediction.sigma >= 1e-4 * 0.999) & (prediction.sigma <= 1)).all()


def test_what_it_is_not():
    with pytest.raises(InputError, match="members"):
        KeypointWrapper(SKELETON, members=0)
    with pytest.raises(InputError, match="no flip test"):
        fitted()[0].predict(None, flip_test=True)
