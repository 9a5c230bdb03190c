"""Calibration on held-out errors: factors, radii, and coverage of labels that were not calibrated on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from logpose.core.calibration import Calibration
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.losses import Laplace
from logpose.losses.base import LikelihoodLoss
from logpose.models import RegressionModel, ResNet
from logpose.tasks.calibrate import Errors, calibrate, measure

FACTORS = np.array([0.5, 1.0, 3.0])
LEVELS = (0.5, 0.9, 0.95)


@pytest.fixture(scope="module")
def model():
    """A model of three joints whose errors are said to be Laplace."""
    torch.manual_seed(0)
    model = RegressionModel(ResNet(18), Skeleton("thing", ("a", "b", "c")), (64, 64))
    model.set_error_distribution(Laplace(2).error_distribution())
    return model


def drawn(people: int, seed: int = 0, of_image: int = 4) -> Errors:
    """Errors of Laplace distributions whose standard deviations are the predicted ones times `FACTORS`."""
    rng = np.random.default_rng(seed)
    error = rng.laplace(scale=np.sqrt(0.5), size=(people, 3, 2)) * FACTORS[:, None]
    std, sizes = rng.uniform(1, 5, (people, 3)), rng.uniform(20, 200, people)
    return Errors(error, std, "px", np.arange(people) // of_image, sizes)


@pytest.mark.parametrize("loss", [Laplace(2), None])
def test_the_factors_of_standard_deviations_are_found(model, loss):
    found = calibrate(drawn(4000), model, loss, LEVELS)
    assert found.factor == pytest.approx(FACTORS, rel=0.05)
    assert found.groups == 1000
    # Of equal shape, so that after the factor all have the radii of the density.
    wanted = [model.error_distribution.radius_at(level) for level in LEVELS]
    assert found.radii[0] == pytest.approx(np.tile(wanted, (3, 1)), rel=0.06)


def test_the_oks_that_is_expected_is_the_mean_that_people_had(model):
    rng = np.random.default_rng(3)
    expected = rng.uniform(size=3000)
    had = np.clip(expected**2 + rng.normal(0, 0.05, 3000), 0, 1)
    errors = replace(drawn(3000), oks=had, expected_oks=lambda factor: expected * factor.max() / FACTORS.max())
    found = calibrate(errors, model, Laplace(2), LEVELS)
    mean, above = found.of_expected_oks(np.array([0.3, 0.6, 0.9]) * found.factor[2] / FACTORS.max())
    assert mean == pytest.approx([0.09, 0.36, 0.81], abs=0.03)
    assert (above < [0.05, 0.05, 2]).all()
    assert 0.95 < above[2] < 1, "by chance everybody, which is not certain"
    assert errors.of(expected < 0.5).expected_oks(FACTORS) == pytest.approx(expected[expected < 0.5])
    assert calibrate(drawn(300), model, Laplace(2), LEVELS).of_expected_oks(mean) is None


@pytest.mark.parametrize("by_size", [False, True])
def test_new_labels_are_covered_as_nominal(model, by_size):
    rng = np.random.default_rng(2)
    errors, new = drawn(3000), drawn(3000, seed=1)
    heavy = rng.standard_t(3, size=(2, 3000, 3, 1))  # of another shape than the density
    for each, factor in zip((errors, new), heavy, strict=True):
        each.standardised[:] *= factor
    found = calibrate(errors, model, Laplace(2), LEVELS, by_size=by_size)
    for level in LEVELS:
        inside = new.radius <= found.radius_at(level, new.sizes) * found.factor
        assert inside.mean(axis=0) == pytest.approx(level, abs=0.025)


def test_hardly_anybody_of_the_calibration_data_is_more_uncertain(model):
    errors = drawn(3000)
    found = calibrate(errors, model, Laplace(2), LEVELS)
    relative = np.median(errors.std * found.factor, axis=1) / errors.sizes
    assert (relative > found.uncertain).mean() == pytest.approx(0.01, abs=0.002)


class Gumbel(LikelihoodLoss):
    """Skewed errors: those of a Gumbel distribution, with a mean."""

    def error_log_prob(self, error):
        return -(error + torch.exp(-error)).sum(dim=-1)

    def error_draws(self, count):
        draws = -torch.log(-torch.log(torch.rand(count, self.dim).clamp(1e-6, 1 - 1e-6)))
        return draws, torch.full((count,), 1 / count)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_of_a_skewed_density_the_expected_position_stays(model, factor):
    torch.manual_seed(0)
    loss = Gumbel(2)
    model.set_error_distribution(loss.error_distribution())
    e = loss.error_draws(12_000)[0].view(-1, 3, 2).numpy()
    mean, std = (values.numpy() for values in (model.error_mean, model.error_std))
    errors = Errors(factor * (e - mean) / std, np.ones((4000, 3)), "px", np.arange(4000))
    found = calibrate(errors, model, loss, LEVELS)
    assert found.factor == pytest.approx([factor] * 3, rel=0.03)
    assert measure(errors, model, loss, LEVELS).nll_change < -0.1
    model.set_error_distribution(Laplace(2).error_distribution())


def test_each_group_counts_once(model):
    """Crowds with larger errors are many labels and few images."""
    errors = drawn(1000, of_image=1)
    errors.standardised[900:] *= 20
    errors = replace(errors, groups=np.where(np.arange(1000) < 900, np.arange(1000), 900 + np.arange(1000) % 10))
    measured = measure(errors, model, None, (0.9,))
    assert measured.coverage("after")[0] == pytest.approx(0.9, abs=0.02)


def test_labels_that_are_missing_do_not_count(model):
    errors = drawn(2000)
    errors.standardised[:, 0] = np.nan
    errors.standardised[60:, 2] = np.nan
    found = calibrate(errors, model, Laplace(2), LEVELS)
    every = calibrate(drawn(2000), model, Laplace(2), LEVELS)
    assert found.factor[1] == pytest.approx(every.factor[1], rel=0.05), "drawn towards another common one"
    assert found.factor[0] != pytest.approx(0.5, rel=0.2), "of a joint without labels that of all"
    assert np.isfinite(found.radii).all()


def test_measured_is_what_was_not_calibrated_on(model):
    measured = measure(drawn(4000), model, Laplace(2), LEVELS)
    assert measured.coverage("before")[1] < 0.88
    assert measured.coverage("after") == pytest.approx(LEVELS, abs=0.015)
    assert measured.nll_change < -0.3
    parts = measured.parts(["a", "b", "c"])
    assert measured.coverage("before", parts["c"])[1] < 0.5 < 0.98 < measured.coverage("before", parts["a"])[1]
    assert measured.coverage("after", parts["c"]) == pytest.approx(LEVELS, abs=0.025)
    size = measured.size("after") / measured.size("before")
    assert size[1] == pytest.approx(1, abs=0.3)
    assert [name for name in parts if name.startswith("boxes")] == list(parts)[3:]


def test_a_calibrated_model_predicts_calibrated_deviations(model):
    errors = drawn(400)
    images = torch.rand(2, 3, 64, 64)

    class Batch:
        inputs = images

    model.eval()
    with torch.inference_mode():
        before = model.predict(Batch())
        model.calibration = calibrate(errors, model, Laplace(2), LEVELS)
        after = model.predict(Batch())
    factor = torch.tensor(model.calibration.factor)[:, None]
    assert torch.allclose(after.std, before.std * factor)
    assert torch.equal(after.mean, before.mean)
    assert torch.equal(after.confidence, before.confidence)
    assert model.region_radius(0.9).shape == (1, 3)
    assert model.region_radius(0.8).shape == (1, 1)
    model.calibration = None


@pytest.mark.parametrize(
    ("people", "group", "by_size", "token"),
    [
        (72, "image", False, "needs 19 images or more, got 18"),
        (200, "image", True, "in each range of sizes"),
        (0, "clip", 0, "no"),
    ],
)
def test_too_few_groups_are_refused(model, people, group, by_size, token):
    with pytest.raises(InputError, match=token):
        calibrate(drawn(people, of_image=4 if not by_size else 11), model, Laplace(2), LEVELS, group, bool(by_size))


def test_a_model_without_deviations_is_refused(model):
    errors = drawn(400)
    errors.std[:] = np.nan
    with pytest.raises(InputError, match="standard deviation"):
        calibrate(errors, model, None, LEVELS)


def test_probabilities_of_being_visible_are_calibrated_too(model):
    rng = np.random.default_rng(0)
    errors = drawn(800)
    logit = rng.normal(0, 2, errors.std.shape)
    visible = np.where(rng.random(logit.shape) < 1 / (1 + np.exp(-logit)), 2, 1)
    overconfident = 1 / (1 + np.exp(-2 * logit))
    found = calibrate(replace(errors, visible=visible, visibility=overconfident), model, Laplace(2), LEVELS)
    assert found.visibility == pytest.approx((0.5, 0), abs=0.06)
    assert Calibration.from_config(found.config()).visibility == found.visibility
    assert calibrate(errors, model, Laplace(2), LEVELS).visibility == ()
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    model.calibration = found
    try:
        prediction = Prediction(torch.zeros(1, 3, 2), torch.ones(1, 3, 2), logits, model.error_distribution)
        after = model.calibrated(replace(prediction, visibility=logits)).visibility
    finally:
        model.calibration = None
    figures = measure(replace(errors, visible=visible, visibility=overconfident), model, Laplace(2), LEVELS).figures()
    assert figures["visible_ece after"] < 0.03 < 0.06 < figures["visible_ece before"]
    assert "visible_ece after" not in measure(errors, model, Laplace(2), LEVELS).figures()
    slope, shift = found.visibility
    assert torch.allclose(after, slope * logits + shift)
