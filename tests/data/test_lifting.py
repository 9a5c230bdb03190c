"""Files of poses to lift: cameras recovered or placed, wrong sequences named, windows that stay within theirs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logpose.core.cameras import Camera, placed_around, reprojection_errors
from logpose.core.errors import InputError
from logpose.core.skeletons import H36M_LIFTING, HUMANEVA
from logpose.data.lifting import LiftingPoses, PoseSequence, action_group, exact_keypoints, open_poses, screen
from logpose.data.windows import Poses

SIZE = (480, 640)
LEFT, RIGHT = [2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]


def walk(frames: int, joints: int = 15, seed: int = 0) -> np.ndarray:
    """(T, K, 3): somebody who wanders about and bends, in metres; z is up."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(0, 0.04, (frames, 1, 3)), axis=0) * [1, 1, 0.1] + [0, 0, 0.9]
    body = rng.uniform([-0.4, -0.4, -0.8], [0.4, 0.4, 0.8], (joints, 3)) + rng.normal(0, 0.1, (frames, joints, 3))
    head, *ankles = {15: (14, 10, 13), 17: (10, 6, 3), 32: (15, 8, 3)}[joints]
    body[:, head, 2] += 1.5 - body[:, head, 2].mean()
    body[:, ankles, 2] -= 0.8
    return (path + body).astype(np.float32)


def eyes(person: int, count: int = 2) -> list[Camera]:
    """The cameras around one person, whose images are `SIZE`."""
    around = placed_around(np.array([[[-1.0, -1, 0], [1, 1, 2]]]), count, np.random.default_rng(person))
    lens = np.array([-0.2, 0.1, -0.001, 0.001, 0.0])
    return [
        Camera(np.array([700.0, 701.0]), np.array([320.0, 230.0]), eye.rotation, eye.translation, lens)
        for eye in around
    ]


def seen(positions: np.ndarray, person: int, count: int = 2) -> list[np.ndarray]:
    return [eye.project(eye.to_camera(positions)).astype(np.float32) for eye in eyes(person, count)]


LENGTHS = {("Train/P1", "Walking 1 chunk0"): 30, ("Train/P1", "Box 1 chunk2"): 9, ("Train/P2", "Jog 1"): 25}
LENGTHS |= {("Validate/P1", "Walking 1 chunk0"): 12}


def tables(joints: int = 15) -> tuple[dict[str, Any], dict[str, Any]]:
    """positions_3d and positions_2d of four sequences of two people, of two cameras each."""
    world: dict[str, Any] = {}
    pixels: dict[str, Any] = {}
    for seed, ((subject, action), length) in enumerate(LENGTHS.items()):
        positions = walk(length, joints, seed)
        world.setdefault(subject, {})[action] = positions
        pixels.setdefault(subject, {})[action] = seen(positions, int(subject[-1]))
    return world, pixels


def written(folder: Path, world: Any, pixels: Any = None, metadata: Any = None) -> tuple[Path, Path]:
    files = folder / "data_3d_x.npz", folder / "data_2d_x_gt.npz"
    np.savez_compressed(files[0], positions_3d=world)
    metadata = metadata or {"layout_name": "x", "num_joints": 15, "keypoints_symmetry": [LEFT, RIGHT]}
    np.savez_compressed(files[1], positions_2d=pixels, metadata=metadata)
    return files


def sound(*args: Any, **options: Any) -> LiftingPoses:
    """The poses of files in which nothing is wrong."""
    poses = LiftingPoses(*args, **options)
    assert not poses.problems
    return poses


def names(poses: LiftingPoses) -> list[tuple[str, str, int]]:
    return [(s.subject, s.action, s.camera_index) for s in poses.sequences]


