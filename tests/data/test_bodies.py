"""Bodies are anatomical, poses symmetric, and faces drawn where the head shows them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from logpose.data.bodies import Actor, Body, figure, mirrored, paint_face, random_pose
from logpose.data.rendering import Camera, Canvas, paint

REST = np.zeros(26)
AHEAD = Camera(200.0, (63.5, 63.5), np.diag([1.0, -1.0, -1.0]))


def posed(**angles: float) -> np.ndarray:
    """COCO's joints (x left, y up, z ahead) of somebody who does one thing with the left side."""
    names = ("shoulder", "aside", "spin", "elbow", "hip", "spread", "roll", "knee", "ankle")
    pose = REST.copy()
    for name, angle in angles.items():
        pose[names.index(name)] = angle
    return Body().place(pose, 0.0)[0]


def test_angles_mean_what_they_say() -> None:
    rest = posed()
    forward, aside, bent = posed(shoulder=90), posed(aside=90), posed(elbow=90)
    assert forward[9, 2] > rest[9, 2] + 0.4  # the left wrist goes ahead
    assert aside[9, 0] > rest[9, 0] + 0.4  # to the left
    assert bent[9, 2] > rest[9, 2] + 0.2  # an elbow bends forward
    assert posed(knee=90)[15, 2] < rest[15, 2] - 0.2  # a knee backward
    assert posed(hip=90)[13, 2] > rest[13, 2] + 0.3
    assert posed(elbow=90, spin=60)[9, 0] > bent[9, 0] + 0.1  # an outward turn takes the hand outward
    for moved in (forward, aside, bent):
        np.testing.assert_allclose(moved[[6, 8, 10]] - moved[6], rest[[6, 8, 10]] - rest[6], atol=1e-12)


def test_a_standing_body_has_human_measure() -> None:
    points, _ = Body(stature=1.7).place(REST, 0.0)
    assert points[:17, 1].max() == pytest.approx(1.57, abs=0.08)  # eyes
    assert points[15:17, 1].max() < 0.12  # ankles
    assert points[5, 0] > 0 > points[6, 0]
    assert points[0, 2] > points[3, 2]  # the nose is ahead of the ears


def test_heading_turns_the_body() -> None:
    front, back = (Body().place(REST, heading)[0] for heading in (0.0, 180.0))
    np.testing.assert_allclose(front[:, [0, 2]], -back[:, [0, 2]], atol=1e-9)
    np.testing.assert_allclose(front[:, 1], back[:, 1])


@pytest.mark.parametrize("seed", range(5))
def test_a_mirrored_pose_is_the_mirror_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose, body = random_pose(rng), Body.random(rng)
    points, image = body.place(pose, 30.0)[0], body.place(mirrored(pose), -30.0)[0]
    swap = [0, *(i + (1 if i % 2 else -1) for i in range(1, 17))]
    np.testing.assert_allclose(image[:17], points[swap] * (-1, 1, 1), atol=1e-9)


def test_poses_are_symmetric_in_distribution() -> None:
    rng = np.random.default_rng(0)
    poses = np.array([random_pose(rng) for _ in range(3000)])
    for i in range(9):
        assert stats.ks_2samp(poses[:, i], poses[:, 9 + i]).pvalue > 1e-4
    antisymmetric = poses[:, [19, 20, 22, 23, 25]]
    assert (np.abs(antisymmetric.mean(axis=0)) < 5 * antisymmetric.std(axis=0) / 3000**0.5).all()
    np.testing.assert_array_equal(mirrored(mirrored(poses[0])), poses[0])


def test_joints_stay_within_what_they_can_do() -> None:
    rng = np.random.default_rng(1)
    poses = np.array([random_pose(rng) for _ in range(1000)])
    for knee in (7, 16):
        assert poses[:, knee].min() >= 0
        assert poses[:, knee].max() <= 140
    for elbow in (3, 12):
        assert poses[:, elbow].min() >= 2
        assert poses[:, elbow].max() <= 145


@pytest.mark.parametrize(("heading", "changes"), [(0.0, True), (180.0, False)])
def test_a_face_is_on_the_front(heading: float, changes: bool) -> None:
    points, frames = Body().place(REST, heading)
    actor = Actor(Body(), points @ AHEAD.turn.T, AHEAD.turn @ frames)
    who = figure(np.random.default_rng(4), actor, np.array([0.0, 1.55, 2.0]), 1)
    size = (128, 128)
    canvas = Canvas(np.full((*size, 3), 90, np.uint8), np.full(size, np.inf, np.float32), np.zeros(size, np.uint8))
    paint(canvas, AHEAD, who.parts, np.array([0.0, 0.0, -1.0]), 0.5)
    before = canvas.image.astype(int)
    paint_face(canvas, AHEAD, who, 1)
    changed = np.abs(canvas.image - before).sum(axis=2)
    eyes = np.rint(AHEAD.project(who.joints[1:3])).astype(int)
    assert all((changed[y, x] > 60) == changes for x, y in eyes)


def test_upright_people_stand_and_face_the_camera() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        actor = Actor.random(rng, AHEAD, upright=True)
        trunk = actor.points[5:7].mean(axis=0) - actor.points[11:13].mean(axis=0)
        assert -trunk[1] / np.linalg.norm(trunk) > 0.7  # upwards; y points down
        assert actor.points[:5, 1].max() < actor.points[15:17, 1].min()  # head above feet
        heading = actor.frames[0][:, 2]  # where the hips look
        assert -heading[2] > -0.2  # not away from the camera
