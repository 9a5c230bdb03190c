"""Poses drawn into images."""

from __future__ import annotations

import cv2
import numpy as np

from logpose.tasks.pose.draw import overlay, plot_poses
from logpose.tasks.pose.predict import Predictor


def is_picture(path):
    image = cv2.imread(str(path))
    return image is not None and image.std() > 5


def test_an_overlay_has_the_joints_in_their_places(tiny_run):
    image = np.full((96, 72, 3), 30, np.uint8)
    poses = Predictor(tiny_run / "best.ckpt", device="cpu")(image)
    poses.keypoints[0] = (36, 48)
    poses.sigma[0] = 0.01
    drawn = overlay(image, poses, 384)
    lit = np.argwhere((drawn != 30).any(axis=2)).mean(axis=0)
    np.testing.assert_allclose(lit, ((48 + 0.5) * 4 - 0.5, (36 + 0.5) * 4 - 0.5), atol=0.6)


def test_poses_of_several_images_are_one_sheet(tiny_run, tmp_path):
    image = np.zeros((64, 48, 3), np.uint8)
    plot_poses([(image, Predictor(tiny_run / "best.ckpt", device="cpu")(image))] * 3, tmp_path / "poses.png", columns=2)
    assert is_picture(tmp_path / "poses.png")
