"""Files of several images, and the two settings of reading."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from time import process_time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import features

from logpose.core.errors import InputError
from logpose.data import pages
from logpose.data.images import check_image, image_size, read_deep, read_image
from logpose.data.pages import most_pixels, page, reading_images, tiff_pages

GREYS = (40, 120, 200)


def frame(grey: int, mode: str = "RGB") -> Pillow.Image:
    """An image that is wider the lighter it is, in a TIFF."""
    return Pillow.fromarray(np.full((32, 48, 3), grey, np.uint8)).convert(mode)


def several(path: Path, mode: str = "RGB") -> Path:
    first, *others = (frame(grey, mode) for grey in GREYS)
    lossless = {"lossless": True} if path.suffix == ".webp" else {"quality": 100} if path.suffix == ".avif" else {}
    first.save(path, save_all=True, append_images=others, **lossless)
    return path


@pytest.fixture(autouse=True)
def _not_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "NOTED", set())


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png", ".avif"])
def test_the_page_that_is_asked_for_is_read(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = several(tmp_path / f"x{suffix}")
    for number, grey in enumerate(GREYS):
        with reading_images(SimpleNamespace(page=number)):
            assert np.abs(read_image(path).astype(int) - grey).max() <= 3, number
            assert read_image(path).shape == (32, 48, 3)
            assert image_size(path) == (48, 32)
            assert check_image(path) is None
    with (
        reading_images(SimpleNamespace(page=3)),
        pytest.raises(InputError, match=rf"x\{suffix}: has 3 pages, and page 3"),
    ):
        read_image(path)
    assert np.abs(read_image(path).astype(int) - GREYS[0]).max() <= 3
    assert sum("has 3 pages" in record.message for record in caplog.records) <= 1
    with caplog.at_level("INFO"):
        pages.NOTED.clear()
        read_image(path), read_image(path)
    assert next(record.message for record in caplog.records if "--page" in record.message).startswith(str(path))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
def test_other_files_have_one_page(tmp_path: Path, suffix: str) -> None:
    frame(40).save(path := tmp_path / f"x{suffix}")
    with reading_images(SimpleNamespace(page=1)):
        with pytest.raises(InputError, match="has one page, and page 1"):
            read_image(path)
        assert "has one page" in str(check_image(path))


def test_pages_of_a_tiff_keep_their_sizes_bits_and_orientations(tmp_path: Path) -> None:
    deep = [np.full(shape, grey * 257, np.uint16) for shape, grey in (((8, 9), 40), ((6, 11), 200))]
    first, second = map(Pillow.fromarray, deep)
    first.save(path := tmp_path / "x.tif", save_all=True, append_images=[second])
    with reading_images(SimpleNamespace(page=1)):
        np.testing.assert_array_equal(read_deep(path), np.dstack([deep[1]] * 3))
        np.testing.assert_array_equal(read_image(path), np.full((6, 11, 3), 200))
        assert image_size(path) == (11, 6)
    for order in ("<", ">"):
        assert pages.tiff_pages(big_or_little(order)) == 2


def big_or_little(order: str) -> bytes:
    """Two empty directories in either byte order, the second of which refers to the first."""
    import struct

    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IHIHI", 8, 0, 14, 0, 8)


@pytest.mark.parametrize("data", [b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0", b"II*\0\x08\0\0\0\xff\xff\0"])
def test_directories_that_lead_nowhere_end(data: bytes) -> None:
    assert pages.tiff_pages(data) <= 1


def test_many_directories_do_not_take_long() -> None:
    """They have six bytes each, so a file of a megabyte has 170,000: hours, if each is compared to all before."""
    count = 50_000
    chain = b"".join(struct.pack("<HI", 0, 8 + 6 * i if i < count else 0) for i in range(1, count + 1))
    began = process_time()
    assert tiff_pages(b"II*\0" + struct.pack("<I", 8) + chain) == count
    assert process_time() - began < 5


def test_settings_are_in_the_environment_and_then_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGPOSE_MAX_PIXELS", "99")
    with reading_images(SimpleNamespace(page=2, max_pixels=7)):
        assert (page(), most_pixels()) == (2, 7)
        assert os.environ["LOGPOSE_PAGE"] == "2"  # worker processes have it too
    assert (page(), most_pixels()) == (0, 99)
    assert "LOGPOSE_PAGE" not in os.environ
    with reading_images(SimpleNamespace(page=None)), reading_images(object()):
        assert (page(), most_pixels()) == (0, 99)


@pytest.mark.parametrize(("name", "value"), [("page", -1), ("max_pixels", 0)])
def test_settings_that_cannot_be(name: str, value: int) -> None:
    with (
        pytest.raises(InputError, match=f"--{name.replace('_', '-')}"),
        reading_images(SimpleNamespace(**{name: value})),
    ):
        pass


def test_a_variable_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGPOSE_MAX_PIXELS", "many")
    with pytest.raises(InputError, match=r"LOGPOSE_MAX_PIXELS.*many"):
        most_pixels()
