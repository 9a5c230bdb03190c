"""People placed in the camera's frame: exactly where all is known, nearly where an adult's size stands in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.cameras import Camera
from logpose.core.errors import InputError
from logpose.core.placement import FARTHEST, LIMBS, NEAREST, STATURE, Viewpoint, adult_root_depth
from logpose.core.skeletons import COCO, H36M_LIFTING, Skeleton
from logpose.core.space import lifted
from logpose.data.synthetic import SyntheticPeople

SIZE = (480, 640)
FOCAL, CENTRE = (900.0, 880.0), (310.0, 250.0)


def camera(focal=FOCAL, centre=CENTRE) -> Camera:
    return Camera(np.array(focal, float), np.array(centre, float))


def seen(joints, eye) -> np.ndarray:
    """The output of a perfect model: pixels, and depth relative to the hips."""
    depth = joints[:, 2:] - joints[[11, 12], 2].mean()
    return np.concatenate([eye.project(joints), depth], axis=1)


def adult(seed: int, at=(0.0, 0, 0), stature=STATURE) -> np.ndarray:
    """(17, 3): joints about a place, mm; limbs of an adult's lengths in any direction."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, 60, (17, 3))
    for side in (0, 1):
        for (upper, lower), share in LIMBS.items():
            start, end = (COCO.joints_of(("left", "right")[side], [part])[0] for part in (upper, lower))
            way = rng.normal(size=3)
            joints[end] = joints[start] + share * stature * way / np.linalg.norm(way)
    return joints - joints[[11, 12]].mean(axis=0) + np.array(at)


def test_joints_come_back_where_the_camera_and_the_depth_are_known() -> None:
    people = np.stack([adult(0, (300, -100, 4000)), adult(1, (-500, 80, 4000))])
    seen_at = np.stack([seen(person, camera()) for person in people])
    seen_at[..., 2] += 70  # depths count up to a common shift
    view = Viewpoint(FOCAL, CENTRE, 4000.0)
    placed = view.place(seen_at, np.full(seen_at.shape, np.nan), SIZE, COCO)
    assert placed is not None
    np.testing.assert_allclose(placed.joints, people, atol=1e-6)
    np.testing.assert_allclose(placed.root_depth, 4000)
    assert view.assumed == ()
    assert np.isnan(placed.sigma).all()


@given(st.integers(0, 10_000), st.floats(2000, 20_000))
def test_an_adult_is_found_at_the_true_depth(seed: int, depth: float) -> None:
    aside = np.random.default_rng(seed + 1).uniform(-0.4, 0.4, 2) * depth
    person = adult(seed, (*aside, depth))
    assert adult_root_depth(seen(person, camera()), camera(), COCO) == pytest.approx(depth, rel=1e-6)


def test_somebody_smaller_is_put_further_away() -> None:
    child = adult(1, (0, 0, 3000), stature=0.5 * STATURE)
    found = adult_root_depth(seen(child, camera()), camera(), COCO)
    assert 1.8 * 3000 < found < 2.3 * 3000


def test_a_focal_length_that_is_wrong_moves_people_by_the_same_factor() -> None:
    flat = adult(2)
    flat[:, 2] = 5000
    double = camera((1800, 1760))
    seen_at = seen(flat, camera())
    once, twice = (adult_root_depth(seen_at, eye, COCO) for eye in (camera(), double))
    assert twice == pytest.approx(2 * once)


def test_drawn_people_are_found_near_to_where_they_are() -> None:
    """People of many statures and poses; the focal length is known."""
    ratios = []
    for scene in map(SyntheticPeople(60, seed=2).scene, range(60)):
        joints = 1000 * scene.people[0].joints
        eye = camera((scene.focal, scene.focal), scene.centre)
        ratios.append(adult_root_depth(seen(joints, eye), eye, COCO) / joints[[11, 12], 2].mean())
    assert np.median(np.abs(np.log(ratios))) < 0.1
    assert np.abs(np.log(ratios)).max() < 0.6


def test_depths_longer_than_limbs_are_taken_as_near_as_can_be() -> None:
    seen_at = seen(adult(3, (0, 0, 3000)), camera())
    seen_at[:, 2] *= 10
    found = adult_root_depth(seen_at, camera(), COCO)
    assert NEAREST - (seen_at[:, 2] - seen_at[[11, 12], 2].mean()).min() <= found < FARTHEST


def test_depths_that_span_more_than_anything_are_placed_or_refused() -> None:
    seen_at = seen(adult(3, (0, 0, 3000)), camera())
    for factor in (1e3, 1e4):
        seen_at[:, 2] = factor * np.linspace(-100, 100, 17)
        placed = Viewpoint().place(seen_at[None], seen_at[None], SIZE, COCO)
        assert placed is not None
        assert placed.joints[..., 2].min() >= NEAREST - 1e-6
    assert placed.root_depth > FARTHEST
    point = np.column_stack([np.tile([300.0, 200], (17, 1)), seen_at[:, 2]])
    assert adult_root_depth(point, camera(), COCO) > FARTHEST
    seen_at[:, 2] = np.linspace(-1e22, 1e22, 17)
    with pytest.raises(InputError, match=r"root 1\.\S+e\+22 mm away"):
        Viewpoint().place(seen_at[None], seen_at[None], SIZE, COCO)


