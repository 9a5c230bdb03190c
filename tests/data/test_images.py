"""Images from files: whole and upright, or refused with a reason."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from PIL import features

from logpose.core.errors import InputError
from logpose.data.images import LOOKED_FOR, SUFFIXES, check_image, image_size, most_found, read_image, read_reduced

pytestmark = pytest.mark.usefixtures("_quiet")


@pytest.fixture
def _quiet() -> None:
    """OpenCV's own messages about broken files do not matter here."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    yield
    cv2.utils.logging.setLogLevel(level)


def photograph(height: int = 48, width: int = 64) -> np.ndarray:
    """Noise over three plain halves: red above, blue at the lower left, green at the lower right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = 200
    image[height // 2 :, : width // 2, 2] = 200
    image[height // 2 :, width // 2 :, 1] = 200
    return image + np.random.default_rng(0).integers(0, 40, image.shape, dtype=np.uint8)


WRITTEN = tuple(suffix for suffix in SUFFIXES if suffix not in (".heic", ".heif", ".gif"))
"""Suffixes of the formats that OpenCV writes in full colour."""


def encoded(suffix: str, image: np.ndarray | None = None) -> bytes:
    image = photograph() if image is None else image
    done, data = cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image)
    assert done
    return data.tobytes()


def refused(path: Path) -> str:
    """The reason for which a file is refused, by the reader and by the check alike."""
    with pytest.raises(InputError) as caught:
        read_image(path)
    reason = check_image(path)
    assert reason is not None
    assert str(caught.value) == f"{path}: {reason}"
    return reason


def test_a_jpeg_without_pixels_is_refused_although_it_has_an_end(tmp_path: Path) -> None:
    whole = encoded(".jpg")
    path = tmp_path / "x.jpg"
    path.write_bytes(whole[: whole.index(b"\xff\xda")] + b"\xff\xd9")
    assert refused(path) == "not a readable image"
    path.write_bytes(whole[:2] + b"\xff\xff" + whole[2:])  # fill bytes before a segment
    assert check_image(path) is None


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_good_file_is_read_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encoded(suffix))
    assert check_image(path) is None
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - photograph()).mean() < 12  # what JPEG loses
    if suffix in (".png", ".bmp"):
        np.testing.assert_array_equal(image, photograph())


def test_an_array_is_passed_through() -> None:
    image = photograph()
    assert read_image(image) is image


@pytest.mark.parametrize("kind", ["grey", "with alpha", "16 bits"])
def test_other_depths_become_rgb(tmp_path: Path, kind: str) -> None:
    grey = photograph()[..., 0]
    image = {"grey": grey, "with alpha": np.dstack([photograph(), grey]), "16 bits": grey.astype(np.uint16) * 257}[kind]
    (tmp_path / "x.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    read = read_image(tmp_path / "x.png")
    assert read.dtype == np.uint8
    assert read.shape == (48, 64, 3)
    if kind != "with alpha":
        np.testing.assert_array_equal(read, np.dstack([grey] * 3))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("bits", "times"), [(8, 1), (12, 16), (16, 257)])
def test_values_of_fewer_bits_in_16(tmp_path: Path, suffix: str, bits: int, times: int) -> None:
    grey = photograph()[..., 0]
    assert cv2.imwrite(str(tmp_path / f"x{suffix}"), grey.astype(np.uint16) * times)
    np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}"), np.dstack([grey] * 3))


@pytest.mark.parametrize("highest", [1, 255])
def test_a_tiff_of_floats(tmp_path: Path, highest: int) -> None:
    grey = photograph()[..., 0]
    PIL.Image.fromarray(grey.astype(np.float32) / 255 * highest).save(tmp_path / "x.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), np.dstack([grey] * 3))
    PIL.Image.fromarray(grey.astype(np.float32) * 1000).save(tmp_path / "y.tif")
    with pytest.raises(InputError, match=r"y\.tif"):
        read_image(tmp_path / "y.tif")


@pytest.mark.parametrize(
    ("mode", "kind", "settings"),
    [
        ("CMYK", "jpeg", {"quality": 95}),  # with Adobe's inverted values
        ("CMYK", "tiff", {}),
        ("YCbCr", "tiff", {"compression": "jpeg"}),
        ("RGB", "jpeg", {"progressive": True}),
        *(("P", kind, {}) for kind in ("png", "tiff", "bmp", "gif")),
        *(("P", kind, {"transparency": 3}) for kind in ("png", "gif")),
        *(("1", kind, {}) for kind in ("png", "tiff", "bmp", "gif")),
        ("1", "tiff", {"compression": "group4"}),
        *(("L", kind, {}) for kind in ("png", "jpeg", "webp", "gif")),
        *(("LA", kind, {}) for kind in ("png", "tiff")),
        *(("RGBA", kind, {}) for kind in ("png", "tiff", "bmp")),
        ("RGBA", "webp", {"lossless": True, "exact": True}),
    ],
)
def test_other_kinds_of_colours_are_those_of_pillow(tmp_path: Path, mode: str, kind: str, settings: dict) -> None:
    image = PIL.Image.fromarray(cv2.blur(photograph(), (9, 9))).convert(mode)
    if mode in ("LA", "RGBA"):  # dropped, not multiplied by
        image.putalpha(PIL.Image.fromarray(photograph()[..., 0]))
    image.save(path := tmp_path / f"x.{kind}", kind, **settings)
    with PIL.Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB")).astype(int)
    assert np.abs(read_image(path) - expected).max() <= (1 if kind in ("jpeg", "webp") else 0)
    assert image_size(path) == (64, 48)
    assert check_image(path) is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif"])
@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_photographs_are_turned_upright(tmp_path: Path, kind: str, orientation: int, turn: int) -> None:
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(photograph()).save(tmp_path / f"x.{kind}", kind, exif=exif, quality=95)
    upright = np.rot90(photograph(), turn)
    image = read_image(tmp_path / f"x.{kind}")
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 12
    assert image_size(tmp_path / f"x.{kind}") == upright.shape[1::-1]
    assert check_image(tmp_path / f"x.{kind}") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")  # to open it would wait for ever
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")  # and this has no end
    for name in ("pipe.jpg", "zero.jpg"):
        assert refused(tmp_path / name) == "not a regular file"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x.{kind}"
    PIL.Image.fromarray(photograph()).save(path, kind)
    monkeypatch.setenv("LOGPOSE_MAX_PIXELS", str(48 * 64))
    assert check_image(path) is None
    monkeypatch.setenv("LOGPOSE_MAX_PIXELS", str(48 * 64 - 1))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert "64×48" in (reason := refused(path))
    assert "--max-pixels" in reason
    assert PIL.Image.MAX_IMAGE_PIXELS is not None  # a program's own limit stays


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.jpg") == "no such file"
    (tmp_path / "folder.jpg").mkdir()
    assert check_image(tmp_path / "folder.jpg") == "is a folder"
    with pytest.raises(InputError, match=r"folder\.jpg"):
        read_image(tmp_path / "folder.jpg")
    # Names that no file can have.
    assert check_image(tmp_path / ("x" * 5000)) == "cannot be read"
    assert check_image(tmp_path / "x\0y.jpg") == "cannot be read"


@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_empty_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_bytes(b"")
    assert refused(tmp_path / f"x{suffix}") == "empty file"


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("size", [(48, 64), (240, 320)])
def test_a_file_that_breaks_off(tmp_path: Path, suffix: str, share: float, size: tuple[int, int]) -> None:
    data = encoded(suffix, photograph(*size))
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data[: int(share * len(data))])
    reason = refused(path)
    if suffix in (".jpg", ".jpeg", ".png") and share > 0.01:
        assert reason == "truncated image"


def with_thumbnail(quality: int = 95) -> bytes:
    """A JPEG with a whole small JPEG in its header, as cameras write them."""
    thumbnail = encoded(".jpg", photograph(24, 32))
    note = b"Exif\0\0" + thumbnail
    whole = encoded(".jpg")
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note + whole[2:]


def test_a_thumbnails_end_is_not_the_images(tmp_path: Path) -> None:
    data = with_thumbnail()
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    assert check_image(path) is None
    assert read_image(path).shape == (48, 64, 3)
    path.write_bytes(data[:-200])
    assert b"\xff\xd9" in data[-4096:-200], "the thumbnail's end marker is among the last bytes"
    assert refused(path) == "truncated image"


def test_bytes_after_the_end_do_no_harm(tmp_path: Path) -> None:
    for i, rest in enumerate((b"\0" * 5000, b"a phone's own data" * 500)):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(encoded(".jpg") + rest)
        assert check_image(path) is None
        assert read_image(path).shape == (48, 64, 3)


@pytest.mark.parametrize(
    "content", [b"hello", b"<html><body>404</body></html>", b"\0" * 100, b"\xff\xd8", b"BM" + b"x" * 90]
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    refused(tmp_path / "x.jpg")


def test_a_image_that_declares_to_be_huge(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"0" * 100)), chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert "200000×200000" in refused(tmp_path / "x.png")


def test_the_check_does_not_decode_a_sound_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".jpg", ".png", ".webp"):
        (tmp_path / f"x{suffix}").write_bytes(encoded(suffix))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert [check_image(path) for path in tmp_path.iterdir()] == [None] * 3


def test_what_cameras_append_does_not_make_a_image_broken(tmp_path):
    """A motion photo is a JPEG with a film behind it, whose bytes may look like any marker."""
    import cv2

    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    path = tmp_path / "motion.jpg"
    path.write_bytes(data + b"film \xff\xda\x00\x08 and more" * 5)
    assert check_image(path) is None
    assert read_image(path).shape == (40, 60, 3)
    path.write_bytes(data[: len(data) // 2] + b"film" * 5)
    assert check_image(path) == "truncated image"


def damaged(suffix: str, size: tuple[int, int] = (240, 320)) -> bytes:
    """A file of which a tenth in the middle is zeros."""
    data = bytearray(encoded(suffix, photograph(*size)))
    start, count = len(data) // 2, len(data) // 10
    data[start : start + count] = bytes(count)
    return bytes(data)


def test_damage_in_the_middle_is_found_by_checksums(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(damaged(".png"))
    with pytest.raises(InputError, match=r"x\.png"):
        read_image(path)


@pytest.mark.parametrize("content", ["cut and given an end", "zeros in the middle"])
def test_of_a_jpeg_it_is_not_and_what_comes_before_it_is_right(tmp_path: Path, content: str) -> None:
    data = encoded(".jpg", photograph(240, 320))
    wrong = damaged(".jpg") if content.startswith("zeros") else data[: len(data) // 2] + b"\xff\xd9"
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "wrong.jpg").write_bytes(wrong)
    whole, image = read_image(tmp_path / "whole.jpg"), read_image(tmp_path / "wrong.jpg")
    assert image.shape == whole.shape
    np.testing.assert_array_equal(image[:80], whole[:80])
    assert (image != whole).any()


@pytest.mark.filterwarnings("error")
def test_what_pillow_warns_of_does_not_come_between(tmp_path: Path) -> None:
    """EXIF data that break off, and a image of more pixels than Pillow likes."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\0" + b"x" * 22
    data = encoded(".jpg")
    (tmp_path / "x.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert image_size(tmp_path / "x.jpg") == (64, 48)
    assert read_reduced(tmp_path / "x.jpg", 2)[1] == 2
    PIL.Image.new("1", (10_000, 9_000)).save(tmp_path / "big.png")
    assert image_size(tmp_path / "big.png") == (10_000, 9_000)


# Smaller where that saves work


@pytest.mark.parametrize("factor", [1.0, 1.99, 2.0, 3.7, 4.0, 100.0])
@pytest.mark.parametrize("size", [(96, 128), (95, 131)])
def test_a_jpeg_is_read_at_a_fraction_and_stays_in_place(tmp_path: Path, factor: float, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX)
    PIL.Image.fromarray(smooth).save(tmp_path / "x.jpg", quality=100, subsampling=0)
    image, k = read_reduced(tmp_path / "x.jpg", factor)
    assert k == max(k for k in (1, 2, 4, 8) if k <= factor)
    assert image.shape == (-(-size[0] // k), -(-size[1] // k), 3)
    # Of whole blocks, a pixel is the mean; one to the side is not. (OpenCV's blue comes first, ours last.)
    rows, columns = size[0] // k, size[1] // k
    means = read_image(tmp_path / "x.jpg")[: rows * k, : columns * k].reshape(rows, k, columns, k, 3).mean(axis=(1, 3))
    apart = np.abs(image[:rows, :columns] - means).mean()
    beside = np.abs(image[:rows, 1:columns] - means[:, :-1]).mean()
    assert apart < 1
    assert beside > 3 * apart + 1


def test_others_are_read_whole(tmp_path: Path) -> None:
    image = PIL.Image.fromarray(np.zeros((64, 48, 3), np.uint8))
    image.save(tmp_path / "x.png")
    assert read_reduced(tmp_path / "x.png", 8)[1] == 1
    exif = PIL.Image.Exif()
    for orientation, reduced in ((1, 8), (6, 1)):
        exif[0x0112] = orientation
        image.save(tmp_path / "x.jpg", exif=exif)
        decoded, found = read_reduced(tmp_path / "x.jpg", 8)
        assert found == reduced
        assert decoded.shape[:2] == ((8, 6) if reduced == 8 else (48, 64))
    array = np.zeros((10, 10, 3), np.uint8)
    assert read_reduced(array, 8) == (array, 1)


# Where a data set's images are


def touched(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_missing_first_file_decides_nothing(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    few, most = touched(tmp_path / "few", "a"), touched(tmp_path / "most", "b", "c")
    assert most_found([few, most], lambda folder: (folder / name for name in names)) == most
    assert most_found([most, few], lambda folder: (folder / name for name in names)) == most


def test_the_first_of_equals(tmp_path: Path) -> None:
    one, other = touched(tmp_path / "one", "a"), touched(tmp_path / "other", "b")
    assert most_found([one, other], lambda folder: (folder / name for name in "ab")) == one
    assert most_found([other, one], lambda folder: (folder / name for name in "ab")) == other
    assert most_found([4, 5], lambda digits: (tmp_path / f"{i:0{digits}d}" for i in range(3))) == 4


def test_so_many_are_looked_for(tmp_path: Path) -> None:
    asked = []

    def files(folder: Path) -> Iterator[Path]:
        for i in range(10 * LOOKED_FOR):
            asked.append(i)
            yield folder / str(i)

    most_found([tmp_path], files)
    assert asked == list(range(LOOKED_FOR))


def test_folders_and_names_that_no_file_can_have(tmp_path: Path) -> None:
    names = ["", "x" * 5000, "\0", "a"]
    none, one = touched(tmp_path / "none"), touched(tmp_path / "one", "a")
    assert most_found([none, one], lambda folder: (folder / name for name in names)) == one


@pytest.mark.usefixtures("unchecked")
def test_images_in_memory_are_read_alike() -> None:
    grey = photograph()[..., 0]
    for read in (read_image, lambda image: read_reduced(image, 2.0)[0]):
        np.testing.assert_array_equal(read(grey / 255), np.dstack([grey] * 3))
        with pytest.raises(InputError, match="uint8"):
            read(None)
