"""Which labelled image a name means."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import AnyImages, LabelledImages, parts_of_path

SKELETON = Skeleton("hand", ("wrist", "thumb"))


def test_images_are_known_by_the_ends_of_their_paths(tmp_path):
    there = tmp_path / "train" / "three.jpg"
    there.parent.mkdir()
    there.write_bytes(b"")
    names = {1: "/data/a/one.jpg", 2: "/data/b/one.jpg", 3: str(there), 4: "/data/a/four.jpg"}
    find = LabelledImages(Path("labels.json"), SKELETON, names, {}).find
    assert find("a/one.jpg") == 1
    assert find("b\\one.jpg") == 2
    assert find("/home/me/data/b/one.jpg") == 2
    assert find("one.jpg") is None, "there are two"
    assert find("three.jpg") == find(f"{there.parent.name}/three.jpg") == 3
    assert find("test/three.jpg") is None, "the labelled one is in another folder"
    assert find("elsewhere/four.jpg") == 4, "nobody knows the folder of a file that is not there"
    assert find("five.jpg") is None
    labels = LabelledImages(Path("labels.json"), SKELETON, names, {})
    assert (labels.find_stem("four"), labels.find_stem("one"), labels.find_stem("five")) == (4, None, None)


def test_images_without_labels_are_numbered_as_they_are_met(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 40, 3), np.uint8))
    images = AnyImages(Path("results.json"), SKELETON, folder=tmp_path)
    first, second = (images.image_of({"file_name": name}, "row 0") for name in ("x/1.jpg", "x/2.jpg"))
    assert images.image_of({"image_id": "x/1.jpg"}, "row 2") == first != second
    assert images.image_of({"image_id": 7, "file_name": "x/3.jpg"}, "row 3") == 7
    assert (images.names[second], images.names[7]) == ("x/2.jpg", "x/3.jpg")
    assert images.size_of(images.find_stem("a"), "a.txt") == (40, 30)
    with pytest.raises(InputError, match="row 4: needs file_name"):
        images.image_of({"image_id": 1.5}, "row 4")
    with pytest.raises(InputError, match="0 images named b"):
        images.size_of(images.find_stem("b"), "b.txt")
    with pytest.raises(InputError, match="--images"):
        AnyImages(Path("results.json"), SKELETON).size_of(0, "a.txt")


def test_paths_of_any_system():
    assert parts_of_path("a\\b/./c.jpg") == ("a", "b", "c.jpg")
    assert parts_of_path("/a/b") == ("a", "b")