def test_numbers_that_are_not_finite_are_nowhere() -> None:
    seen_at = seen(adult(3, (0, 0, 3000)), camera())
    seen_at[4, 2] = np.nan
    assert adult_root_depth(seen_at, camera(), COCO) is None
    assert Viewpoint().place(seen_at[None], seen_at[None], SIZE, COCO) is None


def test_a_point_is_infinitely_far_and_a_thing_without_limbs_nowhere() -> None:
    seen_at = np.tile([300.0, 200, 0], (17, 1))
    assert adult_root_depth(seen_at, camera(), COCO) == FARTHEST
    face = Skeleton("face", ("left_eye", "right_eye", "nose"))
    assert adult_root_depth(seen_at[:3], camera(), face) is None
    assert Viewpoint().place(seen_at[None, :3], seen_at[None, :3], SIZE, face) is None
    placed = Viewpoint(root_depth=500.0).place(seen_at[None, :3], seen_at[None, :3], SIZE, face)
    assert placed is not None
    np.testing.assert_allclose(placed.joints[..., 2], 500)


def test_what_is_assumed_is_listed_and_is_the_image_s_own() -> None:
    view = Viewpoint()
    assert view.assumed == ("focal", "centre", "root_depth")
    eye = view.camera((480, 640))
    np.testing.assert_allclose(eye.focal, 800)  # its diagonal
    np.testing.assert_allclose(eye.centre, (319.5, 239.5))
    assert Viewpoint(centre=(1, 2), root_depth=3000.0).assumed == ("focal",)
    np.testing.assert_allclose(Viewpoint(focal=1145).camera((480, 640)).focal, 1145)
    np.testing.assert_allclose(Viewpoint(focal=(1145, 1143)).camera((480, 640)).focal, [1145, 1143])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("skeleton", [COCO, H36M_LIFTING, Skeleton("thing", tuple(f"p{i}" for i in range(17)))])
def test_spread_is_that_of_many_draws(skeleton: Skeleton) -> None:
    rng = np.random.default_rng(4)
    seen_at = seen(adult(4, (1500, 400, 4000)), camera())
    sigma = rng.uniform([2, 1, 40], [6, 3, 120], (17, 3))
    view = Viewpoint(FOCAL, CENTRE, 4000.0)
    placed = view.place(seen_at[None], sigma[None], SIZE, skeleton)
    assert placed is not None
    draws = seen_at + rng.normal(size=(20_000, 17, 3)) * sigma
    points = np.array([lifted(draw, camera(), 4000.0, skeleton.root) for draw in draws])
    np.testing.assert_allclose(placed.sigma[0], points.std(axis=0), rtol=0.03, atol=1e-9)
    if len(skeleton.root) == 1:  # it is at the given depth
        assert placed.sigma[0, skeleton.root[0], 2] == 0
        assert placed.joints[0, skeleton.root[0], 2] == 4000


def test_what_is_not_known_of_one_joint_leaves_the_others() -> None:
    seen_at = seen(adult(4, (1500, 400, 4000)), camera())
    sigma = np.full((17, 3), 5.0)
    whole = Viewpoint(FOCAL, CENTRE, 4000.0).place(seen_at[None], sigma[None], SIZE, COCO)
    sigma[3] = np.nan
    placed = Viewpoint(FOCAL, CENTRE, 4000.0).place(seen_at[None], sigma[None], SIZE, COCO)
    assert whole is not None
    assert placed is not None
    assert np.isnan(placed.sigma[0, 3]).all()
    others = np.arange(17) != 3
    np.testing.assert_array_equal(placed.sigma[0, others], whole.sigma[0, others])


def test_nobody_is_nobody() -> None:
    nobody = np.zeros((0, 17, 3))
    placed = Viewpoint().place(nobody, nobody, SIZE, COCO)
    assert placed is not None
    assert (placed.joints.shape, placed.root_depth.shape) == ((0, 17, 3), (0,))


def test_what_cannot_be_is_refused() -> None:
    for wrong, token in (
        ({"focal": (1.0, 2.0, 3.0)}, "focal length.*3"),
        ({"focal": -2.0}, "focal length.*-2"),
        ({"focal": (0.0, 5.0)}, "focal length.*0"),
        ({"focal": (float("nan"), 5.0)}, "focal length"),
        ({"centre": (float("inf"), 5.0)}, "principal point"),
        ({"root_depth": 4.0}, "root depth.* 4"),
        ({"root_depth": float("nan")}, "root depth"),
    ):
        with pytest.raises(InputError, match=token):
            Viewpoint(**wrong)
    seen_at = seen(adult(5, (0, 0, 4000)), camera())
    with pytest.raises(InputError, match="150 mm"):
        Viewpoint(root_depth=150.0).place(seen_at[None], seen_at[None], SIZE, COCO)
