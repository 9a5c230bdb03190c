"""Files of keypoints: three forms, other people's joints, sizes of images, and what is wrong named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M_LIFTING, HUMANEVA, MPII
from logpose.data.keypoint_files import read_keypoints
from logpose.data.pose_tables import KEPT

RNG = np.random.default_rng(0)
POSE = RNG.uniform([100, 80], [300, 400], (17, 2)).round(2)
IMAGES = [{"id": 4, "file_name": "a.jpg", "width": 640, "height": 480}]
CATEGORY = {"id": 1, "name": "person", "keypoints": list(COCO.joints)}


def triplets(pose: np.ndarray, flag: float = 2) -> list[float]:
    return np.column_stack([pose, np.full(len(pose), flag)]).ravel().tolist()


def row(**changes: Any) -> dict[str, Any]:
    return {"image_id": 4, "category_id": 1, "keypoints": triplets(POSE), **changes}


def written(folder: Path, content: Any) -> Path:
    (file := folder / "found.json").write_text(json.dumps(content))
    return file


def annotations(folder: Path, rows: list[Any], images: Any = IMAGES, category: Any = CATEGORY) -> Path:
    return written(folder, {"images": images, "annotations": rows, "categories": [category, {"id": 2, "name": "cup"}]})


def archive(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "found.npz", **arrays)
    return folder / "found.npz"


def boxed(value: Any) -> np.ndarray:
    """An array of one object, which its pickle holds as it is."""
    (box := np.empty((), dtype=object))[()] = value
    return box


def expected(pose: np.ndarray = POSE) -> np.ndarray:
    """Human3.6M's joints of COCO's."""
    hips, shoulders = pose[[11, 12]].mean(axis=0), pose[[5, 6]].mean(axis=0)
    middle = [(hips + shoulders) / 2, shoulders, pose[0], pose[[1, 2]].mean(axis=0)]
    return np.array([hips, *pose[[12, 14, 16, 11, 13, 15]], *middle, *pose[[5, 7, 9, 6, 8, 10]]])


def test_annotations_of_coco_s_joints(tmp_path: Path) -> None:
    far = POSE.copy()
    far[3] = np.nan  # of a joint that Human3.6M does not have
    unlabelled = triplets(POSE)
    unlabelled[3 * 15 + 2] = 0
    rows = [row(), row(keypoints=triplets(far)), row(keypoints=unlabelled), row(iscrowd=1), {"category_id": 2}]
    found = read_keypoints(annotations(tmp_path, rows), H36M_LIFTING)
    assert [(s.name, s.size, s.image_id, len(s)) for s in found.sequences] == [
        ("annotation 0", (480, 640), 4, 1),
        ("annotation 1", (480, 640), 4, 1),
    ]
    for sequence in found.sequences:
        np.testing.assert_allclose(sequence.keypoints[0], expected())
    assert [str(problem).removeprefix(str(tmp_path)) for problem in found.problems] == [
        "/found.json: annotation 2: a required joint is not labelled (left_ankle)"
    ]
    assert found.derived["pelvis"] == "left_hip and right_hip"
    assert set(found.derived) == {"pelvis", "torso", "neck", "head"}


def test_annotations_of_the_model_s_own_joints_in_any_order(tmp_path: Path) -> None:
    order = RNG.permutation(15)
    category = {"id": 1, "name": "person", "keypoints": [HUMANEVA.joints[i] for i in order]}
    file = annotations(tmp_path, [row(keypoints=triplets(POSE[:15][order]))], category=category)
    np.testing.assert_allclose(read_keypoints(file, HUMANEVA).sequences[0].keypoints[0], POSE[:15])


def test_results_say_neither_joints_nor_sizes(tmp_path: Path) -> None:
    results = [row(keypoints=triplets(POSE, 0.0), score=0.5), row(image_id="walk_3")]
    file = written(tmp_path, results)
    with pytest.raises(InputError, match=r"found\.json: 17 joints.*--skeleton model or"):
        read_keypoints(file, H36M_LIFTING, (480, 640))
    with pytest.raises(InputError, match=r"found\.json.*--picture"):
        read_keypoints(file, H36M_LIFTING, layout="coco")
    found = read_keypoints(file, H36M_LIFTING, (480, 640), "coco").sequences
    assert [(s.name, s.image_id, s.size) for s in found] == [("row 0", 4, (480, 640)), ("row 1", "walk_3", (480, 640))]
    np.testing.assert_allclose(found[1].keypoints[0], expected())
    np.testing.assert_allclose(read_keypoints(file, H36M_LIFTING, (480, 640), "model").sequences[0].keypoints[0], POSE)
    # HumanEva's 15 are not 17, so they are COCO's; HumanEva's head is taken to be between the eyes.
    np.testing.assert_allclose(
        read_keypoints(file, HUMANEVA, (480, 640)).sequences[0].keypoints[0, [0, 1, 14]], expected()[[0, 8, 10]]
    )
    file = written(tmp_path, [row(keypoints=triplets(POSE[:15]))])
    np.testing.assert_allclose(read_keypoints(file, HUMANEVA, (480, 640)).sequences[0].keypoints[0], POSE[:15])


@pytest.mark.parametrize(
    ("content", "report"),
    [
        ([row(), {"keypoints": triplets(POSE)}], "row 1: needs image_id"),
        ([row(), row(keypoints=None)], "row 1: needs keypoints"),
        ([row(), row(keypoints=[1.0, 2])], "row 1: keypoints has 2 numbers"),
        ([row(), row(keypoints=triplets(POSE[:15]))], "row 1: keypoints has 45 numbers"),
        ([row(), row(keypoints=["a"] * 51)], "row 1: keypoints"),
        ([row(), row(keypoints=[10**400] * 51)], "row 1: keypoints"),
        ([row(), row(keypoints=[float("nan")] * 51)], "row 1: keypoints"),
        ([row(), row(keypoints=[1e9] * 51)], r"row 1: keypoints .*1e\+06"),
        ([row(keypoints=triplets(POSE[:11]))], "11 joints"),
        ([row(keypoints=triplets(POSE / 500))], "640 pixels wide and 480 high"),
        ([row(keypoints=triplets(POSE + 900))], "not pixels"),
        ([], r"\.json"),
        ({"images": []}, "COCO"),
        (3, "COCO"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_json_is_named(tmp_path: Path, content: Any, report: str) -> None:
    layout = "coco" if isinstance(content, list) and content and len(content[0]["keypoints"]) == 51 else None
    with pytest.raises(InputError, match=report) as refused:
        read_keypoints(written(tmp_path, content), H36M_LIFTING, (480, 640), layout)
    assert "found.json" in str(refused.value)


def test_what_is_wrong_with_annotations_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"annotation 0.*image_id"):
        read_keypoints(annotations(tmp_path, [row(image_id=9)]), H36M_LIFTING)
    with pytest.raises(InputError, match=r"image 0.*id"):
        read_keypoints(annotations(tmp_path, [row()], images=[{"id": "4"}]), H36M_LIFTING)
    with pytest.raises(InputError, match=r"category.*0"):
        read_keypoints(annotations(tmp_path, [row()], category={"id": 1}), H36M_LIFTING)
    mpii = {"id": 1, "name": "person", "keypoints": list(MPII.joints)}
    with pytest.raises(InputError, match=r"found\.json.*nose.*16 joints"):
        read_keypoints(annotations(tmp_path, [row()], category=mpii), H36M_LIFTING)
    unlabelled = annotations(tmp_path, [row(keypoints=triplets(POSE, 0))] * 2)
    with pytest.raises(InputError, match=r"the first of 2 left out: .*annotation 0: a required joint"):
        read_keypoints(unlabelled, H36M_LIFTING)
    sizes = [{"id": 4, "file_name": "a.jpg", "width": -1, "height": 480}]
    file = annotations(tmp_path, [row()], images=sizes)
    with pytest.raises(InputError, match="--picture"):
        read_keypoints(file, H36M_LIFTING)
    assert read_keypoints(file, H36M_LIFTING, (500, 600)).sequences[0].size == (500, 600)


def test_archives_of_frames(tmp_path: Path) -> None:
    video = POSE + RNG.normal(0, 2, (6, 17, 2))
    file = archive(tmp_path, keypoints=video.astype(np.float32), size=np.array([480, 640]))
    (sequence,) = read_keypoints(file, H36M_LIFTING, layout="model").sequences
    assert (sequence.name, sequence.size, len(sequence)) == ("keypoints", (480, 640), 6)
    np.testing.assert_allclose(sequence.keypoints, video, rtol=1e-6)
    (sequence,) = read_keypoints(file, H36M_LIFTING, layout="coco").sequences
    np.testing.assert_allclose(sequence.keypoints, np.stack([expected(pose) for pose in video]), rtol=1e-6)
    np.testing.assert_allclose(
        read_keypoints(file, HUMANEVA, layout="coco").sequences[0].keypoints[:, 0], video[:, 11:13].mean(1), rtol=1e-6
    )
    file = archive(tmp_path, keypoints=video[:, :15], size=np.array([[480.0], [640.0]]))
    (sequence,) = read_keypoints(file, HUMANEVA).sequences
    assert sequence.size == (480, 640)
    np.testing.assert_allclose(sequence.keypoints, video[:, :15])
    without = archive(tmp_path, keypoints=video)
    assert read_keypoints(without, H36M_LIFTING, (400, 600), "model").sequences[0].size == (400, 600)


def test_seventeen_joints_of_an_archive_may_be_two_data_sets_own(tmp_path: Path) -> None:
    frames = archive(tmp_path, keypoints=POSE[None], size=np.array([480, 640]))
    with pytest.raises(InputError, match=r"17 joints.*give --skeleton model or --skeleton coco"):
        read_keypoints(frames, H36M_LIFTING)
    with pytest.raises(InputError, match=r"17 joints.*give --skeleton coco or --skeleton h36m"):
        read_keypoints(frames, HUMANEVA)
    views = archive(tmp_path, positions_2d={"S1": {"Walk": [POSE[None]]}})
    with pytest.raises(InputError, match=r"17 joints.*give --skeleton model or --skeleton coco"):
        read_keypoints(views, H36M_LIFTING)
    sides = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"num_joints": np.array([17, 17]), "keypoints_symmetry": sides}
    views = archive(tmp_path, positions_2d={"S1": {"Walk": [POSE[None]]}}, metadata=metadata)
    np.testing.assert_array_equal(read_keypoints(views, H36M_LIFTING).sequences[0].keypoints[0], POSE)
    every = RNG.uniform(100, 900, (1, 32, 2))
    views = archive(tmp_path, positions_2d={"S1": {"Walk": every[None]}})
    (sequence,) = read_keypoints(views, H36M_LIFTING).sequences
    np.testing.assert_array_equal(sequence.keypoints, every[:, list(KEPT)])


def test_joints_that_were_not_found_are_missing(tmp_path: Path) -> None:
    part, face = triplets(POSE), triplets(POSE)
    part[3 * 15 : 3 * 16], face[3 * 3 : 3 * 4] = [0, 0, 0], [0, 0, 0]  # an ankle; an ear, which no one needs
    file = written(tmp_path, [row(keypoints=part), row(keypoints=face)])
    found = read_keypoints(file, H36M_LIFTING, (480, 640), "coco")
    assert [sequence.name for sequence in found.sequences] == ["row 1"]
    assert [str(problem).removeprefix(str(tmp_path)) for problem in found.problems] == [
        "/found.json: row 0: a required joint is not detected (left_ankle)"
    ]


@pytest.mark.parametrize(
    ("arrays", "report"),
    [
        ({"keypoints": POSE}, "got 17×2"),
        ({"keypoints": np.full((2, 17, 2), np.nan)}, "2 of 2 frames, first in frame 0"),
        ({"keypoints": np.full((2, 17, 2), 1e9)}, r"1e\+06"),
        ({"keypoints": np.zeros((0, 17, 2))}, "got 0×17×2"),
        ({"keypoints": POSE[None]}, "--picture"),
        ({"keypoints": POSE[None], "size": np.array([480])}, "size must"),
        ({"keypoints": POSE[None], "size": np.array([480, 0.5])}, "size must"),
        ({"keypoints": POSE[None], "size": np.array([480, np.inf])}, "size must"),
        ({"keypoints": POSE[None], "size": boxed(["480", "640"])}, "size must"),
        ({"keypoints": POSE[None], "size": boxed([[480], [640, 1]])}, "size must"),
        ({"keypoints": POSE[None], "size": boxed("480 640")}, "size must"),
        ({"positions_2d": {"S1": {"Walk": np.array(3.0)}}}, "S1, Walk: "),
        ({"positions_2d": {"S1": {"Walk": np.zeros(9)}}}, "S1, Walk: "),
        ({"positions_2d": {"S1": {"Walk": np.zeros((10**15, 0, 17, 2))}}}, "S1, Walk: "),
        ({"positions_2d": {"S1": {"Walk": [POSE[None]]}}, "metadata": {"keypoints_symmetry": [[np.inf], [1]]}},
         "keypoints_symmetry"),
        ({"positions_3d": POSE}, "`positions_2d`, got positions_3d"),
        ({"positions_2d": POSE}, "positions_2d"),
        ({"positions_2d": {"S1": {"Walk": 3}}}, "S1, Walk: "),
        ({"positions_2d": {"S1": {"Walk": [POSE]}}}, "the first of 1 left out: .*S1, Walk, cam"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_archive_is_named(tmp_path: Path, arrays: dict[str, Any], report: str) -> None:
    with pytest.raises(InputError, match=report) as refused:
        read_keypoints(archive(tmp_path, **arrays), H36M_LIFTING, layout="model")
    assert "found.npz" in str(refused.value)


def test_views_of_videopose3d(tmp_path: Path, lifting_files: tuple[Path, Path]) -> None:
    found = read_keypoints(lifting_files[1], HUMANEVA)
    assert [(s.name, len(s)) for s in found.sequences][:3] == [
        ("Train/P1, Walk 1, camera 0", 12),
        ("Train/P1, Walk 1, camera 1", 12),
        ("Val/P1, Walk 1, camera 0", 7),
    ]
    assert {s.size for s in found.sequences} == {(480, 640)}  # HumanEva's
    assert not found.derived
    views = [np.tile(POSE, (4, 1, 1)), np.full((4, 17, 2), np.nan)]
    file = archive(tmp_path, positions_2d={"S1": {"Walk": views}})
    found = read_keypoints(file, H36M_LIFTING, layout="model")
    assert [(s.name, s.size) for s in found.sequences] == [("S1, Walk, camera 0", (1000, 1000))]
    assert ["S1, Walk, camera 1" in problem.where for problem in found.problems] == [True]


def test_videos_of_one_s_own_with_coco_s_joints(tmp_path: Path) -> None:
    """What VideoPose3D's preparation of other videos writes: COCO's left and right, and sizes by the video's name."""
    left, right = [1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [left, right]}
    views = {"walk.mp4": {"custom": [np.tile(POSE, (4, 1, 1))]}}
    sized = {**metadata, "video_metadata": {"walk.mp4": {"w": 640, "h": 480}}}
    (sequence,) = read_keypoints(archive(tmp_path, positions_2d=views, metadata=sized), H36M_LIFTING).sequences
    assert sequence.size == (480, 640)
    np.testing.assert_allclose(sequence.keypoints[2], expected())
    file = archive(tmp_path, positions_2d=views, metadata=metadata)
    with pytest.raises(InputError, match="--picture"):
        read_keypoints(file, H36M_LIFTING)
    assert read_keypoints(file, H36M_LIFTING, (700, 700)).sequences[0].size == (700, 700)
    with pytest.raises(InputError, match=r"17 joints.*--skeleton mpii"):
        read_keypoints(file, H36M_LIFTING, (700, 700), "mpii")
    wrong = archive(tmp_path, positions_2d=views, metadata={**metadata, "keypoints_symmetry": [[1], [2, 3]]})
    with pytest.raises(InputError, match="keypoints_symmetry"):
        read_keypoints(wrong, H36M_LIFTING)


