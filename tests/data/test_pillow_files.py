"""Images that Pillow reads: HEIC."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from logpose.core.errors import InputError
from logpose.data.images import check_image, image_size, read_image
from logpose.data.inputs import find_images
from logpose.data.pages import reading_images
from logpose.data.pillow_files import header

HEAD = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"


def test_without_the_extra_its_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Pillow, "OPEN", {name: how for name, how in Pillow.OPEN.items() if name != "HEIF"})
    (tmp_path / "x.heic").write_bytes(HEAD + bytes(100))
    with pytest.raises(InputError, match=r"x\.heic: .*logpose-keypoints\[heic\]"):
        read_image(tmp_path / "x.heic")
    assert "[heic]" in str(check_image(tmp_path / "x.heic"))
    assert list(find_images([tmp_path])) == [tmp_path / "x.heic"]


@pytest.fixture
def heif():
    return pytest.importorskip("pillow_heif", reason="the extra `heic` is not installed")


def photograph(height: int = 48, width: int = 64) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.blur(image, (15, 15))


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_heic_is_upright(heif, tmp_path: Path, orientation: int, turn: int) -> None:
    """Written as phones do, turned by the container and with EXIF data that say so as well."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    made = heif.from_pillow(Pillow.fromarray(photograph()))
    made.info["exif"] = exif.tobytes()
    made.save(path := tmp_path / "x.HEIC", quality=95)
    upright = np.rot90(photograph(), turn)
    found = read_image(path)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 8
    assert image_size(path) == upright.shape[1::-1]
    assert check_image(path) is None


def test_damaged_and_large_heic_are_refused(heif, tmp_path: Path) -> None:
    heif.from_pillow(Pillow.fromarray(photograph())).save(path := tmp_path / "x.heic")
    with reading_images(SimpleNamespace(max_pixels=48 * 64 - 1)):
        assert "--max-pixels" in str(check_image(path))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"x\.heic: "):
        read_image(path)


def test_pages_of_heic(heif, tmp_path: Path) -> None:
    made = heif.from_pillow(Pillow.fromarray(photograph()))
    made.add_from_pillow(Pillow.fromarray(255 - photograph()))
    made.save(path := tmp_path / "x.heic", quality=95)
    assert np.abs(read_image(path).astype(int) - photograph()).mean() < 8
    with reading_images(SimpleNamespace(page=1)):
        assert np.abs(read_image(path).astype(int) - (255 - photograph())).mean() < 8


def test_pillow_has_its_limit_again(tmp_path):
    Pillow.new("RGB", (4, 5)).save(tmp_path / "a.png")
    limit = Pillow.MAX_IMAGE_PIXELS
    with header(tmp_path / "a.png"), header(tmp_path / "a.png"):
        assert Pillow.MAX_IMAGE_PIXELS is None
    assert limit == Pillow.MAX_IMAGE_PIXELS
