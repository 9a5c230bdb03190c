"""CVAT's XML for images: skeletons, points, boxes, what is wrong with them, and files that are an attack."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files, open_people
from logpose.data.label_formats import format_of

SVG = (
    '<line x1="30" y1="20" x2="40" y2="60" stroke="black" data-type="edge" data-node-from="1" stroke-width="0.5" '
    'data-node-to="2"></line>'
    '<circle r="1.5" cx="30" cy="20" data-type="element node" data-element-id="1" data-node-id="1" '
    'data-label-name="nose"></circle>'
    '<circle r="1.5" cx="40" cy="60" data-type="element node" data-element-id="2" data-node-id="2" '
    'data-label-name="tail"></circle>'
)
"""As CVAT 2 draws a skeleton."""
ESCAPED = SVG.replace("<", "&lt;").replace(">", "&gt;")
META = f"""<meta><task><id>7</id><name>mice</name><labels>
<label><name>mouse</name><color>#c06060</color><type>skeleton</type><attributes></attributes><svg>{ESCAPED}</svg></label>
<label><name>tail</name><type>points</type><attributes></attributes><parent>mouse</parent></label>
<label><name>nose</name><type>points</type><attributes></attributes><parent>mouse</parent></label>
<label><name>body</name><type>rectangle</type><attributes></attributes></label>
</labels></task><dumped>2024-01-01</dumped></meta>"""


def joint(label: str, points: str, outside: int = 0, occluded: int = 0, more: str = "") -> str:
    flags = f'outside="{outside}" occluded="{occluded}"'
    return f'<points label="{label}" source="manual" {flags} points="{points}" {more}></points>\n'


def skeleton(*joints: str, group: int | None = None, label: str = "mouse") -> str:
    own = "" if group is None else f'group_id="{group}"'
    return f'<skeleton label="{label}" source="manual" z_order="0" {own}>\n{"".join(joints)}</skeleton>\n'


def box(group: int | None = None, rotation: float | None = None, right: str = "50.00") -> str:
    own = "" if group is None else f'group_id="{group}"'
    own += "" if rotation is None else f' rotation="{rotation}"'
    return f'<box label="body" occluded="0" xtl="10.00" ytl="5.00" xbr="{right}" ybr="35.00" {own}></box>\n'


MOUSE = skeleton(joint("nose", "12.00,10.00"), joint("tail", "30.50,20.00", occluded=1))


def write(root: Path, *images: str, meta: str = META, subsets: tuple[str, ...] = (), names: str = "a b{}.png") -> Path:
    """An export with these shapes, one image each."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for i, shapes in enumerate(images):
        name, subset = names.format(i), f'subset="{subsets[i]}"' if subsets else ""
        cv2.imwrite(str(root / "images" / Path(name).with_suffix(".png")), np.zeros((40, 60, 3), np.uint8))
        rows.append(f'<image id="{i}" name="{name}" {subset} width="60" height="40">\n{shapes}</image>\n')
    file = root / "annotations.xml"
    version = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    file.write_text(version + meta + "".join(rows) + "</annotations>\n")
    return file


def people_of(file: Path, part: str | None = None, **more: object) -> CocoKeypoints:
    people = open_people(file, part=part, **more)
    assert isinstance(people, CocoKeypoints)
    return people


def test_skeletons(tmp_path: Path) -> None:
    write(tmp_path, MOUSE + skeleton(joint("nose", "22,11"), joint("tail", "0,0", outside=1), group=3) + box(3), "")
    assert annotation_files(tmp_path) == {"train": tmp_path, "val": tmp_path}
    people = people_of(tmp_path)
    assert people.skeleton.name == "mouse"
    assert people.skeleton.joints == ("tail", "nose")
    assert people.skeleton.bones == ((1, 0),)
    assert [sample.keypoints.tolist() for sample in people] == [[[30.5, 20], [12, 10]], [[0, 0], [22, 11]]]
    assert [sample.visible.tolist() for sample in people] == [[1, 2], [0, 2]]
    assert people[0].box == pytest.approx(np.array([12, 10, 18.5, 10]))
    assert people[1].box == pytest.approx(np.array([10, 5, 39, 29]))
    assert not people.problems
    images = people.whole_images()
    assert [len(images[i].people) for i in range(len(images))] == [2, 0]


def test_a_file_alone_finds_its_images(tmp_path: Path) -> None:
    assert len(people_of(write(tmp_path, MOUSE))) == 1


