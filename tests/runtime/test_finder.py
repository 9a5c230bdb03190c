"""The people in whole images without torch: those that the checkpoint finds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.support.anchors import anchors
from tests.support.in_memory import InMemory

from logpose import runtime
from logpose.core.calibration import Calibration
from logpose.tasks.detection.predict import Finder


@pytest.fixture(scope="module")
def both(thin_module):
    """A calibrated detector, whose people are in no two cases nearly equal, and its network."""
    model = anchors(bias=-1.5, nms=0.2, snap=False)
    radii = [[[1 + size + joint / 20, 2 + size] for joint in range(17)] for size in range(2)]
    model.calibration = Calibration(np.linspace(0.5, 1.5, 17).tolist(), (0.5, 0.9), radii, sizes=(40.0,))
    return model, InMemory(model)


@pytest.mark.parametrize("size", [(70, 90), (300, 50), (64, 64), (33, 200)])
def test_people_are_those_that_the_checkpoint_finds(both, size, tmp_path):
    model, network = both
    image = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), dtype=np.uint8)
    for least in (None, 0.2):
        want, found = Finder(model, least_score=least)(image), runtime.Finder(network, least)(image)
        count = min(len(want), 20)
        assert len(found.boxes) == count > 0
        assert found.boxes == pytest.approx(want.boxes[:count], abs=0.05)
        assert found.keypoints == pytest.approx(want.keypoints[:count], abs=0.02)
        assert found.sigma == pytest.approx(want.sigma[:count], rel=1e-3)
        assert found.scores == pytest.approx(want.scores[:count], abs=1e-4)
        assert {float(level) for level in found.radius} == set(want.regions)
        for level, axes in want.regions.items():
            assert found.radius[f"{level:g}"] == pytest.approx(axes[:count], rel=1e-3)
    cv2.imwrite(str(tmp_path / "image.png"), image[..., ::-1])
    assert np.array_equal(
        runtime.Finder(network)(tmp_path / "image.png").keypoints, runtime.Finder(network)(image).keypoints
    )


def test_what_is_not_one(both, tmp_path, monkeypatch):
    _, network = both
    with pytest.raises(ValueError, match=r"logpose\.runtime\.Finder"):
        runtime.Predictor(network)
    with pytest.raises(ValueError, match="no image that can be read"):
        runtime.Finder(network)(tmp_path / "none.png")
    monkeypatch.setitem(network.facts["export"], "task", "pose")
    with pytest.raises(ValueError, match="a model of whole images is needed"):
        runtime.Finder(network)