def test_cameras_are_recovered(tmp_path: Path) -> None:
    world, pixels = tables()
    poses = sound(*written(tmp_path, world, pixels))
    assert poses.skeleton is HUMANEVA
    assert isinstance(poses, Poses)
    assert names(poses) == [(*key, camera) for key in LENGTHS for camera in (0, 1)]
    assert len(poses) == 2 * sum(LENGTHS.values()) == len(poses.groups)
    assert poses.inputs.dtype == poses.targets.dtype == np.float32
    first = 0
    for i, sequence in enumerate(poses.sequences):
        person, rows = int(sequence.subject[-1]), slice(first, first + len(sequence))
        true = eyes(person)[sequence.camera_index].to_camera(world[sequence.subject][sequence.action])
        np.testing.assert_allclose(sequence.positions, true, atol=0.01)
        view = pixels[sequence.subject][sequence.action][sequence.camera_index]
        np.testing.assert_array_equal(sequence.keypoints, view)
        assert sequence.size == SIZE
        assert (poses.sequence[rows] == i).all()
        np.testing.assert_allclose(poses.targets[rows], true - true[:, :1], atol=0.01)
        expected = (sequence.keypoints - [320, 240]) / 320
        np.testing.assert_allclose(poses.inputs[rows], expected, atol=1e-6)
        first += len(sequence)
    assert poses.groups[58:62] == ["walking", "walking", "box", "box"]
    assert not poses.targets[:, 0].any()


def test_a_person_has_the_same_cameras_whatever_is_chosen(tmp_path: Path) -> None:
    files = written(tmp_path, *tables())
    everything, validation = LiftingPoses(*files), LiftingPoses(*files, ["Validate"])
    assert names(validation) == [("Validate/P1", "Walking 1 chunk0", camera) for camera in (0, 1)]
    np.testing.assert_array_equal(validation.targets, everything.targets[-24:])
    assert everything.sequences[0].camera is everything.sequences[2].camera is everything.sequences[6].camera
    assert everything.sequences[0].camera is not everything.sequences[4].camera


def test_cameras_are_placed_where_there_are_no_keypoints(tmp_path: Path) -> None:
    world, _ = tables()
    poses = LiftingPoses(written(tmp_path, world)[0], cameras=3)
    assert names(poses) == [(*key, camera) for key in LENGTHS for camera in range(3)]
    for sequence in poses.sequences:
        assert sequence.size == (1000, 1000)
        positions = world[sequence.subject][sequence.action]
        assert reprojection_errors(sequence.camera, positions, sequence.keypoints).max() < 1e-3
        distances = np.linalg.norm(np.diff(sequence.positions, axis=1), axis=-1)
        expected = np.linalg.norm(np.diff(positions, axis=1), axis=-1)
        np.testing.assert_allclose(distances, expected, atol=1e-5)
    assert (np.abs(poses.inputs) <= 1).all()


def test_motion_that_lies_down(tmp_path: Path) -> None:
    world, _ = tables()
    fallen = {s: {a: x[..., [0, 2, 1]] * [1, 1, -1] for a, x in actions.items()} for s, actions in world.items()}
    with pytest.raises(InputError, match=r"data_3d_x\.npz.*along y "):
        LiftingPoses(written(tmp_path, fallen)[0])
    with pytest.raises(InputError, match="along -z"):
        LiftingPoses(written(tmp_path, {"S1": {"Walk": world["Train/P1"]["Walking 1 chunk0"] * [1, -1, -1]}})[0])
    world["Train/P1"]["Box 1 chunk2"] = fallen["Train/P1"]["Box 1 chunk2"]
    assert len(LiftingPoses(written(tmp_path, world)[0], cameras=1).sequences) == 4, "one who lies for a while"


def test_places_depend_on_the_seed_and_the_sequence_only(tmp_path: Path) -> None:
    file = written(tmp_path, *tables())[0]
    everything = LiftingPoses(file, cameras=2)
    np.testing.assert_array_equal(LiftingPoses(file, cameras=2).inputs, everything.inputs)
    alone = LiftingPoses(file, subjects=["Validate"], cameras=2)
    np.testing.assert_array_equal(alone.inputs, everything.inputs[-24:])
    assert not np.allclose(LiftingPoses(file, cameras=2, seed=1).inputs, everything.inputs)
    same, other = everything.sequences[0].camera, everything.sequences[-2].camera
    assert not np.allclose(same.translation, other.translation), "an action of the same name of another subject"


