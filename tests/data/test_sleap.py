"""SLEAP's files, as sleap-io writes them: what a person placed is read, whatever the frames are in."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from label_runs import through_the_commands

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.files import open_people
from logpose.data.label_formats import format_of
from logpose.data.sleap import extract_frames, read

with_sleap = pytest.mark.skipif(
    importlib.util.find_spec("sleap_io") is None, reason="the extra `sleap` is not installed"
)

NODES = ["nose", "left_ear", "right_ear", "tail"]
NAN = float("nan")
POINTS = [[10, 12.5], [20, 21], [30, 8], [40, 30]]


def skeleton(name: str = "mouse") -> Any:
    import sleap_io

    return sleap_io.Skeleton([*NODES], edges=[("nose", "tail")], symmetries=[("left_ear", "right_ear")], name=name)


def instance(points: list[list[float]], kind: Any) -> Any:
    import sleap_io

    return sleap_io.Instance.from_numpy(np.array(points, dtype=float), kind)


def images(folder: Path, count: int = 4) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"img{i}.png" for i in range(count)]
    for i, file in enumerate(files):
        cv2.imwrite(str(file), np.full((48, 64, 3), (40 * i + 10, 100, 200), np.uint8))
    return [str(file) for file in files]


def saved(file: Path, video: Any, frames: dict[int, list[Any]], embed: Any = None, kind: Any = None) -> Path:
    """A file of frames, with people as arrays of points, and predictions in each."""
    import sleap_io

    kind = kind or skeleton()
    guess = np.array(POINTS, dtype=float) + 1
    labelled = []
    for number, people in frames.items():
        made = [person if hasattr(person, "points") else instance(person, kind) for person in people]
        guessed = sleap_io.PredictedInstance.from_numpy(guess, skeleton=kind, point_scores=np.ones(4), score=0.5)
        labelled.append(sleap_io.LabeledFrame(video=video, frame_idx=number, instances=[*made, guessed]))
    sleap_io.Labels(labelled).save(str(file), embed=embed, verbose=False)
    return file


def of_images(folder: Path, frames: dict[int, list[Any]], **more: Any) -> Path:
    import sleap_io

    return saved(folder / "labels.slp", sleap_io.Video.from_filename(images(folder / "frames")), frames, **more)


def row(points: list[list[float]], visible: int = 2) -> list[float]:
    return [value for x, y in points for value in ((0, 0, 0) if np.isnan(x) else (x, y, visible))]


@with_sleap
def test_instances_that_a_person_placed_are_read(tmp_path: Path) -> None:
    hidden = instance(POINTS, skeleton())
    hidden.points["visible"][3] = False
    hidden.points["xy"][2] = NAN  # visible, and nowhere
    other = [[1, 2], [NAN, NAN], [3, 9], [NAN, NAN]]
    kind = hidden.skeleton
    file = of_images(tmp_path, {0: [POINTS, other], 2: [hidden], 3: []}, kind=kind)
    assert format_of(file) == "SLEAP"
    content = read(file)
    assert [a["keypoints"] for a in content.annotations] == [row(POINTS), row(other), [*row(POINTS[:2]), *[0] * 6]]
    assert content.annotations[0]["bbox"] == [10, 8, 31, 23]
    assert [place.split(": ")[1] for place in content.places] == [
        "video 0, frame 0, instance 0", "video 0, frame 0, instance 1", "video 0, frame 2, instance 0",
    ]  # fmt: skip
    assert content.counts == {"predictions": 3, "frames without labels": 1}
    people = open_people(file)
    assert people.skeleton.joints == tuple(NODES)
    assert people.skeleton.bones == ((0, 3),)
    assert people.skeleton.pairs == ((1, 2),)
    assert [sample.image for sample in people] == [tmp_path / "frames" / f"img{i}.png" for i in (0, 0, 2)]
    assert people.problems == []


@with_sleap
def test_images_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    file = of_images(tmp_path / "a", {0: [POINTS], 1: [POINTS]})
    shutil.move(tmp_path / "a", tmp_path / "b")
    people = open_people(tmp_path / "b" / file.name)
    assert [sample.image for sample in people] == [tmp_path / "b" / "frames" / f"img{i}.png" for i in (0, 1)]
    shutil.move(tmp_path / "b" / "frames", tmp_path / "elsewhere")
    with pytest.raises(InputError):
        open_people(tmp_path / "b" / file.name)
    assert len(open_people(tmp_path / "b" / file.name, tmp_path / "elsewhere")) == 2


@with_sleap
def test_frames_of_a_package_are_written_as_images(tmp_path: Path) -> None:
    import sleap_io

    video = sleap_io.Video.from_filename(images(tmp_path / "frames"))
    file = saved(tmp_path / "labels.pkg.slp", video, {0: [POINTS], 2: [POINTS]}, embed="user")
    shutil.rmtree(tmp_path / "frames")
    with pytest.raises(InputError, match="convert-labels"):
        read(file)
    content = extract_frames(file, tmp_path / "out")
    people = CocoKeypoints(file, labels=content)
    assert [sample.image for sample in people] == [tmp_path / "out" / "video0" / f"{i:06d}.png" for i in (0, 2)]
    assert [cv2.imread(str(sample.image))[0, 0].tolist() for sample in people] == [[10, 100, 200], [90, 100, 200]]


@with_sleap
def test_frames_of_a_video_are_written_as_images(tmp_path: Path) -> None:
    import sleap_io

    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for i in range(4):
        writer.write(np.full((48, 64, 3), (0, 0, 40 * i + 10), np.uint8))
    writer.release()
    (tmp_path / "far").mkdir()
    shutil.copy(tmp_path / "a.avi", tmp_path / "far" / "a.avi")
    video = sleap_io.Video.from_filename(str(tmp_path / "far" / "a.avi"))
    file = saved(tmp_path / "labels.slp", video, {2: [POINTS], 9: [POINTS]})
    shutil.rmtree(tmp_path / "far")  # it lies beside the file, too
    with pytest.raises(InputError, match="convert-labels"):
        read(file)
    content = extract_frames(file, tmp_path / "out")
    assert [image["file_name"] for image in content.images] == ["video0/000002.png"]
    pixel = cv2.imread(str(tmp_path / "out" / "video0" / "000002.png"))[24, 32].astype(int)
    assert np.abs(pixel - [0, 0, 90]).max() <= 2
    assert [problem.where.split(": ")[1] for problem in content.problems] == ["video 0, frame 9"]
    (tmp_path / "a.avi").unlink()
    with pytest.raises(InputError, match=r"a\.avi"):
        extract_frames(file, tmp_path / "more")


@with_sleap
def test_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    import sleap_io

    video = sleap_io.Video("http://127.0.0.1:9/a.mp4", open_backend=False)
    file = saved(tmp_path / "labels.slp", video, {0: [POINTS]})

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("connected")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for reader in (read, lambda path: extract_frames(path, tmp_path / "out")):
        with pytest.raises(InputError):
            reader(file)


@with_sleap
def test_wrong_instances_are_named(tmp_path: Path) -> None:
    wrong = [[float("inf"), 2], *POINTS[1:]]
    single = [[1, 2], [NAN, NAN], [NAN, NAN], [NAN, NAN]]
    file = of_images(tmp_path, {0: [wrong, POINTS], 1: [single], 9: [POINTS]})
    people = open_people(file)
    assert [problem.where.split(": ")[1] for problem in people.problems] == [
        "video 0, frame 9", "video 0, frame 0, instance 0",
    ]  # fmt: skip
    assert people.counts["with too few labelled joints"] == 1
    assert [row["id"] for row in read(file).images] == [1]
    assert len(people) == 1


@with_sleap
def test_a_frame_that_is_labelled_twice_is_named(tmp_path: Path) -> None:
    import sleap_io

    first = sleap_io.load_slp(str(of_images(tmp_path, {0: [POINTS], 1: [POINTS]})), open_videos=False)
    first.labeled_frames[1].frame_idx = 0
    first.save(str(tmp_path / "twice.slp"), verbose=False)
    content = read(tmp_path / "twice.slp")
    assert [problem.where.split(": ")[1] for problem in content.problems] == ["video 0, frame 0"]
    assert len(content.annotations) == 1


@with_sleap
def test_a_file_of_predictions_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.slp"):
        read(of_images(tmp_path, {0: [], 1: []}))


@with_sleap
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    file = of_images(tmp_path, {0: [POINTS]})
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"labels\.slp"):
        read(file)


@with_sleap
@pytest.mark.parametrize("kind", ["link", "large", "pickle"])
def test_hostile_files_are_refused(tmp_path: Path, kind: str) -> None:
    import pickle

    import h5py

    file = of_images(tmp_path, {0: [POINTS]})
    other = shutil.copy(file, tmp_path / "other.slp")
    with h5py.File(file, "r+") as opened:
        points = opened["points"][...]
        del opened["points"]
        if kind == "link":
            opened["points"] = h5py.ExternalLink(other, "/points")
        elif kind == "large":
            opened.create_dataset("points", (10**12,), points.dtype, chunks=(1000,))
        else:
            data = opened.create_dataset("points", (1,), h5py.vlen_dtype(np.uint8))
            data[0] = np.frombuffer(pickle.dumps(print), np.uint8)
    with pytest.raises(InputError, match=r"labels\.slp"):
        read(file)


def test_without_sleap_io_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "labels.slp"
    file.write_bytes(b"\x89HDF\r\n\x1a\nrest")
    assert format_of(file) == "SLEAP"
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    with pytest.raises(InputError, match=r"\[sleap\]"):
        read(file)


def test_other_files_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.slp").write_text("text")
    assert format_of(tmp_path / "a.slp") is None


@with_sleap
@pytest.mark.parametrize("to", ["coco", "label-studio"])
def test_a_package_is_converted(command, tmp_path: Path, to: str) -> None:
    import sleap_io

    video = sleap_io.Video.from_filename(images(tmp_path / "frames"))
    file = saved(tmp_path / "labels.pkg.slp", video, {0: [POINTS, POINTS], 2: [POINTS]}, embed="user")
    shutil.rmtree(tmp_path / "frames")
    code, _, err = command("convert-labels", file, tmp_path / "out", "--to", to)
    assert code == 0, err
    (labels,) = tmp_path.joinpath("out").rglob("*.json")
    people = open_people(labels)
    assert [sample.keypoints.tolist() for sample in people] == [POINTS] * 3
    assert people.skeleton.joints == tuple(NODES)
    assert {cv2.imread(str(sample.image))[0, 0].tolist()[0] for sample in people} == {10, 90}


@with_sleap
def test_the_commands_take_a_file(command, thin_resnets: None, tmp_path: Path) -> None:
    import sleap_io

    video = sleap_io.Video.from_filename(images(tmp_path / "frames", 12))
    file = saved(tmp_path / "labels.slp", video, {i: [POINTS] for i in range(12)})
    assert through_the_commands(command, file, tmp_path / "out") == (12, NODES, 1)