def test_whose_joints_they_are_by_their_number_is_reported(tmp_path: Path) -> None:
    sixteen = POSE[:16][None]
    file = archive(tmp_path, keypoints=sixteen, size=np.array([480, 640]))
    assert read_keypoints(file, HUMANEVA).guessed == "mpii"
    assert read_keypoints(file, HUMANEVA, layout="mpii").guessed is None
    views = archive(tmp_path, positions_2d={"S1": {"Walk": [sixteen]}})
    assert read_keypoints(views, HUMANEVA, (480, 640)).guessed == "mpii"
    results = written(tmp_path, [row(keypoints=triplets(POSE[:16]))])
    assert read_keypoints(results, HUMANEVA, (480, 640)).guessed == "mpii"
    own = archive(tmp_path, keypoints=POSE[None, :15], size=np.array([480, 640]))
    assert read_keypoints(own, HUMANEVA).guessed is None
    assert read_keypoints(annotations(tmp_path, [row()]), H36M_LIFTING).guessed is None


def test_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    for path, report in (
        (tmp_path, "a folder"),
        (tmp_path / "photo.jpg", r"photo\.jpg"),
        (tmp_path / "no.jpg", r"no\.jpg: no such file"),
        (tmp_path / "no.json", "no such file"),
        (tmp_path / "no.npz", "no such file"),
    ):
        with pytest.raises(InputError, match=report):
            read_keypoints(path, HUMANEVA)
    with pytest.raises(InputError, match="0 and 5"):
        read_keypoints(written(tmp_path, [row()]), HUMANEVA, (0, 5))