def test_human36ms_joints_are_picked(tmp_path: Path) -> None:
    world, _ = tables(32)
    pixels = {s: {a: np.stack(seen(x, int(s[-1]))) for a, x in actions.items()} for s, actions in world.items()}
    files = written(tmp_path, world, pixels, {"num_joints": 32, "keypoints_symmetry": [[1, 2], [3, 4]]})
    poses = sound(*files, size=SIZE)
    assert poses.skeleton is H36M_LIFTING
    removed = [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]  # VideoPose3D's
    kept = np.delete(np.arange(32), removed)
    np.testing.assert_array_equal(poses.sequences[0].keypoints, pixels["Train/P1"]["Walking 1 chunk0"][0][:, kept])
    few = {s: {a: x[:, :, kept] for a, x in actions.items()} for s, actions in pixels.items()}
    symmetry: list[Any] = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    order = np.random.default_rng(0).permutation(6)
    symmetry = [np.array(symmetry[0])[order], [symmetry[1][i] for i in order]]
    files = written(tmp_path, world, few, {"num_joints": 17, "keypoints_symmetry": symmetry})
    np.testing.assert_array_equal(sound(*files, size=SIZE).inputs, poses.inputs)
    assert LiftingPoses(files[0], cameras=1).skeleton is H36M_LIFTING


def test_the_end_of_longer_keypoints_is_cut(tmp_path: Path) -> None:
    world, pixels = tables()
    expected = LiftingPoses(*written(tmp_path, world, pixels))
    views = pixels["Train/P2"]["Jog 1"]
    views[1] = np.concatenate([views[1], np.full((3, 15, 2), np.nan, np.float32)])
    np.testing.assert_array_equal(sound(*written(tmp_path, world, pixels)).inputs, expected.inputs)


BOTH, SECOND = r"data_3d_x.npz: Train/P2, Jog 1: ", r"data_2d_x_gt.npz: Train/P2, Jog 1, camera 1: "
UNSEEN, UNKNOWN = r"2d_x_gt.npz: Train/P2, Jog 1: no keypoints", r"2d_x_gt.npz: camera 1 of P2: cannot be recovered"
NOISE = np.random.default_rng(0).uniform(0, 480, (25, 15, 2)).astype(np.float32)
WRONG: dict[tuple[str, str], tuple[Any, str]] = {
    ("view", "short"): (lambda x: x[:20], SECOND + r"too few frames \(20, expected 25\)"),
    ("view", "hole"): (lambda x: holed(x, 3, 7), SECOND + r"frames that are not finite \(2 of 25, first 3\)"),
    ("view", "joints"): (lambda x: x[:, :14], SECOND + r"another number of joints \(14, expected 15\)"),
    ("view", "flat"): (lambda x: x.reshape(25, -1), SECOND + r"not an array of frames × joints × 2 \(25×30\)"),
    ("view", "word"): ("camera", SECOND + r"not an array of frames × joints × 2 \(str\)"),
    ("view", "far"): (lambda x: x * np.float32(1e6), SECOND + r"keypoints beyond ±1e\+06"),
    ("view", "noise"): (NOISE, UNKNOWN + r".*\(.* px\)"),
    ("view", "mirrored"): (lambda x: [640, 0] + x * [-1, 1], UNKNOWN + r".*\(.*mirrored\)"),
    ("space", "empty"): (lambda x: x[:0], BOTH + r"too few frames \(0, expected 1\)"),
    ("space", "hole"): (lambda x: holed(x, 5, 9), BOTH + r"frames that are not finite \(2 of 25, first 5\)"),
    ("space", "unit"): (lambda x: x * 1000, BOTH + r"joints more than 10 m .* metres"),
    ("space", "far"): (lambda x: x + np.float32(2e6), BOTH + r"joints more than 10 m "),
    ("views", "none"): ([], UNSEEN),
    ("views", "number"): (3, UNSEEN),
    ("views", "zero axes"): (np.array(3.0), UNSEEN),
    ("views", "one axis"): (np.zeros(9), UNSEEN),
    ("views", "gone"): (None, UNSEEN),
}
"""What becomes of Train/P2's second view, positions or views, and its message."""


