"""Weights of TensorFlow.js: a JSON file that describes tensors, and the binary files beside it that hold them.

The format is that of `tensorflowjs_converter`: under `weightsManifest`, groups with `paths` and `weights`; the bytes of
a group's files, joined, are its tensors one after the other (https://www.tensorflow.org/js/guide/save_load).
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.json_files import numbers, read_json, whole

__all__ = ["read_tfjs"]

TYPES = ("float32", "float16", "int32", "uint8", "uint16", "bool")
LARGEST = 1e30
"""Of the scale and the least value of integers: with them float32 has all that they stand for."""
LONGEST = 255  # characters of a file's name
MOST_BYTES = 2**31  # of all files of a model; those for browsers have a hundredth of it


def read_tfjs(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a model of TensorFlow.js, by name, in the order (height, width, input, output) of TensorFlow.

    Quantised values are returned as what they stand for, in float32.

    Args:
        path: the JSON file; the binary files lie beside it.

    Raises:
        InputError: naming the file, if it is no such model, or the binary files do not hold what it describes.
    """
    path = Path(path)
    content = read_json(path)
    groups = content.get("weightsManifest") if isinstance(content, dict) else None
    if not isinstance(groups, list) or not groups:
        raise InputError(f"{path}: not a model of TensorFlow.js (it has no weightsManifest)")
    found: dict[str, Tensor] = {}
    for group in groups:
        entries = group.get("weights") if isinstance(group, dict) else None
        paths = group.get("paths") if isinstance(group, dict) else None
        if not isinstance(entries, list) or not isinstance(paths, list):
            raise InputError(f"{path}: a group of weightsManifest has no weights or no paths")
        described = [_described(path, entry) for entry in entries]
        content_of, start = _bytes(path, paths, sum(size for *_, size in described)), 0
        for name, stored, quantization, shape, size in described:
            if name in found:
                raise InputError(f"{path}: weight {name} is there twice")
            values = np.frombuffer(content_of, stored, math.prod(shape), start).reshape(shape)
            if quantization is not None:
                scale, least = quantization
                values = values.astype(np.float32) * scale + least
            elif stored == np.float16:
                values = values.astype(np.float32)
            elif stored == np.uint16:
                values = values.astype(np.int32)
            found[name] = torch.from_numpy(values.copy())
            start += size
    return found


def _described(
    path: Path, entry: Any
) -> tuple[str, np.dtype[Any], Float[np.ndarray, "2"] | None, tuple[int, ...], int]:
    """Name, stored type, scale and least value where it is quantised to integers, shape and bytes of a weight."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{path}: a weight has no name")
    quantization = entry.get("quantization")
    given = quantization.get("dtype") if isinstance(quantization, dict) else entry.get("dtype")
    if given not in TYPES or (quantization is not None and not isinstance(quantization, dict)):
        raise InputError(f"{path}: weight {name}: type {given!r} is none of {', '.join(TYPES)}")
    sides = entry.get("shape")
    shape = tuple(map(whole, sides)) if isinstance(sides, list) else (None,)
    sides_known = all(side is not None and side >= 0 for side in shape)
    if len(shape) > 8 or not sides_known or math.prod(side for side in shape if side) > MOST_BYTES:
        raise InputError(f"{path}: weight {name}: {sides!r:.60} is not a shape")
    known = tuple(side for side in shape if side is not None)
    dtype = np.dtype(given)
    scaled = None
    if quantization is not None and dtype.kind != "f":
        scaled = numbers([quantization.get("scale"), quantization.get("min")], 2)
        if scaled is None or not np.abs(scaled).max() < LARGEST:
            raise InputError(f"{path}: weight {name}: its quantization has no scale and min below {LARGEST:g}")
        scaled = scaled.astype(np.float32)
    return name, dtype, scaled, known, math.prod(known) * dtype.itemsize


def _bytes(path: Path, names: list[Any], wanted: int) -> bytes:
    """The bytes of a group's files, which must be as many as its weights need."""
    files = []
    for name in names:
        if not isinstance(name, str) or PurePosixPath(name).name != name or name in ("", "..") or "\\" in name:
            raise InputError(f"{path}: {name!r:.80} is not the name of a file beside it")
        files.append(path.parent / name)
        if len(name) > LONGEST or not files[-1].is_file():
            raise InputError(f"{files[-1]}: no such file, and {path.name} names it")
    there = sum(file.stat().st_size for file in files)
    if there != wanted or there > MOST_BYTES:
        held = ", ".join(file.name for file in files) or "no file"
        raise InputError(f"{path}: describes {wanted:,} bytes of weights, and there are {there:,} in {held}")
    return b"".join(file.read_bytes() for file in files)