def test_subsets_are_parts(tmp_path: Path) -> None:
    file = write(tmp_path, MOUSE, MOUSE, MOUSE, subsets=("Train", "Validation", "Test"))
    found = {part: [sample.image.name for sample in people_of(file, part)] for part in ("train", "val")}
    assert found == {"train": ["a b0.png"], "val": ["a b1.png"]}
    assert len(people_of(file)) == 3


def test_images_of_no_part_are_counted(tmp_path: Path) -> None:
    people = people_of(write(tmp_path, MOUSE, MOUSE, MOUSE, MOUSE, subsets=("Train", "Validation", "Default", "Test")))
    assert len(people) == 4
    assert sum("1 images" in note for note in people.notes) == 1


def test_images_of_one_name_are_refused(tmp_path: Path) -> None:
    """Tasks of one project have files of one name, of which an export holds but one."""
    file = write(tmp_path, MOUSE, MOUSE, MOUSE)
    file.write_text(file.read_text().replace("a b1", "a b0"))
    people = people_of(file)
    assert [sample.image for sample in people.samples] == [tmp_path / "images" / "a b2.png"]
    assert [(problem.where.startswith(f"{file}: line "), problem.detail) for problem in people.problems] == [
        (True, "a b0.png")
    ] * 2


def test_images_of_a_project_lie_in_folders_of_their_subsets(tmp_path: Path) -> None:
    file = write(tmp_path, MOUSE, MOUSE, subsets=("Train", "Validation"))
    for i, subset in enumerate(("Train", "Validation")):
        (tmp_path / "images" / subset).mkdir()
        (tmp_path / "images" / f"a b{i}.png").rename(tmp_path / "images" / subset / f"a b{i}.png")
    assert [sample.image.parent.name for sample in people_of(file)] == ["Train", "Validation"]


def test_frames_of_a_video_have_no_suffix(tmp_path: Path) -> None:
    file = write(tmp_path, MOUSE, names="frame_00000{}")
    assert people_of(file)[0].image.name == "frame_000000.png"


def test_images_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path, MOUSE)
    (tmp_path / "images").rename(tmp_path / "mine")
    with pytest.raises(InputError, match="--images"):
        people_of(file)
    assert len(people_of(file, images=tmp_path / "mine")) == 1


