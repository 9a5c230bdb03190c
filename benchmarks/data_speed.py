"""The way from a JPEG to a training crop, and from predictions to COCO's figures, against what the field does.

    python benchmarks/data_speed.py FOLDER …                # data sets as `logpose train` takes them
    python benchmarks/data_speed.py FOLDER … --enlarge 4    # also with images four times as wide and high

Images a second on one thread, of the training pipeline (decode, augment, crop, targets) against a transcription of the
released code's (decode the whole image, half body, scale, rotation and mirror, one warp, floats, a target at a time)
and against the bare decoding of the file, turn by turn in one process; the median ratio and its quartiles. Then COCO's
evaluation of 6,352 people with random predictions against pycocotools, with the largest difference of a figure.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from logpose.core.samples import Image, Sample
from logpose.core.skeletons import COCO as BODY
from logpose.data import Augmentation, Crops, CropTransform, People
from logpose.data.files import annotation_files, open_people
from logpose.metrics.oks import coco_ap, coco_ground_truth

SIZES = ((256, 192), (128, 96))
EVALUATED, IN_IMAGE = 6352, 3


def transcription(sample: Sample, size: tuple[int, int], flip: tuple[int, ...], rng: np.random.Generator) -> object:
    """The released pipeline, line by line (half-body crops aside: they change no cost)."""
    height, width = size
    image = cv2.cvtColor(cv2.imread(str(sample.image)), cv2.COLOR_BGR2RGB)
    x, y, w, h = sample.box
    centre, extent = np.array([x + w / 2, y + h / 2]), np.array([w, h])
    if w > width / height * h:
        extent[1] = w * height / width
    else:
        extent[0] = h * width / height
    extent = extent * 1.25 * rng.uniform(0.75, 1.25)
    turn = rng.uniform(-45, 45) if rng.random() < 0.5 else 0.0
    joints, seen = sample.keypoints.copy(), sample.visible.copy()
    if rng.random() < 0.5:
        image = image[:, ::-1, :]
        centre[0] = image.shape[1] - centre[0] - 1
        for i, partner in enumerate(flip):
            joints[i] = (image.shape[1] - sample.keypoints[partner, 0] - 1, sample.keypoints[partner, 1])
            seen[i] = sample.visible[partner]
    angle = np.pi * turn / 180
    sine, cosine = np.sin(angle), np.cos(angle)
    source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    direction = np.array([extent[0] * 0.5 * sine, -extent[0] * 0.5 * cosine])
    source[0], source[1] = centre, centre + direction
    target[0], target[1] = (width / 2, height / 2), (width / 2, height / 2 - width / 2)
    for points in (source, target):
        edge = points[0] - points[1]
        points[2] = points[1] + np.array([-edge[1], edge[0]])
    matrix = cv2.getAffineTransform(source, target)
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    labels, weight = np.zeros((len(joints), 2), np.float32), np.zeros((len(joints), 2), np.float32)
    for i in range(len(joints)):
        if seen[i] > 0:
            labels[i] = matrix @ np.array([joints[i, 0], joints[i, 1], 1.0])
            labels[i, 0], labels[i, 1] = labels[i, 0] / width - 0.5, labels[i, 1] / height - 0.5
            weight[i] = 1
    pixels = torch.from_numpy(np.transpose(crop, (2, 0, 1)).copy()).float()
    if pixels.max() > 1:
        pixels /= 255
    pixels[0].add_(-0.406), pixels[1].add_(-0.457), pixels[2].add_(-0.480)
    return pixels, torch.from_numpy(labels), torch.from_numpy(weight)


def decoded(sample: Sample) -> Image:
    """The whole image and nothing else."""
    assert isinstance(sample.image, Path)
    image: Image = cv2.imdecode(np.frombuffer(sample.image.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    return image


def crops(people: People, size: tuple[int, int], count: int, rounds: int) -> None:
    """Print how fast each way is."""
    chosen = np.random.default_rng(0).choice(len(people), min(count, len(people)), replace=False)
    ours = Crops(people, CropTransform(people.skeleton, size, Augmentation(half_body_probability=0.0)))
    rng = np.random.default_rng(0)
    flip = people.skeleton.flip_index
    ways: dict[str, Callable[[int], object]] = {
        "logpose": lambda i: ours[0, i],
        "transcription": lambda i: transcription(people[i], size, flip, rng),
        "decode": lambda i: decoded(people[i]),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            for i in chosen:
                way(int(i))
            if turn:  # the first brings the files into memory
                times[name].append(time.perf_counter() - started)
    rates = {name: len(chosen) / statistics.median(spent) for name, spent in times.items()}
    text = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    for other in ("transcription", "decode"):
        low, middle, high = statistics.quantiles(
            [b / a for a, b in zip(times["logpose"], times[other], strict=True)], n=4
        )
        text += f"; {middle:.2f} ({low:.2f} … {high:.2f}) × {other}"
    print(f"  {size[0]}×{size[1]}, images/s: {text}", flush=True)


class Enlarged:
    """People in copies of their images that are a whole number of times as wide and high, as a phone takes them."""

    def __init__(self, people: People, factor: int, count: int, folder: Path) -> None:
        self.skeleton, self.samples = people.skeleton, []
        for i in range(min(count, len(people))):
            sample = people[i]
            assert isinstance(sample.image, Path)
            copy = folder / f"{sample.image.stem}.jpg"
            if not copy.exists():
                small = cv2.imread(str(sample.image))
                cv2.imwrite(str(copy), cv2.resize(small, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))
            keypoints = (sample.keypoints + 0.5) * factor - 0.5
            self.samples.append(replace(sample, image=copy, box=sample.box * factor, keypoints=keypoints))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def report(name: str, people: People) -> None:
    """Print what is measured now."""
    sides = np.array([decoded(people[i]).shape[:2] for i in range(0, len(people), -(-len(people) // 20))])
    print(f"{name}: {len(people)} people, images of about {np.median(sides, axis=0).astype(int).tolist()}")


def evaluation() -> None:
    """Print how fast COCO's figures come, and that they are the same."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 400, (EVALUATED, 17, 2))
    visible = rng.integers(0, 3, (EVALUATED, 17))
    visible[:, 0] = 2
    area = rng.uniform(32**2, 200**2, EVALUATED)
    boxes = np.concatenate([truth.min(axis=1), np.ptp(truth, axis=1)], axis=1)
    images = [i // IN_IMAGE for i in range(EVALUATED)]
    content = coco_ground_truth(truth, visible, boxes, area, images)
    placed: NDArray[np.float64] = truth + rng.normal(0, 0.05 * np.sqrt(area)[:, None, None], truth.shape)
    results = [
        {
            "image_id": images[i],
            "category_id": 1,
            "keypoints": np.column_stack([placed[i], np.ones(17)]).ravel().tolist(),
            "score": float(rng.random()),
        }
        for i in range(EVALUATED)
    ]

    def reference() -> list[float]:
        with contextlib.redirect_stdout(io.StringIO()):
            labels = COCO()
            labels.dataset = content
            labels.createIndex()
            measured = COCOeval(labels, labels.loadRes(results), "keypoints")
            measured.evaluate(), measured.accumulate(), measured.summarize()
        return list(map(float, measured.stats))

    figures: dict[str, list[float]] = {}
    times: dict[str, list[float]] = {"logpose": [], "pycocotools": []}
    for turn in range(8):
        for name, way in (
            ("logpose", lambda: list(coco_ap(content, results, BODY.sigmas).values())),
            ("pycocotools", reference),
        ):
            started = time.perf_counter()
            figures[name] = way()
            if turn:  # the first brings the libraries into memory
                times[name].append(time.perf_counter() - started)
    ratios = [b / a for a, b in zip(times["logpose"], times["pycocotools"], strict=True)]
    apart = max(abs(a - b) for a, b in zip(figures["logpose"], figures["pycocotools"], strict=True))
    seconds = {name: round(statistics.median(spent), 2) for name, spent in times.items()}
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"evaluation of {EVALUATED} people: {seconds} s, {middle:.1f} ({low:.1f} … {high:.1f}) times as fast")
    print(f"  AP {figures['logpose'][0]:.4f}; largest difference of a figure {apart:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--enlarge", type=int, default=0, help="measure copies so many times as wide and high, too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for data in given.data:
        people = open_people(annotation_files(data)["train"])
        report(data.name, people)
        for size in SIZES:
            crops(people, size, given.images, given.rounds)
        if given.enlarge > 1:
            with tempfile.TemporaryDirectory() as folder:
                large = Enlarged(people, given.enlarge, given.images, Path(folder))
                report(f"{data.name}, {given.enlarge} times as large", large)
                for size in SIZES:
                    crops(large, size, given.images, given.rounds)
    evaluation()


if __name__ == "__main__":
    main()
