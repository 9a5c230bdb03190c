"""Which labelled image a name means."""

from __future__ import annotations

from pathlib import Path

from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import LabelledImages, parts_of_path

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


def test_paths_of_any_system():
    assert parts_of_path("a\\b/./c.jpg") == ("a", "b", "c.jpg")
    assert parts_of_path("/a/b") == ("a", "b")
