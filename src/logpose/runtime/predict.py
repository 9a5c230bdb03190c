"""Keypoints of people in photographs by a model of `logpose export`: needs NumPy, OpenCV and ONNX Runtime alone.

python predict.py photo.jpg [--model model.onnx] [--box X Y WIDTH HEIGHT]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

LOOKS, STANDS = 4, 0.9  # at an image without boxes, and the overlap of two boxes at which the second is kept
NOBODY, LEAST_SIDE, MM = 0.25, 2.0, 2000.0  # deviation of nobody, of the box's side; least side, px; mm a unit of depth
NEEDED = ("task", "input", "outputs", "size", "padding", "error_distribution")  # of what a file has beside its graph


class Network:
    """A file of `logpose export`: inputs to outputs by name, and `facts`: skeleton, crops, calibration, licence."""

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
        try:
            facts, self._run = self._opened(str(path), threads)
            self.facts: dict[str, Any] = json.loads(facts)
            _ = [self.facts["export"][name] for name in NEEDED], self.facts["model"]["skeleton"]["joints"]
        except ImportError as error:
            raise ValueError(f"{path}: needs {error.name}: pip install {str(error.name).partition('.')[0]}") from error
        except Exception as error:  # whatever a runtime raises of a damaged file, and what is not there
            why = [*str(error).strip().splitlines(), type(error).__name__][0]
            raise ValueError(f"{path}: not a file of `logpose export` ({why:.160})") from error

    def _opened(self, path: str, threads: int) -> tuple[str, Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        facts = session.get_modelmeta().custom_metadata_map.get("logpose", "")
        return facts, lambda *given: session.run(None, dict(zip(("inputs", "sizes"), given, strict=False)))

    def __call__(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of a batch: `keypoints` (B, K, D), `confidence` (B, K), and those that the model has besides."""
        return dict(zip(self.facts["export"]["outputs"], self._run(*inputs), strict=True))


