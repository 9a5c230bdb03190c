"""Keypoints lifted into space: units, windows within their sequence, the mirror, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.data.lifting import LiftingPoses, screen
from logpose.data.windows import Windows, window_loader
from logpose.tasks.lifting.predict import Lifter
from logpose.training.checkpoint import load_model

SIZE = (480, 640)
VIDEO = np.random.default_rng(0).uniform([100, 80], [300, 400], (23, 15, 2))


def test_lengths_are_millimetres_from_the_root(lifters) -> None:
    model = load_model(lifters["humaneva"])
    poses = Lifter(lifters["humaneva"], device="cpu")(VIDEO, SIZE)
    with torch.no_grad():
        said = model(torch.from_numpy(screen(VIDEO, SIZE)).float()[:, None])
    np.testing.assert_allclose(poses.joints_mm, 1000 * said.mean.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(poses.sigma_mm, 1000 * said.std.numpy(), rtol=1e-4)
    np.testing.assert_allclose(poses.confidence, said.confidence.numpy(), rtol=1e-5)
    assert np.abs(poses.joints_mm[:, 0]).max() < 1e-6
    assert poses.radius == pytest.approx(model.error_distribution.radius_at(0.5))
    assert len(poses) == 23


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("name", ["humaneva", "windows"])
def test_a_file_s_sequences_are_lifted_as_eval_does(lifters, lifting_files, name, flip_test) -> None:
    """Windows stay within their sequence, whatever the batches."""
    data = LiftingPoses(*lifting_files)
    model = load_model(lifters[name])
    with torch.inference_mode():
        batches = window_loader(Windows(data, model.frames), 64, training=False)
        expected = torch.cat([model.predict(batch, flip_test).mean for batch in batches]).numpy()
    lifter = Lifter(model, device="cpu", flip_test=flip_test, batch_size=10)
    found = list(lifter.many((sequence.keypoints, sequence.size) for sequence in data.sequences))
    assert [len(poses) for poses in found] == [len(sequence) for sequence in data.sequences]
    np.testing.assert_allclose(np.concatenate([p.joints_mm for p in found]), 1000 * expected, rtol=1e-3, atol=1e-2)


def test_a_model_without_a_likelihood_knows_no_sigma(lifters) -> None:
    poses = Lifter(lifters["unsure"], device="cpu")(VIDEO, SIZE)
    assert np.isfinite(poses.joints_mm).all()
    assert np.isnan(poses.sigma_mm).all()


def test_a_model_that_has_diverged_is_told(lifters) -> None:
    model = load_model(lifters["humaneva"])
    for weights in model.parameters():
        weights.data.fill_(torch.nan)
    with pytest.raises(InputError, match="not finite"):
        Lifter(model, device="cpu")(VIDEO, SIZE)


def test_nothing_gives_nothing(lifters) -> None:
    assert list(Lifter(lifters["humaneva"], device="cpu").many([])) == []


def test_other_keypoints_and_other_models_are_refused(lifters, tiny_run) -> None:
    lifter = Lifter(lifters["humaneva"], device="cpu")
    for wrong in (VIDEO[:, :14], VIDEO[:0], VIDEO[0, 0], 7.0, [["a", "b"]], [[[1, 2], [3]]]):
        with pytest.raises(InputError, match="keypoints are numbers, of frames × 15 × 2"):
            lifter(wrong, SIZE)
    for wrong in (np.full_like(VIDEO, np.nan), 1e30 * VIDEO):
        with pytest.raises(InputError, match="keypoints must be finite, and less than 1e"):
            lifter(wrong, SIZE)
    for size in ((0, 0), (480, -640)):
        with pytest.raises(InputError, match="height and a width"):
            lifter(VIDEO, size)
    listed = lifter(VIDEO.tolist(), SIZE)
    np.testing.assert_allclose(listed.joints_mm, lifter(VIDEO, SIZE).joints_mm, rtol=1e-4, atol=1e-2)
    with pytest.raises(InputError, match="one window or more are lifted at a time, not 0"):
        Lifter(lifters["humaneva"], device="cpu", batch_size=0)
    with pytest.raises(InputError, match=r"best\.ckpt"):
        Lifter(tiny_run / "best.ckpt")
