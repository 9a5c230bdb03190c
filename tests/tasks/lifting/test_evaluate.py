"""Figures of models that lift keypoints, from predictions that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from logpose.core.skeletons import Skeleton
from logpose.core.structures import ErrorDistribution, Prediction
from logpose.data.windows import Windows, window_loader
from logpose.losses import Gaussian, L1Loss
from logpose.models import LiftingModel
from logpose.tasks.lifting.evaluate import LiftingEvaluation, evaluate_lifting

THREE = Skeleton("person", ("pelvis", "l_hip", "r_hip"))


class Made:
    """Random poses of two actions in three sequences."""

    skeleton = THREE

    def __init__(self, count: int = 60) -> None:
        rng = np.random.default_rng(0)
        self.inputs = rng.normal(size=(count, 3, 2)).astype(np.float32)
        self.targets = rng.normal(0, 0.3, (count, 3, 3)).astype(np.float32)
        self.targets[:, 0] = 0
        self.sequence = np.arange(count) * 3 // count
        self.groups = ["walking" if i < count / 3 else "sitting" for i in range(count)]

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, indices: np.ndarray, frames: int) -> np.ndarray:
        return np.repeat(self.inputs[indices][:, None], frames, axis=1)


def measured(error: np.ndarray, sigma: float = 0.01, loss=None) -> dict[str, float]:
    """Figures of a model that is off by `error` (N, K, 3), metres, batches in any order."""
    poses = Made(len(error))
    model = LiftingModel("fc", THREE, settings={"width": 4})
    if loss is not None:
        model.set_error_distribution(loss.error_distribution())
    evaluation = LiftingEvaluation(poses, model, loss)
    for batch in reversed(list(window_loader(Windows(poses), 16, training=False))):
        mu = batch.target + torch.from_numpy(error[batch.index.numpy()]).float()
        scale = torch.full_like(mu, sigma)
        evaluation.update(batch, Prediction(mu, scale, 1 - scale.mean(dim=-1), model.error_distribution))
    evaluation.gather()
    return evaluation.compute()


def test_errors_by_hand() -> None:
    error = np.zeros((60, 3, 3))
    error[:20, 1, 0] = 0.03  # walking: 30 mm in one of three joints
    error[20:, 2] = [0.06, 0.0, 0.08]  # sitting: 100 mm
    figures = measured(error)
    assert figures["frames"] == 60
    assert figures["mpjpe_walking"] == pytest.approx(10, abs=1e-3)
    assert figures["mpjpe_sitting"] == pytest.approx(100 / 3, abs=1e-3)
    assert figures["mpjpe"] == pytest.approx((10 + 2 * 100 / 3) / 3, abs=1e-3)
    assert figures["mpjpe_mean"] == pytest.approx((10 + 100 / 3) / 2, abs=1e-3)
    assert figures["mpjpe_joint_pelvis"] == pytest.approx(0, abs=1e-3)
    assert figures["velocity"] == pytest.approx(0, abs=1e-3)  # whatever is off by the same in each frame of a sequence
    assert "nll" not in figures
    assert "coverage@0.9" not in figures  # the error distribution is unknown


def test_likelihood_and_regions_are_of_all_joints_but_the_root() -> None:
    rng = np.random.default_rng(1)
    error = rng.normal(0, 0.02, (3000, 3, 3))
    error[:, 0] = 0.5  # of the root: must not matter
    figures = measured(error, sigma=0.02, loss=Gaussian(3))
    expected = -stats.norm.logpdf(error[:, 1:], scale=0.02).sum(axis=-1).mean()
    assert figures["nll"] == pytest.approx(expected, abs=1e-3)
    for level in (0.5, 0.9, 0.95):
        assert figures[f"coverage@{level:g}"] == pytest.approx(level, abs=0.02)
    assert figures["std_mm"] == pytest.approx(20 * np.sqrt(3), rel=0.02)
    assert "sigma_rank" in figures


def test_a_skewed_error_distribution_s_mean_is_in_the_position_and_not_in_the_likelihood() -> None:
    """Labels scatter about mu; reported, and compared with the labels, is mu + sigma times the mean of the errors."""
    rng = np.random.default_rng(2)
    poses, loss, sigma = Made(300), Gaussian(3), 0.05
    moved = torch.tensor([0.5, -1.0, 0.25])
    known = ErrorDistribution(moved, torch.ones(3), torch.arange(1.0, 21.0))
    model = LiftingModel("fc", THREE, settings={"width": 4})
    model.set_error_distribution(known)
    error = rng.normal(0, sigma, (300, 3, 3)).astype(np.float32)
    evaluation = LiftingEvaluation(poses, model, loss)
    for batch in window_loader(Windows(poses), 64, training=False):
        mu = batch.target + torch.from_numpy(error[batch.index.numpy()])
        evaluation.update(batch, Prediction(mu, torch.full_like(mu, sigma), mu[..., 0], model.error_distribution))
    figures = evaluation.compute()
    nll = -stats.norm.logpdf(error[:, 1:], scale=sigma).sum(axis=-1)
    assert figures["nll"] == pytest.approx(nll.mean(), rel=1e-4)
    apart = np.linalg.norm(error + sigma * moved.numpy(), axis=-1)
    assert figures["mpjpe_joint_l_hip"] == pytest.approx(1000 * apart[:, 1].mean(), rel=1e-4)


def test_flip_average_of_a_skewed_error_distribution() -> None:
    torch.manual_seed(0)
    model = LiftingModel("fc", THREE, settings={"width": 8}).eval()
    moved = torch.tensor([0.5, -1.0, 0.25])
    model.set_error_distribution(ErrorDistribution(moved, torch.ones(3), torch.ones(20)))
    inputs = torch.from_numpy(Made(5).inputs)[:, None]
    with torch.inference_mode():
        one, other = model(inputs), model(model.mirrored(inputs))
        both = model.flip_average(one, other)
    back = other.mean[:, [0, 2, 1]] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(both.mean, (one.mean + back) / 2)
    torch.testing.assert_close(both.mu, both.mean - both.sigma * moved)


def test_a_constant_scale_ranks_nothing() -> None:
    loss = L1Loss(3)
    loss.moment.fill_(0.02)
    assert "sigma_rank" not in measured(np.zeros((30, 3, 3)), loss=loss)


def test_a_model_that_has_diverged_has_no_error() -> None:
    error = np.zeros((30, 3, 3))
    error[4, 1, 1] = np.nan
    figures = measured(error)
    assert np.isnan(figures["mpjpe"])


@pytest.mark.parametrize("flip_test", [True, False])
def test_every_frame_is_lifted(flip_test: bool) -> None:
    poses, loss = Made(), Gaussian(3)
    torch.manual_seed(0)
    model = LiftingModel("fc", THREE, settings={"width": 8}).eval()
    model.set_error_distribution(loss.error_distribution())
    figures = evaluate_lifting(model.train(), poses, loss, flip_test=flip_test, batch_size=7).compute()
    with torch.inference_mode():
        found = model.eval()(torch.from_numpy(poses.inputs)[:, None]).mu
        if flip_test:  # the sides change places in the mirror, and x its sign
            other = torch.from_numpy(poses.inputs * np.array([-1, 1], np.float32))[:, None, [0, 2, 1]]
            found = (found + model(other).mu[:, [0, 2, 1]] * torch.tensor([-1.0, 1, 1])) / 2
    apart = np.linalg.norm(found.numpy() - poses.targets, axis=-1)
    assert figures["frames"] == 60
    assert figures["mpjpe"] == pytest.approx(1000 * apart.mean(), rel=1e-5)
    assert "nll" in figures
    assert "nll" not in evaluate_lifting(model, poses).compute()


def test_of_nothing_there_is_nothing_to_tell() -> None:
    assert LiftingEvaluation(Made(), LiftingModel("fc", THREE)).compute() == {"frames": 0}