class People(NamedTuple):
    """The people of an image; N of them, K joints, lengths in pixels (of depth in millimetres)."""

    boxes: np.ndarray  # (N, 4): x, y, width, height
    keypoints: np.ndarray  # (N, K, D): expected positions
    sigma: np.ndarray | None  # (N, K, D): standard deviations
    confidence: np.ndarray  # (N, K)
    scores: np.ndarray  # (N,): the box's + the mean + the largest confidence
    radius: dict[str, np.ndarray]  # by level (N, K, 2): half axes of the regions that hold a joint
    correlation: np.ndarray | None = None  # (N, K): of errors along x and y
    visible: np.ndarray | None = None  # (N, K): probability that a joint is visible

    def rows(self) -> list[dict[str, Any]]:
        """Plain values, one row for each person."""
        known = {name: value for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        rows = [{name: value[i].round(3).tolist() for name, value in known.items()} for i in range(len(self.boxes))]
        for i, row in enumerate(rows):
            row["radius"] = {level: axes[i].round(3).tolist() for level, axes in self.radius.items()}
        return rows


class Predictor:
    """Finds the joints of people by the file of a pose model or its `Network`; nobody where they stay too uncertain."""

    def __init__(self, model: str | Path | Network, batch_size: int = 64) -> None:
        self.network = model if isinstance(model, Network) else Network(model)
        self.facts, self.calibration = self.network.facts["export"], self.network.facts.get("calibration") or {}
        if self.facts["task"] != "pose" or self.network.facts["model"]["skeleton"].get("categories"):
            raise ValueError("a model of the joints of one kind of object is needed; logpose.Predictor takes others")
        self.crop, self.batch_size = np.array(self.facts["size"][::-1]), batch_size

    def __call__(self, image: np.ndarray | str | Path, boxes: Any = None) -> People:
        """People in boxes (x, y, width, height, perhaps score) of an RGB image or file; without, one is looked for."""
        pixels: Any = image
        if not isinstance(image, np.ndarray):
            data = np.fromfile(image, np.uint8) if Path(image).is_file() else np.empty(0, np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
            if pixels is None:
                raise ValueError(f"{image}: no image that can be read")
        if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,) or not pixels.size:
            raise ValueError(f"an image is RGB of 8 bits, (H, W, 3), not {pixels.dtype} of {pixels.shape}")
        size = np.array(pixels.shape[1::-1], dtype=np.float64)
        rows = np.array([[0, 0, *size]] if boxes is None else boxes if len(boxes) else np.empty((0, 4)), np.float64)
        if rows.shape[1:] not in ((4,), (5,)) or not np.isfinite(rows).all() or (rows[:, 2:4] <= 0).any():
            raise ValueError("boxes are x, y, width > 0, height > 0 and perhaps a score")
        found = self.predicted(pixels, rows)
        for _ in range(0 if boxes is not None else LOOKS - 1):
            (start, sides), points = rows.reshape(2, 2), found.keypoints[0, :, :2]
            low = np.floor(points.min(axis=0)).clip(0, np.maximum(size - LEAST_SIDE, 0))
            high = np.ceil(points.max(axis=0)).clip(np.minimum(low + LEAST_SIDE, size), size)
            both = (np.minimum(high, start + sides) - np.maximum(low, start)).clip(0).prod()
            if both >= STANDS * ((high - low).prod() + sides.prod() - both):
                break
            rows = np.array([[*low, *(high - low)]])
            found = self.predicted(pixels, rows)
        nobody = (self.calibration.get("uncertain") or NOBODY) * max(rows[:, 2:4].ravel(), default=0)
        gone = boxes is None and found.sigma is not None and np.median(found.sigma[0, :, :2].mean(axis=1)) > nobody
        return self.predicted(pixels, rows[:0]) if gone else found

    def predicted(self, image: np.ndarray, boxes: np.ndarray) -> People:
        """The joints in the regions around boxes."""
        width = np.maximum(boxes[:, 2], boxes[:, 3] * self.crop[0] / self.crop[1]) * self.facts["padding"]
        extent = np.stack([width, width * self.crop[1] / self.crop[0]], axis=1)
        corner = boxes[:, :2] + boxes[:, 2:4] / 2 - extent / 2
        crops = np.zeros((len(boxes) or 1, *self.crop[::-1], 3), np.uint8)  # of nobody a black one, left out below
        for crop, s, (x, y) in zip(crops, self.crop[0] / width, corner, strict=False):
            cv2.warpAffine(image, np.array([[s, 0, -s * x], [0, s, -s * y]]), self.crop.tolist(), dst=crop)
        inputs, step = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)), self.batch_size
        parts = [self.network(inputs[i : i + step]) for i in range(0, len(inputs), step)]
        out = {k: np.concatenate([each[k] for each in parts])[: len(boxes)].astype(np.float64) for k in parts[0]}
        unit = np.pad(extent, ((0, 0), (0, out["keypoints"].shape[-1] - 2)), constant_values=MM)[:, None]
        points, std, sure = out["keypoints"] * unit, out["std"] * unit if "std" in out else None, out["confidence"]
        points[..., :2] += (corner + extent / 2)[:, None]
        scores = sure.mean(axis=1) + sure.max(axis=1) + (boxes[:, 4] if boxes.shape[1] > 4 else 1)
        regions = {} if std is None else self.regions(boxes, std, out["radius"])
        return People(boxes[:, :4], points, std, sure, scores, regions, out.get("correlation"), out.get("visible"))

    def regions(self, boxes: np.ndarray, std: np.ndarray, radius: np.ndarray) -> dict[str, np.ndarray]:
        """Half axes of the regions of people with these boxes and standard deviations, by level."""
        own = self.calibration or {"sizes": [], "radii": radius[:1], "levels": self.facts["levels"]}
        radii = np.array(own["radii"])[np.searchsorted(own["sizes"], boxes[:, 2:4].max(axis=1))]
        return {f"{level:g}": radii[..., i, None] * std[..., :2] for i, level in enumerate(own["levels"])}


def main() -> None:
    """Print the people of a photograph as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).with_name("model.onnx"))
    parser.add_argument("--box", type=float, nargs=4, action="append", metavar=("X", "Y", "WIDTH", "HEIGHT"))
    given = parser.parse_args()
    try:
        print(json.dumps(Predictor(given.model)(given.image, given.box).rows()))
    except ValueError as error:
        raise SystemExit(f"predict.py: {error}") from None


if __name__ == "__main__":
    main()
