from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from logpose.core.errors import InputError
from logpose.data.images import read_image
from logpose.data.pixels import as_grey, as_rgb


def photograph(height: int = 20, width: int = 24, seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    return image


def with_alpha(image: np.ndarray) -> np.ndarray:
    alpha = np.random.default_rng(1).integers(0, 256, image.shape[:2], dtype=np.uint8)
    return np.dstack([image, alpha])


TYPES: dict[str, Callable[[np.ndarray], Any]] = {
    "uint8": lambda x: x,
    "uint16 of 16 bits": lambda x: x.astype(np.uint16) * 257,
    "big-endian": lambda x: (x.astype(np.uint16) * 257).astype(">u2"),
    "int16": lambda x: x.astype(np.int16),
    "int32": lambda x: x.astype(np.int32),
    "int64": lambda x: x.astype(np.int64),
    "uint32": lambda x: x.astype(np.uint32),
    "float32 to 1": lambda x: (x / 255).astype(np.float32),
    "float64 to 1": lambda x: x / 255,
    "float16 to 1": lambda x: (x / 255).astype(np.float16),
    "float32 to 255": lambda x: x.astype(np.float32),
    "float64 to 255": lambda x: x.astype(np.float64),
}
LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "RGB": lambda x: x,
    "RGBA": with_alpha,
    "channels first": lambda x: x.transpose(2, 0, 1),
    "RGBA, channels first": lambda x: with_alpha(x).transpose(2, 0, 1),
    "a view with gaps": lambda x: np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)[::2, ::2],
    "negative strides": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "columns first in memory": np.asfortranarray,
}
CARRIERS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda x: x,
    "read-only": lambda x: np.frombuffer(np.ascontiguousarray(x).tobytes(), x.dtype).reshape(x.shape),
    "list": lambda x: x.tolist(),
    "tensor": lambda x: torch.from_numpy(np.ascontiguousarray(x).astype(x.dtype.newbyteorder("="))),
    "tensor with a gradient": lambda x: torch.from_numpy(np.ascontiguousarray(x / 255)).requires_grad_(),
}


@given(
    st.integers(5, 30), st.integers(5, 30), st.integers(0, 9), st.sampled_from([*TYPES]), st.sampled_from([*LAYOUTS]),
    st.sampled_from(["array", "read-only", "tensor"]),
)  # fmt: skip
def test_an_image_is_the_same_in_every_form(
    height: int, width: int, seed: int, kind: str, layout: str, carrier: str
) -> None:
    image = photograph(height, width, seed)
    read = as_rgb(CARRIERS[carrier](TYPES[kind](LAYOUTS[layout](image))))
    assert (read.dtype, read.flags.c_contiguous) == (np.uint8, True)
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_carries_an_image(carrier: str) -> None:
    np.testing.assert_array_equal(as_rgb(CARRIERS[carrier](photograph())), photograph())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", ["(H, W)", "(H, W, 1)", "(1, H, W)"])
def test_grey_images(kind: str, shape: str) -> None:
    grey = photograph()[..., 0]
    given = {"(H, W)": grey, "(H, W, 1)": grey[..., None], "(1, H, W)": grey[None]}[shape]
    np.testing.assert_array_equal(as_rgb(TYPES[kind](given)), np.dstack([grey] * 3))
    np.testing.assert_array_equal(as_grey(TYPES[kind](given)), grey)
    with pytest.raises(InputError, match="colours"):
        as_grey(photograph())


def test_black_and_white() -> None:
    mask = photograph()[..., 0] > 127
    np.testing.assert_array_equal(as_rgb(mask), np.where(mask, 255, 0)[..., None].repeat(3, axis=2))
    for black in (np.zeros((8, 8, 3), kind) for kind in (np.uint16, np.int64, np.float32, bool)):
        assert not as_rgb(black).any()


def test_an_rgb_array_is_not_copied() -> None:
    image = photograph()
    assert as_rgb(image) is image


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "I;16", "F"])
def test_images_of_pillow(mode: str) -> None:
    grey = photograph()[..., 0]
    if mode == "I;16":
        given, expected = Pillow.fromarray(grey.astype(np.uint16) * 257), np.dstack([grey] * 3)
    elif mode == "F":
        given, expected = Pillow.fromarray(grey.astype(np.float32)), np.dstack([grey] * 3)
    else:
        given = Pillow.fromarray(photograph()).convert(mode)
        expected = np.asarray(given.convert("RGB"))
    assert given.mode == mode
    np.testing.assert_array_equal(as_rgb(given), expected)


def test_16_bits_are_read_as_from_a_file(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 24, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    np.testing.assert_array_equal(as_rgb(deep), read_image(tmp_path / "deep.png"))


def nan_somewhere(value: float) -> np.ndarray:
    image = photograph() / 255
    image[3, 4, 1] = value
    return image


REFUSED: dict[str, Any] = {
    "None": None,
    "a number": 3,
    "bytes": b"\xff\xd8\xff",
    "a mapping": {"image": photograph()},
    "nothing": [],
    "empty": np.zeros((0, 8, 3), np.uint8),
    "an empty image": Pillow.new("RGB", (0, 4)),
    "a vector": np.zeros(8, np.uint8),
    "two channels": np.zeros((8, 8, 2), np.uint8),
    "five channels": np.zeros((8, 8, 5), np.uint8),
    "a batch": photograph()[None],
    "a list of images": [photograph()[..., 0], photograph()[..., 1], photograph()[..., 2]],
    "a list of files": ["a.jpg", "b.jpg"],
    "a ragged list": [[1, 2, 3], [4, 5]],
    "objects": photograph().astype(object),
    "text": np.array([["a", "b"]]),
    "complex": photograph().astype(complex),
    "dates": np.zeros((8, 8, 3), "datetime64[s]"),
    "NaN": nan_somewhere(np.nan),
    "infinite": nan_somewhere(np.inf),
    "normalised": (photograph() / 255 - 0.45) / 0.22,
    "from -1 to 1": photograph() / 127.5 - 1,
    "int8 that wrapped round": photograph().astype(np.int8),
    "floats of 16 bits": photograph() * 257.0,
    "floats a little above 1": photograph() / 250,
    "8 bits in uint16": photograph().astype(np.uint16),
    "12 bits in uint16": photograph().astype(np.uint16) * 16,
    "int32 of 16 bits": photograph().astype(np.int32) * 257,
    "integers 0 and 1": (photograph() > 127).astype(np.int64),
    "channels first or last": np.zeros((3, 8, 4), np.uint8),
    "a tensor, channels first or last": torch.zeros(3, 8, 3, dtype=torch.uint8),
    "a sparse tensor": torch.zeros(3, 8, 9).to_sparse(),
    "a masked array": np.ma.masked_equal(photograph().astype(float), 255),
    "32 bits of Pillow": Pillow.fromarray(photograph()[..., 0].astype(np.int32) * 300),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_be_something_else_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="uint8") as caught:
        as_rgb(REFUSED[name])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