def holed(array: np.ndarray, *frames: int) -> np.ndarray:
    array = array.copy()
    array[list(frames), 2, 1] = np.nan
    return array


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_wrong_sequences_are_left_out_and_named(tmp_path: Path, case: tuple[str, str]) -> None:
    (world, pixels), (change, message) = tables(), WRONG[case]
    views = pixels["Train/P2"]["Jog 1"]
    subject = (world if case[0] == "space" else pixels)["Train/P2"]
    table, key = (views, 1) if case[0] == "view" else (subject, "Jog 1")
    table[key] = change(table[key]) if callable(change) else change
    if change is None:
        del pixels["Train/P2"]
    files = written(tmp_path, world, pixels)
    poses = LiftingPoses(*files)
    (problem,) = poses.problems
    assert re.search(message, str(problem))
    assert len(poses.sequences) == (7 if case[0] == "view" else 6)
    assert np.isfinite(poses.inputs).all()
    sound(*files, ["Validate"])  # problems are those of the chosen subjects only
    assert LiftingPoses(files[0], cameras=1).problems == (poses.problems if case[0] == "space" else [])


def test_keypoints_of_another_take_are_left_out(tmp_path: Path) -> None:
    world, pixels = tables()
    views = pixels["Train/P1"]["Box 1 chunk2"]
    views[0] = views[0] + np.float32(30)
    poses = LiftingPoses(*written(tmp_path, world, pixels))
    (problem,) = poses.problems
    assert "Train/P1, Box 1 chunk2, camera 0: keypoints far from the projected positions" in str(problem)
    assert 35 < float(problem.detail.split()[0]) < 50, "30 pixels to the right and down"
    assert len(poses.sequences) == 7


def test_uncertain_cameras_are_left_out(tmp_path: Path) -> None:
    """Of somebody who stays where he is, in keypoints that are off by a third of a pixel."""
    rng = np.random.default_rng(0)
    world, pixels = tables()
    world["Train/P1"][WALK] = walk(300)
    world["Train/P2"]["Jog 1"] = walk(1, 15, 9) + rng.normal(0, 0.02, (25, 15, 3)).astype(np.float32)
    pixels["Train/P1"][WALK], pixels["Train/P2"]["Jog 1"] = seen(walk(300), 1), seen(world["Train/P2"]["Jog 1"], 2)
    assert len(sound(*written(tmp_path, world, pixels)).sequences) == 8, "exact pixels do"
    for subject, noise in (("Train/P2", 0.3), ("Train/P1", 0.1), ("Validate/P1", 0.1)):
        for action, exact in pixels[subject].items():
            pixels[subject][action] = [view + rng.normal(0, noise, view.shape).astype(np.float32) for view in exact]
    poses = LiftingPoses(*written(tmp_path, world, pixels))
    report = [str(problem) for problem in poses.problems]
    assert [re.search(r"camera \d of P\d", text)[0] for text in report] == ["camera 0 of P2", "camera 1 of P2"]
    assert min(int(text.split(" mm")[0].split()[-1]) for text in report) > 3
    assert poses.problems[0].kind == poses.problems[1].kind
    assert {sequence.subject for sequence in poses.sequences} == {"Train/P1", "Validate/P1"}
    for sequence in poses.sequences:
        true = eyes(1)[sequence.camera_index].to_camera(world[sequence.subject][sequence.action])
        np.testing.assert_allclose(sequence.positions - sequence.positions[:, :1], true - true[:, :1], atol=0.01)
    with pytest.raises(InputError, match=r"of P2: .*--detected"):
        LiftingPoses(*written(tmp_path, world, pixels), subjects=["Train/P2"])


# What a detector found


