"""Label Studio's files: images, the labelling config, the flat export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from label_studio_cases import PERSON, SIZE, box, export, joint, rows, task

from logpose.core.errors import InputError
from logpose.data.files import open_people
from logpose.data.label_studio import read

# Images


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("/data/upload/3/0123abcd-a_b.png", "images/0123abcd-a_b.png"),
        ("/data/upload/3/0123abcd-a_b.png", "a_b.png"),
        ("/data/local-files/?d=set%20one/cam1/f%2B1.png", "set one/cam1/f+1.png"),
        ("/data/local-files/?d=set%20one/cam1/f%2B1.png", "images/cam1/f+1.png"),
        ("http://host.example/a/b%20c.png?sign=1#x", "b c.png"),
        ("s3://bucket/deep/er/a.png", "er/a.png"),
        ("C:\\data\\a.png", "data/a.png"),
        ("a b/c%20d.png", "a b/c%20d.png"),
    ],
)
def test_images_are_where_their_last_parts_are(tmp_path: Path, name: str, file: str) -> None:
    place = tmp_path / file
    place.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(place), np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    people = open_people(export(tmp_path, task(1, *PERSON, name=name)))
    assert [sample.image for sample in people] == [place]


def test_a_named_folder_may_have_the_files_before_their_upload(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("1.png", "0123abcd-2.png"):
        cv2.imwrite(str(tmp_path / "mine" / name), np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    people = open_people(export(tmp_path, task(1, *PERSON), task(2, *PERSON)), tmp_path / "mine")
    assert [sample.image.name for sample in people] == ["1.png", "0123abcd-2.png"]
    assert people.problems == []


# The labelling config


CONFIG = '<View><Image name="i" value="$photo"/><KeyPointLabels name="k" toName="i">{}</KeyPointLabels></View>'


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ('<Label value="tail"/><Label value="ear"/><Label value="nose"/>', ["tail", "ear", "nose"]),
        ('<Label value="tail" model_index="1"/><Label value="nose" model_index="0"/>', ["nose", "tail"]),
        ('<Label value="End" alias="tail"/>', ["tail", "nose"]),
    ],
)
def test_the_labelling_config_gives_the_order(tmp_path: Path, labels: str, order: list[str]) -> None:
    (tmp_path / "label_config.xml").write_text(CONFIG.format(labels))
    (tmp_path / "other.xml").write_text("<annotation><object/></annotation>")  # Pascal VOC's
    row = {**task(1, *PERSON), "data": {"mask": "m.png", "photo": "p.png"}}
    content = read(export(tmp_path, row))
    assert content.categories[0]["keypoints"] == order
    assert content.images[0]["file_name"] == "p.png"
    assert len(content.notes) == (order == ["tail", "nose"])


def test_without_a_config_the_order_is_alphabetical(tmp_path: Path) -> None:
    content = read(export(tmp_path, task(1, joint("tail", 1, 2), joint("ear", 3, 9), joint("nose", 5, 6))))
    assert content.categories[0]["keypoints"] == ["ear", "nose", "tail"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_config_with_a_doctype_is_refused(tmp_path: Path, encoding: str) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    view = '<View><KeyPointLabels><Label value="&b;"/></KeyPointLabels></View>'
    text = f'<?xml version="1.0" encoding="{encoding}"?>{bomb}{view}'
    (tmp_path / "config.xml").write_text(text, encoding=encoding)
    if encoding == "utf-8":
        with pytest.raises(InputError, match=r"config\.xml"):
            read(export(tmp_path, task(1, *PERSON)))
    else:  # not taken as a config
        assert read(export(tmp_path, task(1, *PERSON))).categories[0]["keypoints"] == ["nose", "tail"]


@pytest.mark.parametrize("text", ["<View><KeyPointLabels>", "<KeyPointLabels/><KeyPointLabels/>"])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.xml").write_text(text)
    with pytest.raises(InputError, match=r"config\.xml"):
        read(export(tmp_path, task(1, *PERSON)))


def test_configs_that_disagree_are_refused(tmp_path: Path) -> None:
    for name, label in (("a.xml", "nose"), ("b.xml", "tail")):
        (tmp_path / name).write_text(CONFIG.format(f'<Label value="{label}"/>'))
    with pytest.raises(InputError, match=r"a\.xml, b\.xml"):
        read(export(tmp_path, task(1, *PERSON)))


# JSON-MIN


def test_json_min_is_read(tmp_path: Path) -> None:
    def row(number: int, annotation: int, x: float, time: str) -> dict[str, Any]:
        flat = [
            item["value"] | {"original_width": 200, "original_height": 100}
            for item in (joint("nose", x, 10), joint("tail", 60, 30))
        ]
        place = box("r", 10, 5, 80, 50)["value"] | {"original_width": 200, "original_height": 100}
        times = {"updated_at": time, "created_at": "2024-01-01T00:00:00Z"}
        return {
            "id": number,
            "image": f"{number}.png",
            "kp": flat,
            "box": [place],
            "annotator": 1,
            "annotation_id": annotation,
            **times,
        }

    times = ["2024-05-02T00:00:00Z", "2024-05-01T00:00:00Z"]
    content = read(export(tmp_path, row(1, 7, 20, times[0]), row(1, 8, 30, times[1]), row(2, 9, 40, times[0])))
    assert rows(content) == [([10, 5, 80, 50], [x, 10, 2, 60, 30, 2]) for x in (20, 40)]
    assert content.counts["of other annotators"] == 1