def test_two_files_in_a_folder_are_two_parts(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write(tmp_path, MOUSE).rename(tmp_path / f"{name}.xml")
    assert annotation_files(tmp_path) == {part: tmp_path / f"{part}.xml" for part in ("train", "val")}


def test_without_a_description_joints_are_sorted(tmp_path: Path) -> None:
    shapes = skeleton(*(joint(name, f"{10 + i},{5 + i}") for i, name in enumerate(("p10", "p2", "p1"))))
    people = people_of(write(tmp_path, shapes, meta=""))
    assert people.skeleton.joints == ("p1", "p2", "p10")
    assert people[0].keypoints.tolist() == [[12, 7], [11, 6], [10, 5]]


def test_grouped_points(tmp_path: Path) -> None:
    group = 'group_id="{}"'.format
    shapes = (
        joint("nose", "12,10", more=group(1)) + joint("tail", "22,20", more=group(2))
        + joint("nose", "25,30", more=group(2)) + box(2) + joint("tail", "14,16", more=group(1))
    )  # fmt: skip
    people = people_of(write(tmp_path, shapes, joint("nose", "5,6") + joint("tail", "7,20") + box()))
    assert people.skeleton.joints == ("tail", "nose")
    assert [sample.keypoints.tolist() for sample in people] == [
        [[14, 16], [12, 10]], [[22, 20], [25, 30]], [[7, 20], [5, 6]]
    ]  # fmt: skip
    assert [sample.box.tolist() for sample in people][1:] == [[10, 5, 39, 29], [10, 5, 39, 29]]


def test_shapes_of_all_points(tmp_path: Path) -> None:
    """As datumaro and FiftyOne write them: joints without names, those without labels at 0, 0."""
    shapes = joint("person", "12.00,10.00;20.00,30.00;0.00,0.00", more='group_id="1"') + box(1)
    people = people_of(write(tmp_path, shapes, shapes, joint("person", "1,2;3,4"), meta=""))
    assert people.skeleton.name == "person"
    assert people.skeleton.joints == ("1", "2", "3")
    assert [sample.visible.tolist() for sample in people] == [[2, 2, 0]] * 2
    assert ["got 2" in problem.detail for problem in people.problems] == [True]


def test_a_rotated_box_is_enclosed(tmp_path: Path) -> None:
    (person,) = people_of(write(tmp_path, skeleton(joint("nose", "22,11"), group=1) + box(1, rotation=90)))
    assert person.box == pytest.approx(np.array([15, 0, 29, 39]))


def test_several_skeletons(tmp_path: Path) -> None:
    meta = META.replace("</labels>", "<label><name>rat</name><type>skeleton</type></label>"
                        "<label><name>nose</name><parent>rat</parent></label></labels>")  # fmt: skip
    rat = skeleton(joint("nose", "22,11"), label="rat", group=1) + box(1)
    file = write(tmp_path, MOUSE + rat, meta=meta)
    assert [sample.keypoints.tolist() for sample in people_of(file, category="rat")] == [[[22, 11]]]


WRONG = {
    "no point": (skeleton(joint("nose", "12,10"), joint("tail", "")), "got ''"),
    "two points": (skeleton(joint("nose", "12,10;13,11"), joint("tail", "1,2")), "12,10;13,11"),
    "a word": (skeleton(joint("nose", "12,x")), "12,x"),
    "no number": (skeleton(joint("nose", "nan,4")), "nan,4"),
    "another joint": (skeleton(joint("nose", "12,10"), joint("ear", "20,11")), "ear"),
    "twice": (skeleton(joint("nose", "12,10"), joint("nose", "20,11")), "nose"),
    "no extent": (skeleton(joint("nose", "12,10")), "one point"),
    "a box of words": (box(1, right="wide"), "xbr"),
    "two boxes": (skeleton(joint("nose", "12,10"), group=1) + box(1) + box(1), "2"),
    "outside": (skeleton(joint("nose", "912,910"), joint("tail", "950,990")), "outside the image"),
}


@pytest.mark.parametrize(("shapes", "detail"), WRONG.values(), ids=WRONG.keys())
def test_each_wrong_row_is_named(tmp_path: Path, shapes: str, detail: str) -> None:
    file = write(tmp_path, MOUSE, shapes)
    people = people_of(file)
    assert len(people) == 1
    (problem,) = people.problems
    name, _, line = problem.where.rpartition(": line ")
    assert name == str(file)
    begin = file.read_text().splitlines().index('<image id="1" name="a b1.png"  width="60" height="40">') + 1
    assert begin < int(line) <= begin + shapes.count("\n")
    assert detail in str(problem)


def test_what_has_no_joints_is_counted(tmp_path: Path) -> None:
    polygon = '<polygon label="body" points="1,2;3,4;5,6" occluded="0"></polygon>'
    people = people_of(write(tmp_path, MOUSE + polygon + box(), skeleton(joint("nose", "0,0", outside=1))))
    assert people.counts["of type polygon"] == 1
    assert people.counts["boxes of no joints"] == 1
    assert people.counts["without labelled joints"] == 1


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">' + "".join(
    f'<!ENTITY b{i} "{f"&b{i - 1 if i else str()};" * 10}">' for i in range(12)
)
HOSTILE = {
    "entities": BOMB + "]><annotations>&b11;</annotations>",
    "another file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
    "a document type elsewhere": '<!DOCTYPE annotations SYSTEM "http://127.0.0.1/a.dtd"><annotations/>',
    "an unknown entity": "<annotations>&x;</annotations>",
    "no end": "<annotations><image>",
    "another format": "<annotation><object/></annotation>",
    "tracks": '<annotations><track id="0" label="mouse"></track></annotations>',
    "nothing": "<annotations><image id='0' name='a.png' width='6' height='4'></image></annotations>",
    "no XML": "mice",
    "empty": "",
    "an encoding that is none": '<?xml version="1.0" encoding="nonsense"?><annotations/>',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_files_that_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(InputError) as error:
        people_of(tmp_path / "annotations.xml")
    assert str(error.value).count(str(tmp_path / "annotations.xml")) == 1
    assert "\n" not in str(error.value)
    assert ("DOCTYPE" in str(error.value)) == ("DOCTYPE" in text)


def test_xml_of_other_systems(tmp_path: Path) -> None:
    file = write(tmp_path, MOUSE)
    text = file.read_text()
    for data in (
        b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        text.replace("utf-8", "utf-16").encode("utf-16"),
    ):
        file.write_bytes(data)
        assert len(people_of(tmp_path)) == 1


def test_a_folder_without_such_a_file_has_another_format(tmp_path: Path) -> None:
    (tmp_path / "voc.xml").write_text("<annotation/>")
    assert format_of(tmp_path) is None


def test_an_image_whose_rows_are_all_wrong_is_not_one_without_people(tmp_path: Path) -> None:
    people = people_of(write(tmp_path, MOUSE, skeleton(joint("nose", "x")), ""))
    assert [path.name for path in people.unlabelled.values()] == ["a b2.png"]
