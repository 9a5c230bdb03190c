"""Human3.6M as the released code has it: people in space, what their cameras see, and people of the plane beside."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import COCO, H36M, LSP, MPII, Skeleton
from logpose.data import Crops, CropTransform, People, crop_loader
from logpose.data.h36m import ACTIONS, H36mPeople, MixedPeople, same_joints

WIDTH, HEIGHT = 100, 80
FOLDER = "s_01_act_02_subact_01_ca_01"
TURN = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]  # the world's z points up, the camera looks along its x
POSITION = [-4000.0, 100.0, 900.0]
CAMERA = {"R": TURN, "t": POSITION, "f": [110.0, 115.0], "c": [51.0, 39.0]}


def world(seed: int = 0) -> np.ndarray:
    """17 joints within half a metre of a point, 4 m in front of the camera."""
    return np.random.default_rng(seed).uniform([-500, -400, 400], [500, 600, 1400], (17, 3))


def rows(name: str = f"{FOLDER}/{FOLDER}_000001.jpg", number: int = 7, **changes: Any) -> tuple[dict, dict]:
    """An image and the annotation beside it."""
    image = {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "cam_param": copy.deepcopy(CAMERA)}
    bbox = [10.0, 5.0, 41.0, 51.0]
    row = {"id": 70 + number, "image_id": number, "bbox": bbox, "keypoints_world": world(number).tolist()}
    for key, value in changes.items():
        target = image["cam_param"] if key in CAMERA else image if key in image else row
        target[key] = value
    return image, row


def written(tmp_path: Path, *pairs: tuple[Any, Any], name: str = "annotations/file.json") -> Path:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    jpeg = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 128, np.uint8))[1].tobytes()
    for image, _ in pairs:
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            path = tmp_path / "images" / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg)
    images, annotations = ([pair[i] for pair in pairs] for i in (0, 1))
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    return file


def test_a_person(tmp_path: Path) -> None:
    people = H36mPeople(written(tmp_path, rows()), strict=True)
    person = people[0]
    expected = []
    for x, y, z in [*world(7), (world(7)[11] + world(7)[14]) / 2]:  # the thorax lies between the shoulders
        right, down, away = -(y - 100), -(z - 900), x + 4000  # R (X - t), written out
        expected.append([110 * right / away + 51, 115 * down / away + 39, away - (world(7)[0, 0] + 4000)])
    np.testing.assert_allclose(person.keypoints, expected, atol=1e-6)
    assert person.keypoints[0, 2] == 0
    assert person.visible.tolist() == [2] * 18
    assert person.box.tolist() == [10, 5, 40, 50]  # to x + w - 1, y + h - 1
    assert person.area == 40 * 50
    assert (person.image_id, person.id) == (7, 77)
    assert person.image == tmp_path / "images" / FOLDER / f"{FOLDER}_000001.jpg"
    assert people.skeleton is H36M
    assert people.evaluated == tuple(range(17))
    assert isinstance(people, People)
    assert people.counts == {"annotations": 1, "people": 1}
    assert [sample.id for sample in people.samples] == [sample.id for sample in people] == [77]


def test_where_a_person_is(tmp_path: Path) -> None:
    people = H36mPeople(written(tmp_path, rows()), strict=True)
    space = people.space(0)
    assert space.joints.shape == (18, 3)
    np.testing.assert_allclose(space.joints[:17], (world(7) - POSITION) @ np.array(TURN).T, atol=1e-9)
    np.testing.assert_allclose(space.camera.to_camera(world(7)), space.joints[:17], atol=1e-9)
    # The way back: pixels, and depths that the pelvis's own is added to, are the joints again.
    person = people[0]
    found = space.camera.back_project(person.keypoints[:, :2], person.keypoints[:, 2] + space.joints[0, 2])
    np.testing.assert_allclose(found, space.joints, atol=1e-6)
    assert space.group == "Directions"


@settings(max_examples=8)
@given(st.lists(st.integers(0, 2**31), min_size=12, max_size=12))
def test_a_turned_camera_turns_what_it_views(seeds: list[int]) -> None:
    """Whatever moves world and camera alike changes nothing."""
    others = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        turn, _ = np.linalg.qr(random.standard_normal((3, 3)))
        turn *= np.sign(np.linalg.det(turn))
        moved = world(7) @ turn.T + (shift := random.uniform(-2000, 2000, 3))
        placed = {"R": (np.array(TURN) @ turn.T).tolist(), "t": (turn @ POSITION + shift).tolist()}
        others.append(rows(**placed, keypoints_world=moved.tolist()))
    with tempfile.TemporaryDirectory() as folder:
        first, *moved_too = H36mPeople(written(Path(folder), rows(), *others), strict=True)
    assert len(moved_too) == 12
    for other in moved_too:
        np.testing.assert_allclose(first.keypoints, other.keypoints, atol=1e-6)


def test_boxes_end_at_the_image(tmp_path: Path) -> None:
    people = H36mPeople(
        written(tmp_path, rows(bbox=[-20, -10, 200, 300]), rows(bbox=[90, 70, 500, 500]), rows(bbox=[-5, 3, 11, 21])),
        strict=True,
    )
    assert [person.box.tolist() for person in people] == [[0, 0, 99, 79], [90, 70, 9, 9], [0, 3, 5, 20]]
    image, row = rows(bbox=[-20, -10, 201, 301])
    del image["width"], image["height"]  # then nobody knows where the image ends
    assert H36mPeople(written(tmp_path, (image, row)))[0].box.tolist() == [0, 0, 180, 290]


def test_actions_and_videos(tmp_path: Path) -> None:
    names = [
        *(f"s_01_act_{act:02d}_subact_01_ca_01" for act in range(2, 17)),
        "s_01_act_16_subact_01_ca_02",
        "s_01_act_17_subact_01_ca_01",
        "mine",
    ]
    names = [f"{name}/{i}.jpg" for name in names for i in (1, 2)]
    people = H36mPeople(written(tmp_path, *(rows(name, i) for i, name in enumerate(names))), strict=True)
    found = [people.space(i) for i in range(len(people))]
    assert [space.group for space in found[::2]] == [*ACTIONS, "WalkTogether", "other", "other"]
    assert [ACTIONS[i - 2] for i in (2, 3, 12, 15, 16)] == [
        *("Directions", "Discussion", "Photo", "WalkDog", "WalkTogether")
    ]


def test_a_camera_is_kept_once(tmp_path: Path) -> None:
    pairs = [rows(f"a/{i}.jpg", i, f=[110.0 + i % 2, 115.0]) for i in range(6)]
    people = H36mPeople(written(tmp_path, *pairs), strict=True)
    assert people.space(0).camera is people.space(4).camera is not people.space(1).camera
    assert [people.space(i).camera.focal[0] for i in range(6)] == [110, 111] * 3


def test_blocked_recordings_are_left_out(tmp_path: Path) -> None:
    blocked = ["s_09_act_05_subact_02_ca_03", "s_09_act_10_subact_02_ca_01", "s_09_act_13_subact_01_ca_04"]
    kept = ["s_09_act_05_subact_01_ca_03", "s_11_act_10_subact_02_ca_01"]
    file = written(tmp_path, *(rows(f"{name}/a.jpg", i) for i, name in enumerate([*blocked, *kept])))
    people = H36mPeople(file, strict=True)
    assert [person.image_id for person in people] == [3, 4]
    assert people.counts == {"annotations": 5, "of blocked recordings": 3, "people": 2}


def test_every_tenth_recording_is_held_out_with_all_its_cameras(tmp_path: Path) -> None:
    names = [f"s_01_act_{i // 2:02d}_subact_0{i % 2 + 1}_ca_0{camera}" for i in range(4, 24) for camera in (1, 2)]
    file = written(tmp_path, *(rows(f"{name}/a.jpg", i) for i, name in enumerate(names)))
    train, val = (H36mPeople(file, strict=True, part=part) for part in ("train", "val"))
    assert [person.image_id for person in val] == [18, 19, 38, 39]
    assert (len(train), len(val)) == (36, 4)
    few = written(tmp_path, rows())
    assert len(H36mPeople(few, part="train")) == 1
    with pytest.raises(InputError, match=r"'val'"):
        H36mPeople(few, part="val")


MISSING_CAMERA = rows()
del MISSING_CAMERA[0]["cam_param"]
BROKEN = world().tolist()
BROKEN[3] = [1.0, 2.0]
FAR, NEAR = world().tolist(), world().tolist()
FAR[5][0], NEAR[5][0] = -9000.0, -4000.0 + 1e-4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("text", rows()[1]), "needs a file_name"),
        ((rows()[0], "text"), "needs image_id, bbox and keypoints_world"),
        ((rows()[0], {"image_id": 7, "bbox": [1, 2, 3, 4]}), "needs image_id, bbox and keypoints_world"),
        (rows(image_id="7"), "image_id must be an integer"),
        (rows(image_id=8), "image_id is not the id"),
        (MISSING_CAMERA, "needs cam_param with R, t, f and c"),
        (rows(cam_param={"R": TURN}), "needs cam_param with R, t, f and c"),
        (rows(cam_param=[1]), "needs cam_param with R, t, f and c"),
        (rows(R=[1.0] * 9), "R must be 3×3 numbers"),
        (rows(keypoints_world=world()[:16].tolist()), "keypoints_world 17×3"),
        (rows(keypoints_world=BROKEN), "keypoints_world 17×3"),
        (rows(keypoints_world=[["a", "b", "c"]] * 17), "keypoints_world 17×3"),
        (rows(bbox=[1, 2, 3]), "bbox 4"),
        (rows(bbox=[1, 2, 3, 10**400]), "bbox 4"),
        (rows(bbox=None), "bbox 4"),
        (rows(width="wide"), "width and height 1 each"),
        (rows(f=[float("inf"), 1.0]), "beyond ±1e+06"),
        (rows(keypoints_world=[[float("nan")] * 3] * 17), "not finite"),
        (rows(bbox=[1e300, 1, 1e300, 1]), "not finite, or beyond"),
        (rows(R=np.diag([1.0, 1, -1]).tolist()), "R is not a rotation"),
        (rows(R=(1.1 * np.array(TURN)).tolist()), "R is not a rotation"),
        (rows(f=[110.0, 0.0]), "focal lengths"),
        (rows(keypoints_world=(world() / 1000).tolist(), t=[-4.0, 0.1, 0.9]), "expected millimetres"),
        (rows(keypoints_world=FAR), "joints behind the camera"),
        (rows(keypoints_world=NEAR), "pixels"),
        (rows(bbox=[10, 5, 0, 50]), "bbox has no area"),
        (rows(bbox=[10, 5, 40, -3]), "bbox has no area"),
        (rows(bbox=[100, 5, 40, 30]), "outside the image"),
    ],
)
def test_wrong_rows_are_left_out_and_named(tmp_path: Path, wrong: tuple[Any, Any], message: str) -> None:
    file = written(tmp_path, rows(number=3), wrong, rows(number=4))
    people = H36mPeople(file)
    assert [person.image_id for person in people] == [3, 4]
    assert message in str(people.problems[0])
    assert str(people.problems[0]).startswith(f"{file}: annotation 1 (")
    assert len(people.problems) == 1
    with pytest.raises(InputError, match="annotation 1"):
        H36mPeople(file, strict=True)


def test_wrong_images(tmp_path: Path) -> None:
    names = ["a/whole.jpg", "a/gone.jpg", "a/cut.jpg", "b/small.jpg", "b/also.jpg"]
    file = written(tmp_path, *(rows(name, i) for i, name in enumerate(names)))
    images = tmp_path / "images"
    (images / "a" / "gone.jpg").unlink()
    (images / "a" / "cut.jpg").write_bytes((images / "a" / "whole.jpg").read_bytes()[:-40])
    for name in ("small", "also"):
        cv2.imwrite(str(images / "b" / f"{name}.jpg"), np.zeros((40, 50, 3), np.uint8))
    people = H36mPeople(file)
    assert [person.image_id for person in people] == [0]
    report = [str(problem) for problem in people.problems]
    assert "annotation 1 (a/gone.jpg): no such file" in report[0]
    assert "annotation 2 (a/cut.jpg): truncated image" in report[1]
    assert "annotation 3 (b/small.jpg): width and height are not the image's" in report[2]
    assert "have 50×40" in report[3]


def test_problems_come_in_the_file_s_order(tmp_path: Path) -> None:
    file = written(tmp_path, rows("gone/a.jpg"), rows(bbox=[1, 2, 0, 0]), rows(image_id="x"), rows(f=[0, 0]), rows())
    (tmp_path / "images" / "gone" / "a.jpg").unlink()
    people = H36mPeople(file)
    assert [str(problem).split("annotation ")[1][0] for problem in people.problems] == list("0123")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no list 'images'"),
        ({"images": []}, "no list 'annotations'"),
        ({"images": [], "annotations": {}}, "no list 'annotations'"),
        ({"images": [1, 2], "annotations": [1]}, "2 images and 1 annotations"),
        ({"images": [], "annotations": []}, "no labelled people"),
        ({"images": [1], "annotations": [1]}, "no labelled people; the first of 1 wrong rows"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        H36mPeople(tmp_path / "a.json")


@pytest.mark.parametrize("place", ["images", "annotations/images", "annotations", "elsewhere"])
def test_where_images_are(tmp_path: Path, place: str) -> None:
    file = written(tmp_path, rows())
    (tmp_path / "images").rename(tmp_path / "moved")
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / "moved" / FOLDER).rename(tmp_path / place / FOLDER)
    people = H36mPeople(file, tmp_path / place if place == "elsewhere" else None, strict=True)
    assert people.image_folder == tmp_path / place


# In the plane beside


class Plane:
    """People of another skeleton, each with a number in its image id."""

    def __init__(self, count: int, skeleton: Skeleton = MPII) -> None:
        self.count, self.skeleton = count, skeleton

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        joints = len(self.skeleton)
        positions = np.column_stack([np.arange(joints), 100 + np.arange(joints)]).astype(float) + 3 * index
        visible = np.full(joints, 2)
        visible[1] = 1
        visible[15] = 0
        image = np.zeros((64, 64, 3), np.uint8)
        return Sample(image, np.array([10.0, 20, 40, 80]), positions, visible, 3200.0, index, index)


def in_space(tmp_path: Path, count: int) -> H36mPeople:
    return H36mPeople(written(tmp_path, *(rows(f"a/{i}.jpg", i) for i in range(count))), strict=True)


def test_the_joints_that_are_the_same() -> None:
    released = (6, 2, 1, 0, 3, 4, 5, None, 8, None, 9, 13, 14, 15, 12, 11, 10, 7)  # s_mpii_2_hm36_jt
    assert same_joints(MPII, H36M) == released
    own = Skeleton(  # what the released code calls MPII's
        "person",
        (
            *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelv", "thrx"),
            *("neck", "head", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow"),
            "left_wrist",
        ),
    )
    assert same_joints(own, H36M) == released
    assert same_joints(H36M, H36M) == tuple(range(18))
    assert same_joints(H36M, MPII)[7:10] == (17, 8, 10)
    coco = same_joints(COCO, H36M)
    assert [H36M.joints[i] for i, joint in enumerate(coco) if joint is None] == [
        *("pelvis", "torso", "neck", "head", "thorax")
    ]
    assert coco[9] == 0
    assert same_joints(LSP, H36M)[8] == 12


def test_people_of_the_plane_have_no_depth(tmp_path: Path) -> None:
    mixed = MixedPeople(in_space(tmp_path, 3), Plane(2))
    assert len(mixed) == 6
    assert mixed.skeleton is H36M
    assert isinstance(mixed, People)
    for i in range(3):
        np.testing.assert_array_equal(mixed[i].keypoints, mixed.space[i].keypoints)
        np.testing.assert_array_equal(mixed[i].box, mixed.space[i].box)
    person = mixed[3]
    number = person.image_id
    assert person.keypoints.shape == (18, 3)
    assert np.isnan(person.keypoints[:, 2]).all()
    #                  pelvis hip knee(hidden) ankle …      torso  nose         l_wrist(none)         thorax
    assert person.visible.tolist() == [2, 2, 1, 2, 2, 2, 2, 0, 2, 0, 2, 2, 2, 0, 2, 2, 2, 2]
    assert person.keypoints[2, :2].tolist() == [1 + 3 * number, 101 + 3 * number]
    assert person.keypoints[17, :2].tolist() == [7 + 3 * number, 107 + 3 * number]
    # Made 1.25 times larger about its middle, which Human3.6M's padding of 1 leaves as it is.
    assert person.box.tolist() == [10 - 5, 20 - 10, 50, 100]
    assert person.area == 3200
    assert MixedPeople(mixed.space, Plane(2), enlarge=1)[3].box.tolist() == [10, 20, 40, 80]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 9))
def test_people_of_the_plane_are_used_equally_often(count: int, others: int, seed: int) -> None:
    mixed = MixedPeople(Plane(count, H36M), Plane(others), seed=seed)
    used = [mixed[i].image_id for i in range(count, 2 * count)]
    times = np.bincount(used, minlength=others)
    assert times.max() - times.min() <= 1
    again = MixedPeople(Plane(count, H36M), Plane(others), seed=seed)
    assert used == [again[count + i].image_id for i in range(count)]
    with pytest.raises(IndexError):
        mixed[2 * count]


def test_the_order_is_mixed_anew_each_round() -> None:
    mixed = MixedPeople(Plane(60, H36M), Plane(20))
    first, second, third = mixed.order.reshape(3, 20).tolist()
    assert sorted(first) == sorted(second) == sorted(third) == list(range(20))
    assert first != second != third != list(range(20))
    assert MixedPeople(Plane(60, H36M), Plane(20), seed=1).order.tolist() != mixed.order.tolist()


def test_what_cannot_be_mixed() -> None:
    with pytest.raises(InputError, match="joint"):
        MixedPeople(Plane(2, H36M), Plane(2, Skeleton("face", ("left_eye", "right_eye"))))
    for count, others in ((0, 3), (3, 0)):
        with pytest.raises(InputError, match="empty"):
            MixedPeople(Plane(count, H36M), Plane(others))


def test_a_batch_of_both(tmp_path: Path) -> None:
    mixed = MixedPeople(in_space(tmp_path, 3), Plane(5))
    crops = Crops(mixed, CropTransform(mixed.skeleton, (64, 64), outside="mask", padding=1.0))
    batch = next(iter(crop_loader(crops, 6, training=False)))
    assert batch.target.shape == (6, 18, 3)
    known = batch.target[..., 2].isfinite()
    assert known[:3].all()
    assert not (known[3:] & (batch.weight[3:] > 0)).any()
    assert (batch.target[:3, :, 2].abs() <= 0.5).all()
    assert batch.target[:, 0, 2][:3].tolist() == [0, 0, 0]
