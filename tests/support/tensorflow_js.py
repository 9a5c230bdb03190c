"""Files of TensorFlow.js as its converter writes them, and MoveNet's, with random weights under the published names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

PREFIX = "StatefulPartitionedCall/"
NETWORK = f"{PREFIX}center_net_mobile_net_v2fpn_feature_extractor/model_1/"
# Width, height and depth of the published networks, read off their files: channels of the stem, and by stage.
STEM = {"thunder": 56, "lightning": 32}
OUTS = {"thunder": (32, 40, 56, 112, 168, 280, 560), "lightning": (16, 24, 32, 64, 96, 160, 320)}
BLOCKS = (1, 2, 3, 4, 3, 3, 1)
HEADS = {"center_0": (3, 4, 1), "kpt_heatmap_0": (4, 5, 17), "kpt_regress_0": (5, 6, 34), "kpt_offset_0": (6, 7, 34)}
"""Number of the separable convolution of each head, that of the other one, and its outputs."""


def write_tfjs(file: Path, tensors: dict[str, np.ndarray], dtype: str = "float16", **changes: Any) -> Path:
    """A model of TensorFlow.js with these tensors, floats stored as `dtype`; `changes` replace parts of the JSON."""
    weights, content = [], b""
    for name, tensor in tensors.items():
        entry: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype)}
        if tensor.dtype == np.float32 and dtype == "float16":
            entry["quantization"] = {"dtype": dtype, "original_dtype": "float32"}
            tensor = tensor.astype(dtype)
        elif tensor.dtype == np.float32 and dtype != "float32":
            least, most = float(tensor.min()), float(tensor.max())
            scale = (most - least) / np.iinfo(dtype).max or 1.0
            entry["quantization"] = {"dtype": dtype, "scale": scale, "min": least, "original_dtype": "float32"}
            tensor = np.round((tensor - least) / scale).astype(dtype)
        weights.append(entry)
        content += tensor.tobytes()
    binary = file.with_suffix(".bin")
    binary.write_bytes(content)
    manifest = [{"paths": [binary.name], "weights": weights}]
    file.write_text(json.dumps({"format": "graph-model", "weightsManifest": manifest} | changes))
    return file


def movenet(size: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors of MoveNet under their published names, (height, width, input, output), that half precision holds."""
    rng, found = np.random.default_rng(seed), {}

    def add(name: str, *shape: int) -> None:
        inside = np.prod(shape[:-1]) if "depthwise" not in name else 9
        spread = 0.1 if len(shape) == 1 else 1 / np.sqrt(inside)
        found[name] = rng.normal(0, spread, shape).astype(np.float16).astype(np.float32)

    def folded(place: str, kind: str, *shape: int) -> None:
        add(f"{NETWORK}model/{place}/{kind}_weights", *shape)
        add(f"{NETWORK}model/{place}/{kind}_bn_offset", shape[2] if kind == "depthwise" else shape[3])

    channels, number = STEM[size], 0
    folded("Conv1", "Conv2D", 3, 3, 3, channels)
    for count, out in zip(BLOCKS, OUTS[size], strict=True):
        for _ in range(count):
            name, wide = (f"block_{number}", 6 * channels) if number else ("expanded_conv", channels)
            if number:
                folded(f"{name}_expand", "Conv2D", 1, 1, channels, wide)
            folded(f"{name}_depthwise", "depthwise", 3, 3, wide, 1)
            folded(f"{name}_project", "Conv2D", 1, 1, wide, out)
            channels, number = out, number + 1
    folded("Conv_1", "Conv2D", 1, 1, channels, 1280)
    sides = (1280, OUTS[size][3], OUTS[size][2], OUTS[size][1])
    for i, (inside, out) in enumerate(zip(sides, (64, 64, 32, 24), strict=True)):
        place = f"{NETWORK}conv2d_{i}" if i else f"{NETWORK}conv2d"
        add(f"{place}/Conv2D/ReadVariableOp", 1, 1, inside, out)
        add(f"{place}/BiasAdd/ReadVariableOp", out)
    for i, (inside, out) in enumerate(((64, 32), (32, 24), (24, 24))):
        place = f"{NETWORK}separable_conv2d_{i}" if i else f"{NETWORK}separable_conv2d"
        add(f"{place}/separable_conv2d/ReadVariableOp", 3, 3, inside, 1)
        add(f"{place}/separable_conv2d_weights", 1, 1, inside, out)
        add(f"{place}/separable_conv2d_bn_offset", out)
    for head, (separable, last, outs) in HEADS.items():
        place = f"{PREFIX}{head}/separable_conv2d_{separable}"
        add(f"{place}/separable_conv2d/ReadVariableOp", 3, 3, 24, 1)
        add(f"{place}/separable_conv2d/ReadVariableOp_1", 1, 1, 24, 96)
        add(f"{place}/BiasAdd/ReadVariableOp", 96)
        add(f"{PREFIX}{head}/conv2d_{last}/Conv2D/ReadVariableOp", 1, 1, 96, outs)
        add(f"{PREFIX}{head}/conv2d_{last}/BiasAdd/ReadVariableOp", outs)
    # Constants of the graph, which are no weights of a layer.
    found[f"{PREFIX}floordiv/y"] = np.array(64, np.int32)
    return found


