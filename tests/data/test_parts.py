"""Parts are words of a name, not letters in other words."""

from __future__ import annotations

import pytest

from logpose.data.parts import parts_of


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (
            "val",
            ["person_keypoints_val2017", "my-val", "validation", "valid", "Val", "VAL_2", "labels.val", "myValSet"],
        ),
        ("test", ["test_set", "image_info_test-dev2017", "Test", "labels-test1", "testset"]),
        ("train", ["person_keypoints_train2017", "Human36M_train_joint_3d", "training", "TRAIN", "myTrainData"]),
        (None, ["latest", "contest", "validated", "labels", "trainval", "interval", "attested", "trained", "strain"]),
    ],
)
def test_words_of_names(part: str | None, names: list[str]) -> None:
    assert {name: parts_of(name) for name in names} == {name: {part} if part else set() for name in names}
