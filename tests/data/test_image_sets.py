"""Images of a data set: everybody in them, crowds, and images in which nobody is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from logpose.core.skeletons import COCO
from logpose.data.coco import CocoKeypoints
from logpose.data.crops import InMemory
from logpose.data.image_sets import whole_images
from logpose.data.scenes import ShortSide, scene
from logpose.data.synthetic import SyntheticPeople


def test_whole_images_a_crowd_file_have_everybody_and_nobody(crowd_file):
    images = whole_images(CocoKeypoints(crowd_file))
    found = {images[i].image_id: images[i] for i in range(len(images))}
    assert sorted(found) == [1, 2, 3]
    assert [who.id for who in found[1].people] == [1, 2]
    assert [crowd.area for crowd in found[1].ignored] == [123.0]
    assert [tuple(who.box) for who in found[2].people] == [(5, 5, 10, 12)]
    assert not found[2].people[0].visible.any()
    assert not found[2].ignored
    assert not found[3].people
    assert not found[3].ignored


def test_people_whose_labels_are_wrong_are_neither_found_nor_missed(crowd_file):
    """They are there: who learns that nobody is, learns something false."""
    content = json.loads(crowd_file.read_text())
    content["annotations"][1]["keypoints"][2] = 7
    content["annotations"][3] |= {"keypoints": [1, 2], "bbox": [5, 5, 0, 12]}  # nor is there a box
    crowd_file.write_text(json.dumps(content))
    people = CocoKeypoints(crowd_file)
    assert len(people.problems) == 2
    images = whole_images(people)
    found = {images[i].image_id: images[i] for i in range(len(images))}
    assert [who.id for who in found[1].people] == [1]
    assert [tuple(who.box) for who in found[1].ignored] == [(0, 0, 30, 10), (10, 6, 20, 22)]
    assert not found[2].people
    assert not found[2].ignored


@pytest.mark.parametrize("mirrored", [False, True])
def test_boxes_of_a_file_become_edges(crowd_file, mirrored):
    """Of labelled people, of others and of crowds alike: enlarged twice, and mirrored, they end where they should."""
    content = json.loads(crowd_file.read_text())
    for row in content["annotations"]:
        row |= {"bbox": [4, 6, 20, 22], "image_id": 1}
    content["annotations"][3]["bbox"] = [40, 30, 20, 22]  # beyond the image's corner
    crowd_file.write_text(json.dumps(content))
    images = whole_images(CocoKeypoints(crowd_file))
    image = next(images[i] for i in range(3) if images[i].image_id == 1)
    way = ShortSide((80,), 200, flip=float(mirrored))
    batch = scene(image, COCO, way, rng=np.random.default_rng(0))
    people = batch.people[0]
    edges = np.array([8, 12, 48, 56.0])
    corner = np.array([80, 60, 96, 80.0])
    if mirrored:
        edges[[0, 2]], corner[[0, 2]] = 96 - edges[[2, 0]], 96 - corner[[2, 0]]
    assert np.allclose(people.boxes, [edges, edges, corner], atol=1e-4)
    assert np.allclose(people.ignored, [edges], atol=1e-4)


@pytest.mark.parametrize(
    "box", [[10, 10, -5, 8], [float("nan"), 10, 8, 8], [1e9, 1, 8, 8], [-1e7, -1e7, 3e7, 3e7], [60, 10, 8, 8], None]
)
def test_somebody_without_labels_is_nobody_where_the_box_is_none(crowd_file, box):
    content = json.loads(crowd_file.read_text())
    content["annotations"][3]["bbox"] = box
    crowd_file.write_text(json.dumps(content))
    people = CocoKeypoints(crowd_file)
    assert not people.problems  # of crops there is nothing to be learned of them anyway
    images = whole_images(people)
    found = {images[i].image_id: images[i] for i in range(len(images))}
    assert not found[2].people
    assert not found[2].ignored
    (problem,) = images.problems
    assert str(problem).startswith(f"{crowd_file}: image id 2: bbox of a person without labels is not valid")


def test_images_of_nobody_that_cannot_be_read_are_left_out_and_named(crowd_file):
    (crowd_file.parent / "3.png").write_bytes((crowd_file.parent / "3.png").read_bytes()[:40])
    images = whole_images(CocoKeypoints(crowd_file))
    assert [images[i].image_id for i in range(len(images))] == [1, 2]
    (problem,) = images.problems
    assert str(problem).startswith(f"{crowd_file}: image id 3: truncated image")
    (crowd_file.parent / "3.png").unlink()
    assert "no such file" in str(whole_images(CocoKeypoints(crowd_file)).problems[0])


def test_whole_images_synthetic_people_have_all_of_a_scene():
    people = SyntheticPeople(3, seed=4, size=(64, 64), people=(2, 3))
    images = whole_images(people)
    for i in range(3):
        drawn, image = people.scene(i), images[i]
        assert image.image_id == i + 1
        assert len(image.people) == len(drawn.people)
        for sample, who in zip(image.people, drawn.people, strict=True):
            assert (sample.keypoints == who.keypoints).all()
            assert (sample.box == who.box).all()
        assert images[i] is image  # it is drawn once


def test_whole_images_of_other_people_keep_their_ids():
    people = InMemory(SyntheticPeople(3, seed=4, size=(64, 64), people=(1, 1)), [0, 2, 2])
    images = whole_images(people)
    assert [(images[i].image_id, len(images[i].people)) for i in range(len(images))] == [(1, 1), (3, 2)]
    assert not images[0].ignored
