"""Images come in order, each with what belongs to it, and not too many at once."""

from __future__ import annotations

import sys
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from logpose.core.errors import InputError
from logpose.data import read_ahead as module
from logpose.data.read_ahead import READERS, read_ahead

SHADES = list(range(0, 240, 4))


@pytest.fixture
def files(tmp_path):
    """Images of one shade each."""
    paths = [tmp_path / f"{shade:03}.png" for shade in SHADES]
    for shade, path in zip(SHADES, paths, strict=True):
        cv2.imwrite(str(path), np.full((4, 5, 3), shade, np.uint8))
    return paths


def counted(sources, taken):
    for i, source in enumerate(sources):
        taken.append(i)
        yield source, i


def test_images_come_in_order_with_what_belongs_to_them(files):
    files[3].write_bytes(b"no image")
    files[5].unlink()
    taken = []
    for k, (source, i, image) in enumerate(read_ahead(counted(files, taken))):
        assert (source, i) == (files[k], k)
        assert len(taken) >= min(k + READERS, len(files))  # the next is being read
        if k in (3, 5):
            with pytest.raises(InputError, match=files[k].name):
                image.result()
        else:
            assert (image.result() == SHADES[k]).all()
    assert len(taken) == len(files)


def test_few_large_files_wait_also_after_small_ones(files, monkeypatch):
    sizes = [10] * 30 + [1000] * 30
    monkeypatch.setattr(module, "AHEAD", 500)
    monkeypatch.setattr(module, "_bytes", lambda path: sizes[files.index(path)])
    taken, ahead = [], []
    for k, _ in enumerate(read_ahead(counted(files, taken))):
        ahead.append(len(taken) - k - 1)
    assert max(ahead[:20]) > 20
    assert max(ahead[30:]) <= READERS + 1


def test_what_is_in_memory_is_not_taken_ahead(files):
    """A camera's buffer is used again and again."""
    buffer = np.zeros((4, 5, 3), np.uint8)

    def frames():
        for shade in SHADES:
            buffer[:] = shade
            yield buffer, shade

    assert all((image.result() == shade).all() for _, shade, image in read_ahead(frames()))
    mixed = [files[0], buffer, files[1]]
    assert [i for _, i, image in read_ahead(counted(mixed, [])) if image.result() is not None] == [0, 1, 2]
    (_, _, wrong) = next(read_ahead([(np.zeros(3), None)]))
    with pytest.raises(InputError):
        wrong.result()


def test_what_the_iterable_raises_comes_after_the_images_before_it(files):
    def pairs():
        yield files[0], 0
        yield files[1], 1
        raise KeyError("source")

    found = []
    with pytest.raises(KeyError, match="source"):
        found.extend(image.result()[0, 0, 0] for _, _, image in read_ahead(pairs()))
    assert found == SHADES[:2]


def test_settings_of_the_process_are_what_they_were(files):
    """Reading a header lifts Pillow's limit and hides warnings; two threads do it at once."""
    interval = sys.getswitchinterval()
    before = Pillow.MAX_IMAGE_PIXELS, list(warnings.filters), cv2.utils.logging.getLogLevel()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            assert all(image.result() is not None for _, _, image in read_ahead((file, None) for file in files))
    finally:
        sys.setswitchinterval(interval)
    assert (Pillow.MAX_IMAGE_PIXELS, list(warnings.filters), cv2.utils.logging.getLogLevel()) == before


def test_one_who_leaves_early_waits_for_nothing_more(files):
    images = read_ahead((file, None) for file in files)
    next(images)
    images.close()
    with pytest.raises(StopIteration):
        next(images)
