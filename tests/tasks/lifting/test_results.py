"""Lifted poses as rows of plain values and as arrays."""

from __future__ import annotations

import json

import numpy as np

from logpose.core.skeletons import HUMANEVA
from logpose.data.keypoint_files import KeypointSequence
from logpose.tasks.lifting.predict import LiftedPoses
from logpose.tasks.lifting.results import lifted_arrays, lifted_rows

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
