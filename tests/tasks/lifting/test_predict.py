"""Keypoints lifted into space: units, windows within their sequence, the mirror, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import HUMANEVA
from logpose.data.keypoint_files import KeypointSequence
from logpose.data.lifting import LiftingPoses, screen
from logpose.data.windows import Windows, window_loader
from logpose.tasks.lifting.predict import LiftedPoses, Lifter, lifted_arrays, lifted_rows
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


RNG = np.random.default_rng(0)


def test_lifted_poses_are_told_row_by_row() -> None:
    joints, sigma = RNG.normal(0, 300, (2, 3, 15, 3)).astype(np.float32)
    sigma[1, 4] = np.nan
    joints[0, 0] = -1e-9
    confidence = RNG.uniform(0, 1, (3, 15)).astype(np.float32)
    lifted = LiftedPoses(HUMANEVA, joints, sigma, confidence, 1.5)
    video = KeypointSequence("S1, Walk, camera 0", RNG.uniform(0, 400, (3, 15, 2)), (480, 640))
    rows = json.loads(json.dumps(list(lifted_rows(("x.npz", video, lifted))), allow_nan=False))
    assert [(row["file_name"], row["sequence"], row["frame"]) for row in rows] == [
        ("x.npz", "S1, Walk, camera 0", frame) for frame in range(3)
    ]
    np.testing.assert_allclose(rows[2]["joints_mm"], joints[2], atol=0.006)
    assert rows[1]["sigma_mm"] is None
    assert str(rows[0]["joints_mm"][0]) == "[0.0, 0.0, 0.0]"
    assert "image_id" not in rows[0]
    single = KeypointSequence("row 3", video.keypoints[:1], (480, 640), image_id=9)
    one = LiftedPoses(HUMANEVA, joints[:1], sigma[:1], confidence[:1], 1.5)
    assert next(lifted_rows(("y.json", single, one)))["image_id"] == 9
    arrays = lifted_arrays([("x.npz", video, lifted), ("y.json", single, one)], HUMANEVA)
    assert arrays["frame"].tolist() == [0, 1, 2, 0]
    assert arrays["sequence"].tolist()[2:] == ["S1, Walk, camera 0", "row 3"]
    assert arrays["keypoints"].shape == (4, 15, 2)
    np.testing.assert_array_equal(arrays["joints_mm"][:3], joints)
    assert not any(array.dtype.hasobject for array in arrays.values())
