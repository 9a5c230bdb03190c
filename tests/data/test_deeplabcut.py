"""DeepLabCut's projects: labels are read as they stand, and only one scorer's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from deeplabcut_cases import names, project, table
from label_runs import through_the_commands

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.deeplabcut import read
from logpose.data.files import annotation_files, open_people
from logpose.data.label_formats import format_of

ONE = {("", "tail"): [(30, 20.5), (31, 21), (None, None)], ("", "nose"): [(10, 12), (None, None), (12, 14)]}
THREE = {("", "tail"): [(30, 20.5), (31, 21), (32, 22)], ("", "nose"): [(10, 12), (11, 13), (12, 14)]}


def keypoints(people: CocoKeypoints) -> list[list[float]]:
    return [[*map(float, sample.keypoints.ravel())] for sample in people]


@pytest.mark.parametrize("split", [True, False])
def test_a_project_a_folder_and_a_table_have_the_same_labels(tmp_path: Path, split: bool) -> None:
    file = project(tmp_path, table(THREE, names(3), split=split))
    (tmp_path / "config.yaml").write_text(
        "Task: mice\nscorer: ann\nbodyparts:\n- nose\n- tail\n- ear\nskeleton:\n- - nose\n  - tail\n"
    )
    expected = [[10, 12, 30, 20.5], [11, 13, 31, 21], [12, 14, 32, 22]]
    for place in (tmp_path, tmp_path / "labeled-data", file.parent, file):
        assert format_of(place) == "DeepLabCut"
        assert annotation_files(place) == {"train": place, "val": place}
        people = open_people(place)
        assert people.skeleton.joints == ("nose", "tail")
        assert people.skeleton.bones == ((0, 1),)
        assert keypoints(people) == expected
        assert [sample.image for sample in people] == [file.parent / f"img{i}.png" for i in range(3)]
        assert people.problems == []
        assert people[0].box.tolist() == [10, 12, 20, 8.5]


def test_what_is_not_labelled_is_not_learned(tmp_path: Path) -> None:
    content = read(project(tmp_path, table(ONE, names(3))))
    assert [row["keypoints"] for row in content.annotations] == [[30, 20.5, 2, 10, 12, 2]]
    assert content.counts["with too few labelled joints"] == 2
    assert [row["file_name"] for row in content.images] == ["labeled-data/v/img0.png"]
    empty = {("", "tail"): [(1, 2), (None, None)], ("", "nose"): [(3, 9), (None, None)]}
    content = read(project(tmp_path, table(empty, names(2))))
    assert content.counts["images without labels"] == 1
    assert [row["file_name"] for row in content.images] == ["labeled-data/v/img0.png"]  # none is taken as empty


def test_several_animals(tmp_path: Path) -> None:
    points = {
        ("m1", "nose"): [(10, 12), (None, None)], ("m1", "tail"): [(30, 20), (None, None)],
        ("m2", "nose"): [(40, 12), (41, 13)], ("m2", "tail"): [(50, 30), (51, 31)],
        ("single", "lamp"): [(5, 6), (5, 6)], ("single", "door"): [(60, 40), (60, 40)],
    }  # fmt: skip
    file = project(tmp_path, table(points, names(2)), images=2)
    (tmp_path / "config.yaml").write_text(
        "multianimalproject: true\nbodyparts: MULTI!\nmultianimalbodyparts: [tail, nose]\nskeleton: []\n"
    )
    people = open_people(tmp_path, category="animal")
    assert people.skeleton.joints == ("tail", "nose")
    assert keypoints(people) == [[30, 20, 10, 12], [50, 30, 40, 12], [51, 31, 41, 13]]
    assert [sample.image_id for sample in people] == [1, 1, 2]
    things = open_people(file, category="single")
    assert things.skeleton.joints == ("lamp", "door")
    assert len(things) == 2
    assert [place.split(": ")[-1] for place in read(file).places][:3] == ["line 5, m1", "line 5, m2", "line 5, single"]


@pytest.mark.parametrize("quotes", ["", '"'])
def test_windows_files_are_read(tmp_path: Path, quotes: str) -> None:
    text = table(THREE, [name.replace("/", "\\") for name in names(3)], split=False).replace("\n", "\r\n")
    file = project(tmp_path, "")
    text = text.replace("scorer", f"{quotes}scorer{quotes}")
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert format_of(file) == "DeepLabCut"
    people = open_people(file)
    assert len(people) == 3
    assert people.problems == []
    assert [row["file_name"] for row in read(file).images] == names(3)


def test_images_lie_beside_a_table_that_was_copied(tmp_path: Path) -> None:
    file = project(tmp_path / "project", table(THREE, names(3)))
    shutil.copytree(file.parent, tmp_path / "copy")
    people = open_people(tmp_path / "copy")
    assert [sample.image for sample in people] == [tmp_path / "copy" / f"img{i}.png" for i in range(3)]
    (tmp_path / "alone").mkdir()
    alone = shutil.copy(file, tmp_path / "alone")
    with pytest.raises(InputError):
        open_people(alone)
    assert len(open_people(alone, file.parent)) == 3


def test_images_that_are_missing_are_named(tmp_path: Path) -> None:
    file = project(tmp_path, table(THREE, names(3)), images=2)
    people = open_people(file)
    assert [problem.kind for problem in people.problems] == ["no such file"]
    assert "img2.png" in people.problems[0].detail


def test_one_scorer_of_a_video_is_taken(tmp_path: Path) -> None:
    project(tmp_path, table(THREE, names(3)))
    other = {point: [(x + 1, y) for x, y in rows] for point, rows in THREE.items()}
    project(tmp_path, table(other, names(3), scorer="bob"), scorer="bob")
    with pytest.raises(InputError, match="ann, bob"):
        read(tmp_path)
    (tmp_path / "config.yaml").write_text("scorer: bob\n")
    content = read(tmp_path)
    assert [row["keypoints"][0] for row in content.annotations] == [31, 32, 33]
    assert content.counts["of other annotators"] == 3


def test_videos_are_one_data_set(tmp_path: Path) -> None:
    project(tmp_path, table(THREE, names(3)))
    swapped = {("", "nose"): [(1, 2)], ("", "ear"): [(20, 30)]}
    project(tmp_path, table(swapped, names(1, "w")), video="w", images=1)
    people = open_people(tmp_path)
    assert people.skeleton.joints == ("tail", "nose", "ear")
    assert keypoints(people)[-1] == [0, 0, 1, 2, 20, 30]
    assert [sample.image_id for sample in people] == [1, 2, 3, 4]


def test_bones_of_unknown_body_parts_are_left_out_and_said(tmp_path: Path) -> None:
    project(tmp_path, table(THREE, names(3)))
    (tmp_path / "config.yaml").write_text("skeleton: [[nose, tail], [bodypart1, bodypart2], 3, [[nose], tail]]\n")
    content = read(tmp_path)
    assert content.categories[0]["skeleton"] == [["nose", "tail"]]
    assert ["bodypart1, bodypart2" in note for note in content.notes] == [True]


def test_a_skeleton_that_is_no_list_is_passed_over(tmp_path: Path) -> None:
    project(tmp_path, table(THREE, names(3)))
    (tmp_path / "config.yaml").write_text("skeleton: 5\n")
    assert read(tmp_path).categories[0]["skeleton"] == []


@pytest.mark.parametrize("text", ["a: [", "- 1", "x: !!python/object/apply:os.system ['touch hacked']", "[" * 2000])
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    project(tmp_path, table(THREE, names(3)))
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml"):
        read(tmp_path)


def test_wrong_points_are_named_by_their_row(tmp_path: Path) -> None:
    wrong = {("", "tail"): [("inf", 20), (31, 21), (-5, 22)], ("", "nose"): [(10, 12), (1e9, 13), (12, 14)]}
    people = open_people(project(tmp_path, table(wrong, names(3))))
    assert [problem.where.split(": ")[-1] for problem in people.problems] == ["line 4", "line 5"]
    assert keypoints(people) == [[-5, 22, 12, 14]]


def test_a_table_without_labels_is_refused(tmp_path: Path) -> None:
    none = {("", "tail"): [(None, None)], ("", "nose"): [(None, None)]}
    with pytest.raises(InputError, match=r"CollectedData_ann\.csv"):
        read(project(tmp_path, table(none, names(1))))


def test_other_files_are_not_taken(tmp_path: Path) -> None:
    for name, text in (("a.csv", "column,ILM,RPE\n0,1,2\n"), ("b.csv", ""), ("c.h5", "scorer")):
        (tmp_path / name).write_text(text)
        assert format_of(tmp_path / name) is None
    assert format_of(tmp_path) is None
    (tmp_path / "CollectedData_x.h5").write_text("scorer")
    assert format_of(tmp_path / "CollectedData_x.h5") is None


def test_the_commands_take_a_project(command, thin_resnets: None, tmp_path: Path) -> None:
    points = {("", part): [(10 + 20 * n + i, 8 + 9 * n) for i in range(12)] for n, part in enumerate(("nose", "tail"))}
    project(tmp_path / "data", table(points, names(12)), images=12)
    assert through_the_commands(command, tmp_path / "data", tmp_path / "run") == (12, ["nose", "tail"], 1)