def found_by_a_detector(pixels: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The same table, each keypoint some pixels off."""
    rng = np.random.default_rng(seed)
    return {
        subject: {
            action: [view + rng.normal(0, 6, view.shape).astype(np.float32) for view in views]
            for action, views in actions.items()
        }
        for subject, actions in pixels.items()
    }


def detections(folder: Path, pixels: Any, metadata: Any = None) -> Path:
    file = folder / "data_2d_x_found.npz"
    np.savez_compressed(file, positions_2d=pixels, metadata=metadata or {"keypoints_symmetry": [LEFT, RIGHT]})
    return file


def test_what_was_detected_is_lifted_and_exact_pixels_tell_the_cameras(tmp_path: Path) -> None:
    world, pixels = tables()
    files, found = written(tmp_path, world, pixels), found_by_a_detector(pixels)
    exact = LiftingPoses(*files)
    found["Train/P2"]["Jog 1"][1] = np.concatenate([found["Train/P2"]["Jog 1"][1], np.zeros((3, 15, 2), np.float32)])
    poses = sound(*files, detected=detections(tmp_path, found))
    assert names(poses) == names(exact)
    np.testing.assert_array_equal(poses.targets, exact.targets)
    for sequence in poses.sequences:
        view = found[sequence.subject][sequence.action][sequence.camera_index]
        np.testing.assert_array_equal(sequence.keypoints, view[: len(sequence)])
    assert 4 < 320 * np.abs(poses.inputs - exact.inputs).mean() < 6, "0.8 of 6 pixels"
    assert poses.detected == tmp_path / "data_2d_x_found.npz"
    # Of subjects that are not chosen, nothing has to be there.
    some = {"Validate/P1": found["Validate/P1"]}
    alone = sound(*files, ["Validate"], detected=detections(tmp_path, some))
    np.testing.assert_array_equal(alone.inputs, poses.inputs[-24:])
    # As cameras' own keypoints they will not do.
    with pytest.raises(InputError, match="--detected"):
        LiftingPoses(files[0], detections(tmp_path, found))


def changed(pixels: dict[str, Any], action: str | None, change: Any) -> dict[str, Any]:
    """What was detected, with one thing of Train/P1 otherwise."""
    found = found_by_a_detector(pixels)
    views = found["Train/P1"]
    if action is None:
        del found["Train/P1"]
    elif change is None:
        del views[action]
    else:
        views[action] = change(views[action])
    return found


WALK = "Walking 1 chunk0"
UNLIKE: dict[str, tuple[str | None, Any, str]] = {
    "no subject": (
        None,
        None,
        r"Train/P1, Walking 1 chunk0: 0 cameras, expected 2 .*data_2d_x_gt\.npz",
    ),
    "no action": ("Box 1 chunk2", None, "Train/P1, Box 1 chunk2: 0 cameras, expected 2 .*gt.npz"),
    "a camera": (WALK, lambda views: views[:1], "Train/P1, Walking 1 chunk0: 1 cameras, expected 2"),
    "cameras": (
        WALK,
        lambda views: [*views, views[0]],
        "Walking 1 chunk0: 3 cameras, expected 2",
    ),
    "no views": (WALK, lambda _: np.zeros(3), "Train/P1, Walking 1 chunk0: 0 cameras"),
    "frames": (
        WALK,
        lambda views: [views[0], views[1][:20]],
        r"camera 1: too few frames \(20, expected 30\)",
    ),
    "joints": (
        WALK,
        lambda views: [v[:, :14] for v in views],
        r"another number of joints \(14, expected 15\)",
    ),
    "axes": (
        WALK,
        lambda views: [v[0] for v in views],
        r"not an array of frames × joints × 2 \(15×2\); expected",
    ),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_detections_of_something_else_are_refused(tmp_path: Path, case: str) -> None:
    world, pixels = tables()
    action, change, report = UNLIKE[case]
    files, file = written(tmp_path, world, pixels), detections(tmp_path, changed(pixels, action, change))
    with pytest.raises(InputError, match=f"^{re.escape(str(file))}: .*{report}"):
        LiftingPoses(*files, detected=file)


def test_detections_of_other_sides_without_exact_ones_or_not_there(tmp_path: Path) -> None:
    world, pixels = tables()
    files, found = written(tmp_path, world, pixels), found_by_a_detector(pixels)
    coco = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
    with pytest.raises(InputError, match=r"x_found\.npz.*keypoints_symmetry.*15 joints"):
        LiftingPoses(*files, detected=detections(tmp_path, found, {"keypoints_symmetry": coco}))
    with pytest.raises(InputError, match=r"x_found\.npz.*data_2d_x_gt\.npz"):
        LiftingPoses(files[0], detected=detections(tmp_path, found))
    with pytest.raises(InputError, match=r"none\.npz"):
        LiftingPoses(*files, detected=tmp_path / "none.npz")


def test_single_detections_that_are_wrong_are_left_out_and_named(tmp_path: Path) -> None:
    world, pixels = tables()
    files, found = written(tmp_path, world, pixels), found_by_a_detector(pixels)
    found["Train/P1"][WALK].reverse()  # cameras in another order
    found["Train/P2"]["Jog 1"][1] = holed(found["Train/P2"]["Jog 1"][1], 3, 7)
    poses = LiftingPoses(*files, detected=detections(tmp_path, found))
    report = [str(problem).split("x_found.npz: ")[1] for problem in poses.problems]
    assert [text.split(" (")[0] for text in report[:2]] == [
        f"Train/P1, {WALK}, camera {i}: keypoints far from those of {files[1]}" for i in (0, 1)
    ]
    assert report[2] == "Train/P2, Jog 1, camera 1: frames that are not finite (2 of 25, first 3)"
    assert len(poses.sequences) == 5


def test_exact_keypoints_are_looked_for_beside_the_poses(tmp_path: Path) -> None:
    files = written(tmp_path, *tables())
    assert exact_keypoints(files[0]) == files[1]
    assert exact_keypoints(files[0], Path("else.npz")) == Path("else.npz")
    (alone := tmp_path / "data_3d_y.npz").write_bytes(files[0].read_bytes())
    for nothing in (alone, tmp_path, Path(), tmp_path / "nowhere" / "data_3d_x.npz"):
        assert exact_keypoints(nothing) is None
    assert open_poses(files[0], subjects=["Validate"]).file_2d == files[1]
    assert open_poses(alone, subjects=["Validate"], cameras=1).file_2d is None


def test_files_and_subjects_that_cannot_be(tmp_path: Path) -> None:
    files = written(tmp_path, *tables())
    with pytest.raises(InputError, match=r"'Trian'.*Train\?"):
        LiftingPoses(files[0], subjects=["Trian"])
    with pytest.raises(InputError, match=r"data_2d_x_gt\.npz.*positions_3d.*positions_2d, metadata"):
        LiftingPoses(files[1])
    with pytest.raises(InputError, match=r"data_3d_x\.npz.*positions_2d.*positions_3d"):
        LiftingPoses(files[0], files[0])
    with pytest.raises(InputError, match="64 pixels wide and 48 high"):
        LiftingPoses(*files, size=(48, 64))
    turned = written(tmp_path, *tables(), {"keypoints_symmetry": [RIGHT, LEFT]})
    with pytest.raises(InputError, match=r"data_2d_x_gt\.npz.*keypoints_symmetry"):
        LiftingPoses(*turned)
    wrong = {"S1": {"a": np.full((2, 15, 3), np.nan), "b": np.zeros((0, 15, 3))}}
    with pytest.raises(InputError, match=r"first of 2 .*S1, a: frames that"):
        LiftingPoses(written(tmp_path, wrong)[0])
    files = written(tmp_path, *tables())
    with pytest.raises(InputError, match=r"else\.npz"):
        LiftingPoses(tmp_path / "else.npz")
    with pytest.raises(InputError, match=r"else\.npz"):
        LiftingPoses(files[0], tmp_path / "else.npz")
    with pytest.raises(InputError, match=r"data_3d_x\.npz"):
        LiftingPoses(files[0], subjects=[])


@pytest.mark.parametrize("frames", [1, 3, 27, 81])
def test_windows_stay_within_their_sequence(tmp_path: Path, frames: int) -> None:
    poses = LiftingPoses(written(tmp_path, tables()[0])[0], cameras=2)
    indices = np.random.default_rng(0).permutation(len(poses))
    windows = poses.window(indices, frames)
    assert windows.dtype == np.float32
    firsts = np.cumsum([0, *(len(sequence) for sequence in poses.sequences)])
    for index, window in zip(indices, windows, strict=True):
        which = int(poses.sequence[index])
        for place, found in enumerate(window):
            wanted = min(max(index + place - frames // 2, firsts[which]), firsts[which + 1] - 1)
            np.testing.assert_array_equal(found, poses.inputs[wanted])
    windows += 1
    assert (poses.inputs[indices[0]] != windows[0, frames // 2]).all(), "the caller's own copy"
    for even in (frames - 1, -frames):
        with pytest.raises(ValueError, match="an odd number of frames"):
            poses.window(indices, even)


def test_the_screen() -> None:
    corners = np.array([[0.0, 0], [1000, 0], [1000, 500], [500, 250]])
    np.testing.assert_allclose(screen(corners, (500, 1000)), [[-1, -0.5], [1, -0.5], [1, 0.5], [0, 0]])
    assert screen(corners.astype(np.float32), (500, 1000)).dtype == np.float32


@pytest.mark.parametrize(
    ("action", "group"),
    [
        ("Walking 1 chunk0", "walking"),
        ("Walking 1", "walking"),
        ("Walking", "walking"),
        ("basketball 2", "basketball"),
        ("walking_extra 13", "walking_extra"),
        ("WalkTogether 1", "walktogether"),
        ("directing traffic 12 chunk3", "directing traffic"),
        ("Box2", "box2"),
        ("3", "3"),
    ],
)
def test_actions_are_grouped(action: str, group: str) -> None:
    assert action_group(action) == group


def humaneva(data_root: Path) -> tuple[Path, Path]:
    files = data_root / "lifting" / "data_3d_humaneva15.npz", data_root / "lifting" / "data_2d_humaneva15_gt.npz"
    if not all(file.is_file() for file in files):
        pytest.skip(f"no HumanEva in {data_root}")
    return files


def facing(sequence: PoseSequence, world: np.ndarray, left: int, right: int) -> float:
    """Cosine between where somebody walks and where they face if this is left and that is right; z is up."""
    step = np.diff(world[:, 0, :2], axis=0)
    aside = (world[:-1, left] - world[:-1, right])[:, :2]
    ahead = np.stack([aside[:, 1], -aside[:, 0]], axis=1)
    return float((ahead * step).sum() / (np.linalg.norm(ahead, axis=1) * np.linalg.norm(step, axis=1)).sum())


def test_humaneva_itself(data_root: Path) -> None:
    files = humaneva(data_root)
    train, val = (sound(*files, [part]) for part in ("Train", "Validate"))
    assert (len(train), len(val)) == (3 * 4729, 3 * 4848)
    assert set(train.groups) == {"gestures", "walking", "box", "jog", "throwcatch"}
    for sequence in [*train.sequences, *val.sequences]:
        shown = sequence.camera.project(sequence.positions)
        errors = np.linalg.norm(shown - sequence.keypoints, axis=-1)
        assert np.median(errors) < 0.02
        assert errors.max() < 0.5
        assert sequence.positions[..., 2].min() > 2
        assert sequence.positions[..., 2].max() < 7
    # Named rightly: the head is on top, the feet are below, and they walk where they face.
    world = np.concatenate([s.positions @ s.camera.rotation for s in train.sequences if s.action.startswith("Walking")])
    height = world[..., 2].mean(axis=0)
    joints = list(HUMANEVA.joints)
    assert joints[int(height.argmax())] == "head"
    assert {joints[i] for i in np.argsort(height)[:2]} == {"l_ankle", "r_ankle"}
    for sequence in train.sequences:
        if sequence.action.startswith(("Walking", "Jog")):
            upright = sequence.positions @ sequence.camera.rotation
            assert facing(sequence, upright, joints.index("l_hip"), joints.index("r_hip")) > 0.9


def test_cmu_itself(data_root: Path) -> None:
    file = data_root / "lifting" / "data_3d_cmu.npz"
    if not file.is_file():
        pytest.skip(f"no CMU in {data_root}")
    poses = sound(file, subjects=["test"])
    assert (len(poses), len(poses.sequences)) == (4 * 7053, 4 * 24)
    assert (np.abs(poses.inputs) <= 1).all()
    assert all(sequence.positions[..., 2].min() >= 2 for sequence in poses.sequences)
    joints = list(H36M_LIFTING.joints)
    for sequence in poses.sequences:
        if sequence.action in ("walking 1", "running 1"):
            world = sequence.positions @ sequence.camera.rotation
            assert joints[int(world[..., 2].mean(axis=0).argmax())] == "head"
            assert facing(sequence, world, joints.index("l_hip"), joints.index("r_hip")) > 0.9
            assert facing(sequence, world, joints.index("l_shoulder"), joints.index("r_shoulder")) > 0.9
