"""An image file is known again by its content: whatever its name, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.files import open_people
from logpose.data.fingerprints import decoded, encoded, fingerprint, fingerprints, image_files
from logpose.data.image_sets import whole_images
from logpose.data.synthetic import SyntheticPeople


@pytest.mark.parametrize("size", [0, 1, 4096, 32768, 32769, 300_000])
def test_files_are_told_apart_by_content_and_size(tmp_path: Path, size: int) -> None:
    rng = np.random.default_rng(size)
    (tmp_path / "a").write_bytes(content := rng.bytes(size))
    (tmp_path / "sub").mkdir()
    shutil.copy(tmp_path / "a", tmp_path / "sub" / "renamed.png")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "sub" / "renamed.png")
    others = [content + b"x", *([content[:-1] + bytes([content[-1] ^ 1]), bytes([content[0] ^ 1])] if size else [])]
    for other in others:
        (tmp_path / "other").write_bytes(other)
        assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "other")


@pytest.mark.parametrize("begin", [b"BM", b"II*\0", b"MM\0*"])
@pytest.mark.parametrize("rows", [slice(100, 300), slice(240, 244)])
def test_frames_of_equal_borders_and_size_are_told_apart(tmp_path: Path, begin: bytes, rows: slice) -> None:
    """Frames of a film, not compressed, differ where something moves, in the middle of the file."""
    for number in range(2):
        frame = np.zeros((400, 400, 3), np.uint8)
        frame[rows, 100:300] = 50 + number
        (tmp_path / f"{number}").write_bytes(begin + bytes(52) + frame.tobytes())
    assert len(fingerprints(tmp_path.iterdir())) == 2


@given(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_text_and_back(marks: set[int]) -> None:
    array = np.array(sorted(marks), np.int64)
    text = encoded(array)
    assert text.isascii()
    np.testing.assert_array_equal(decoded(text), array)
    assert len(text) <= 11 * len(marks) + 2


@pytest.mark.parametrize("text", ["A", "!!!!", "AAAA", "ä"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(text)


def test_the_files_of_data_sets(coco_folder: Path, tmp_path: Path) -> None:
    people = open_people(coco_folder / "annotations" / "person_keypoints_train.json")
    files = image_files(people)
    assert sorted(files) == sorted((coco_folder / "train").iterdir())
    assert set(image_files(whole_images(people))) == {files[i] for i in range(len(files))}
    assert len(people) > len(files)
    assert image_files(SyntheticPeople(3, seed=1)) == []
    assert len(fingerprints([*files, *files, tmp_path / "missing.png"])) == len(files)
