"""Images that a caller has in memory, in any usual form, as arrays (H, W, 3) of RGB values from 0 to 255.

| form | taken as |
|---|---|
| (H, W, 3), (H, W, 4) | RGB; a fourth channel, alpha, is dropped, as of a file |
| (H, W), (H, W, 1) | grey |
| (3, H, W), (4, H, W), (1, H, W) | the same, channels first |
| uint8 | as it is |
| uint16 | 0 to 65535, if a value is above 4095 (else they may be of 8 or 12 bits) |
| other integers | 0 to 255, if a value is above 1 |
| floats | 0 to 1; 0 to 255, if a value is above 16 |
| bool | black and white |

Tensors of torch, images of Pillow (their pixels as they lie, not turned by EXIF data), nested lists of numbers, and
what NumPy makes an array of, are taken alike. What may mean several things is refused.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Pillow

from logpose.core.errors import InputError
from logpose.core.messages import first_line
from logpose.core.samples import Image

__all__ = ["ImageLike", "as_grey", "as_rgb"]

ImageLike = Any
"""An image in memory: an array, tensor, image of Pillow or list, in one of the forms above."""

TAKEN = (
    "an image is an array (H, W, 3) of RGB values from 0 to 255 (uint8); also taken: grey (H, W), RGBA, channels "
    "first, uint16 from 0 to 65535, floats from 0 to 1 or 0 to 255, bool, tensors, images of Pillow, lists"
)
CHANNELS = (1, 3, 4)
OF_12_BITS = 4095
DARK = 16
"""Floats of which the largest is above 1 and not above this are neither surely of 0 to 1 nor of 0 to 255."""
OF_8_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Modes of Pillow that it converts to RGB."""


def as_rgb(image: Any) -> Image:
    """An image in memory as RGB with 8 bits; the array itself, where it is that already.

    Raises:
        InputError: if it is none, or may mean several things.
    """
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        return np.ascontiguousarray(image)
    pixels = _array(image)
    given = f"{pixels.dtype} {pixels.shape}"
    given = given if isinstance(image, np.ndarray) else f"a {type(image).__name__} of {given}"
    if pixels.dtype.kind not in "buif":
        raise _refusal(given)
    if not pixels.size:
        raise _refusal(f"{given}, which is empty")
    coloured = _channels_last(pixels, given, by_torch=_is_tensor(image))
    values = _in_8_bits(coloured[..., :3], given)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))


def as_grey(image: Any) -> UInt8[np.ndarray, "H W"]:
    """An image in memory, in any of the same forms, as shades of grey with 8 bits.

    Raises:
        InputError: if it is none, may mean several things, or has colours.
    """
    pixels = as_rgb(image)
    if (pixels != pixels[..., :1]).any():
        raise InputError("expected shades of grey, got an image with colours")
    return np.ascontiguousarray(pixels[..., 0])


def _refusal(given: str) -> InputError:
    return InputError(f"{TAKEN}; got {given}")


def _array(image: Any) -> np.ndarray:
    """The numbers of an image, as they are."""
    if image is None:
        raise _refusal("None, which cv2.imread returns for a file that it cannot read")
    listed = isinstance(image, list | tuple)
    if listed and not _is_nested_numbers(image):
        raise _refusal(f"a {type(image).__name__} of {type(image[0]).__name__}; images are given one at a time")
    try:
        if _is_tensor(image):
            tensor = image.detach().cpu()
            return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
        if isinstance(image, Pillow.Image):
            return np.asarray(image.convert("RGB") if image.mode in OF_8_BITS else image)
        if listed or hasattr(image, "__array__") or hasattr(image, "__array_interface__"):
            return np.ma.filled(image, np.nan) if np.ma.is_masked(image) else np.asarray(image)
    except (TypeError, ValueError, RuntimeError, OSError) as error:  # ragged lists, sparse tensors, closed files
        reason = first_line(error)
        raise _refusal(f"a {type(image).__name__} that is no array of numbers ({reason:.80})") from error
    raise _refusal(f"a {type(image).__name__}")


def _is_tensor(image: Any) -> bool:
    """Whether an image is a tensor of torch; which is not imported where nobody uses it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _is_nested_numbers(rows: Any) -> bool:
    """Whether lists hold lists, and at last numbers, rather than images."""
    while isinstance(rows, list | tuple) and rows:
        rows = rows[0]
    return isinstance(rows, bool | int | float | np.generic | list | tuple)


def _channels_last(pixels: np.ndarray, given: str, by_torch: bool) -> np.ndarray:
    """Pixels (H, W, C) with 1, 3 or 4 channels."""
    if pixels.ndim == 2:
        return pixels[..., None]
    if pixels.ndim != 3:
        raise _refusal(f"{given}{'; images are given one at a time' if pixels.ndim > 3 else ''}")
    first, last = pixels.shape[0] in CHANNELS, pixels.shape[2] in CHANNELS
    if first and last and (by_torch or pixels.shape[2] != 3):
        raise _refusal(f"{given}, whose channels may be first or last")
    if not (first or last):
        raise _refusal(given)
    return pixels if last else np.moveaxis(pixels, 0, -1)


def _in_8_bits(pixels: np.ndarray, given: str) -> UInt8[np.ndarray, "H W _"]:
    """Pixels as values from 0 to 255, where their range follows from type and values."""
    kind, of_16_bits = pixels.dtype.kind, pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2
    if pixels.dtype == np.uint8:
        return pixels
    if kind == "b":
        return np.where(pixels, 255, 0).astype(np.uint8)
    if not np.isfinite(pixels).all():
        raise _refusal(f"{given} with values that are not finite")
    low, high = pixels.min().item(), pixels.max().item()
    if low >= 0 and high == 0:
        return pixels.astype(np.uint8)
    if low >= 0 and kind == "f" and (high <= 1 or DARK < high <= 255):
        return np.rint(pixels.astype(np.float64) * (255 if high <= 1 else 1)).astype(np.uint8)
    if low >= 0 and of_16_bits and high > OF_12_BITS:
        return (pixels >> 8).astype(np.uint8)  # as OpenCV reads a file with 16 bits
    if low >= 0 and not of_16_bits and kind != "f" and 1 < high <= 255:
        return pixels.astype(np.uint8)
    raise _refusal(f"{given} with values from {low:g} to {high:g}, whose range may be another")