def published(tensors: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """What the published graph computes, node by node: (B, H, W, 3) pixels to y, x and score (B, 17, 3) in [0, 1]."""

    def conv(x: torch.Tensor, kernel: str, bias: str | None, stride: int = 1) -> torch.Tensor:
        weight = torch.from_numpy(tensors[kernel])
        depthwise = kernel.endswith(("depthwise_weights", "separable_conv2d/ReadVariableOp"))
        weight = weight.permute(2, 3, 0, 1) if depthwise else weight.permute(3, 2, 0, 1)
        size = weight.shape[2]
        if size == 3:  # SAME: an even number of rows needs one row of zeros below at stride 2
            x = F.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
        added = None if bias is None else torch.from_numpy(tensors[bias])
        return F.conv2d(x, weight, added, stride, groups=len(weight) if depthwise else 1)

    def folded(x: torch.Tensor, place: str, kind: str, stride: int = 1) -> torch.Tensor:
        place = f"{NETWORK}model/{place}/{kind}"
        return conv(x, f"{place}_weights", f"{place}_bn_offset", stride)

    def separable(x: torch.Tensor, place: str, kernel: str, bias: str) -> torch.Tensor:
        x = conv(x, f"{place}/separable_conv2d/ReadVariableOp", None)
        return conv(x, f"{place}/{kernel}", f"{place}/{bias}").relu()

    x = torch.from_numpy(images).float().permute(0, 3, 1, 2) * float(np.float16(1 / 127.5)) - 1
    x, sources, number = F.relu6(folded(x, "Conv1", "Conv2D", 2)), [], 0
    for count, first in zip(BLOCKS, (1, 2, 2, 2, 1, 2, 1), strict=True):
        for k in range(count):
            name, y = f"block_{number}" if number else "expanded_conv", x
            if number:
                y = F.relu6(folded(y, f"{name}_expand", "Conv2D"))
            y = F.relu6(folded(y, f"{name}_depthwise", "depthwise", first if k == 0 else 1))
            y = folded(y, f"{name}_project", "Conv2D")
            x, number = x + y if k else y, number + 1
        sources.append(x)
    x = F.relu6(folded(x, "Conv_1", "Conv2D"))
    x = conv(x, f"{NETWORK}conv2d/Conv2D/ReadVariableOp", f"{NETWORK}conv2d/BiasAdd/ReadVariableOp")
    for i, source in enumerate((sources[3], sources[2], sources[1])):
        place = f"{NETWORK}conv2d_{i + 1}"
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = x + conv(source, f"{place}/Conv2D/ReadVariableOp", f"{place}/BiasAdd/ReadVariableOp")
        place = f"{NETWORK}separable_conv2d_{i}" if i else f"{NETWORK}separable_conv2d"
        x = separable(x, place, "separable_conv2d_weights", "separable_conv2d_bn_offset")
    outputs = {}
    for head, (number, last, _) in HEADS.items():
        place = f"{PREFIX}{head}/separable_conv2d_{number}"
        y = separable(x, place, "separable_conv2d/ReadVariableOp_1", "BiasAdd/ReadVariableOp")
        place = f"{PREFIX}{head}/conv2d_{last}"
        y = conv(y, f"{place}/Conv2D/ReadVariableOp", f"{place}/BiasAdd/ReadVariableOp")
        outputs[head] = y.permute(0, 2, 3, 1).numpy()
    return np.stack([decoded({head: maps[i] for head, maps in outputs.items()}) for i in range(len(images))])


def decoded(maps: dict[str, np.ndarray]) -> np.ndarray:
    """One person's joints from the heads' outputs (h, w, C), in loops."""
    height, width = maps["center_0"].shape[:2]
    heat = 1 / (1 + np.exp(-maps["kpt_heatmap_0"].astype(np.float64)))
    center = 1 / (1 + np.exp(-maps["center_0"][..., 0].astype(np.float64)))
    y, x = np.mgrid[:height, :width]
    center = center / (np.hypot(y - height // 2, x - width // 2) + 1.8)
    at = np.unravel_index(center.argmax(), center.shape)
    joints = []
    for k in range(17):
        near = np.array(at) + maps["kpt_regress_0"][at][2 * k : 2 * k + 2]
        weighted = heat[..., k] / (np.hypot(y - near[0], x - near[1]) + 1.8)
        cell = np.unravel_index(weighted.argmax(), weighted.shape)
        place = np.array(cell) + maps["kpt_offset_0"][cell][2 * k : 2 * k + 2]
        joints.append([*(place / (height, width)), heat[cell][k]])
    return np.array(joints)
