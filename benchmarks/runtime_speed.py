"""How fast exported models predict: by ONNX Runtime and OpenVINO against PyTorch, of crops, of a crowd, of a folder.

    python benchmarks/runtime_speed.py                     # needs the extra `export`; about ten minutes
    python benchmarks/runtime_speed.py --parts folder --photos PATH/TO/PHOTOS

`crops`: a batch of one crop through the network and everything behind it (`ExportGraph`), by PyTorch as it comes and
by files of `logpose export`. `crowd`: an image file with 16 boxes to JSON, against a plain loop that crops one person
after the other for PyTorch, and beside what cannot be avoided: decoding, and the network at its best batch. `folder`:
photographs a second of `Predictor.many` with an ONNX file, beside the limit of each of its parts, and its memory.
Rounds of all candidates take turns in one process; printed are medians and the ratio to the first in the same round
with its quartiles. Weights are random, which changes nothing of the cost; what 8 bits cost in accuracy, `logpose
export` measures for a trained model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from logpose import Predictor, runtime
from logpose.core.skeletons import COCO
from logpose.data.images import read_image
from logpose.data.synthetic import SyntheticPeople
from logpose.export.graph import ExportGraph, facts_of
from logpose.export.target import Precision
from logpose.export.targets import TARGETS
from logpose.losses import RLELoss
from logpose.models import MoveNet, RegressionModel, create_backbone
from logpose.models.movenet import MoveNetTrunk

NETWORKS: dict[str, Callable[[], Any]] = {
    "ResNet-50, 256×192": lambda: regression("resnet50", (256, 192)),
    "EfficientNet-Lite0, 192×192": lambda: regression("efficientnet_lite0", (192, 192)),
    "MoveNet Thunder, 256×256": lambda: MoveNet(MoveNetTrunk("thunder"), COCO, (256, 256)).eval(),
}
FILES: dict[str, tuple[str, Precision]] = {
    "ONNX Runtime": ("onnx", "single"),
    "OpenVINO": ("openvino", "single"),
    "ONNX Runtime, 8 bits": ("onnx", "int8"),
    "OpenVINO, 8 bits": ("openvino", "int8"),
}
BATCH = 8  # of a network alone; from 2 on, crops cost the same
PEOPLE, PHOTOS = 16, 1000
REST = 0.1  # seconds before each measurement: threads of the runtime before may still be spinning


def regression(backbone: str, size: tuple[int, int]) -> RegressionModel:
    """A model of COCO's joints with the error distribution of RLE."""
    model = RegressionModel(create_backbone(backbone, size), COCO, size)
    model.set_error_distribution(RLELoss().error_distribution())
    return model.eval()


def crops_of(model: Any, count: int) -> np.ndarray:
    """Inputs that the ranges of 8 bits can be taken from."""
    shape, drawn = model.example_input().shape[1:], SyntheticPeople(count, 0, people=(1, 1))
    return np.stack([cv2.resize(drawn[i].image, tuple(shape[:0:-1])).transpose(2, 0, 1) for i in range(count)])


def written(model: Any, folder: Path, kinds: dict[str, tuple[str, Precision]]) -> dict[str, Path]:
    """Files of a model, by the name of their runtime."""
    inputs, files = [crops_of(model, 32)], {}
    for name, (kind, precision) in kinds.items():
        graph, path = ExportGraph(model), folder / f"{kind}-{precision}{TARGETS[kind].suffix}"
        TARGETS[kind].write(graph, facts_of(graph, precision, {}), path, inputs)
        files[name] = path
    return files


def rounds_of(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(rounds + 1):
        for name, candidate in candidates.items():
            time.sleep(REST)
            started = time.perf_counter()
            candidate()
            if i:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def table(title: str, seconds: dict[str, list[float]]) -> None:
    """Medians, and how many times as fast as the first each is."""
    print(f"\n{title}\n\n| | ms | times as fast (quartiles) |\n|---|---|---|")
    first = next(iter(seconds.values()))
    for name, own in seconds.items():
        low, middle, high = statistics.quantiles([a / b for a, b in zip(first, own, strict=True)], n=4)
        print(f"| {name} | {statistics.median(own) * 1e3:.1f} | {middle:.2f} ({low:.2f} … {high:.2f}) |", flush=True)


def eager(model: Any) -> Callable[[np.ndarray], Any]:
    """A model as PyTorch runs it."""
    graph = ExportGraph(model).eval()
    return torch.inference_mode()(lambda inputs: graph(torch.from_numpy(inputs)))


def crops(title: str, model: Any, folder: Path, threads: int, rounds: int) -> None:
    """One crop at a time."""
    one, torch_model = crops_of(model, 1), eager(model)
    networks = {name: runtime.open_network(file, threads) for name, file in written(model, folder, FILES).items()}
    calls = {name: lambda network=network: network(one) for name, network in networks.items()}
    table(f"{title}, one crop", rounds_of({"PyTorch": lambda: torch_model(one), **calls}, rounds))


def crowd(title: str, model: Any, folder: Path, threads: int, rounds: int) -> None:
    """An image with 16 people, from its file to JSON."""
    generator, photo = np.random.default_rng(0), folder / "crowd.jpg"
    cv2.imwrite(str(photo), cv2.resize(SyntheticPeople(1, 0, people=(3, 3))[0].image, (1280, 960)))
    corners = generator.uniform((0, 0), (1000, 560), (PEOPLE, 2))
    boxes = np.hstack([corners, generator.uniform((120, 240), (240, 400), (PEOPLE, 2))]).tolist()
    whole, torch_model = Predictor(model), eager(model)
    files = written(model, folder, {name: FILES[name] for name in ("ONNX Runtime", "OpenVINO")})
    predictors = {name: runtime.Predictor(runtime.open_network(file, threads)) for name, file in files.items()}

    def plain() -> str:
        pixels, rows = read_image(photo), []
        for box in boxes:
            keypoints, _, std, *_ = torch_model(whole.crop(pixels, np.array(box)).images.numpy())
            rows.append({"keypoints": keypoints.tolist(), "sigma": std.tolist()})
        return json.dumps(rows)

    def of(predictor: Any) -> str:
        found = predictor(photo, boxes)
        return json.dumps({"keypoints": found.keypoints.tolist(), "sigma": found.sigma.tolist()})

    def least(network: Callable[[np.ndarray], Any]) -> Callable[[], None]:
        inputs = crops_of(model, PEOPLE)

        def work() -> None:
            read_image(photo)
            for start in range(0, PEOPLE, BATCH):
                network(inputs[start : start + BATCH])

        return work

    candidates = {"plain loop, PyTorch": plain, "Predictor, PyTorch": lambda: of(whole)}
    for name, own in predictors.items():
        candidates[f"Predictor, {name}"] = lambda own=own: of(own)
        candidates[f"decoding and network alone, {name}"] = least(own.network)
    table(f"{title}, an image of {PEOPLE} people to JSON", rounds_of(candidates, rounds))


def memory() -> float:
    """Resident memory of this process, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def folder(title: str, model: Any, folder: Path, photos: Path | None, rounds: int) -> None:
    """Many photographs, each with a box of one person."""
    if photos is None:
        drawn, photos = SyntheticPeople(20, 0, people=(1, 2)), folder / "photos"
        photos.mkdir()
        for i in range(PHOTOS):
            cv2.imwrite(str(photos / f"{i:04}.jpg"), cv2.resize(drawn[i % 20].image, (640, 480)))
    files = sorted(each for each in photos.iterdir() if each.suffix.lower() in (".jpg", ".jpeg", ".png"))[:PHOTOS]
    predictor = Predictor(written(model, folder, {"ONNX Runtime": FILES["ONNX Runtime"]})["ONNX Runtime"])
    images = [read_image(file) for file in files[:64]]
    boxes = [[[0.0, 0.0, *image.shape[1::-1]]] for image in images]
    inputs = torch.from_numpy(crops_of(model, len(images)))
    parts = rounds_of(
        {
            "decoding": lambda: [read_image(file) for file in files[:64]],
            "crops": lambda: [predictor.crop(*pair) for pair in zip(images, np.array(boxes)[:, 0], strict=True)],
            "network": torch.inference_mode()(lambda: predictor.model(inputs)),
        },
        rounds,
    )
    each = {name: statistics.median(own) / len(images) for name, own in parts.items()}
    list(predictor.many((file, box) for file, box in zip(files[:64], boxes, strict=True)))
    before, used, started = memory(), [], time.perf_counter()
    pairs = ((file, [[0.0, 0.0, 300.0, 300.0]]) for file in files)
    for i, _ in enumerate(predictor.many(pairs)):
        if i % 100 == 99:
            used.append(memory() - before)
    rate = len(files) / (time.perf_counter() - started)
    print(
        f"\n{title}, {len(files)} photographs\n\n| | photographs a second |\n|---|---|\n| Predictor.many | {rate:.1f} |"
    )
    for name, own in each.items():
        print(f"| {name} alone | {1 / own:.1f} |")
    print(f"| one after the other | {1 / sum(each.values()):.1f} |")
    print(f"\nmemory, MB more than before the first, every 100: {', '.join(f'{mb:.0f}' for mb in used)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--parts", nargs="+", default=["crops", "crowd", "folder"], choices=["crops", "crowd", "folder"]
    )
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--photos", type=Path, help="for `folder`: photographs; drawn ones otherwise")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for part in given.parts:
        for name in given.networks:
            model = NETWORKS[name]()
            with tempfile.TemporaryDirectory() as place:
                if part == "crops":
                    crops(name, model, Path(place), given.threads, given.rounds)
                elif model.error_distribution.std.isfinite().all():  # MoveNet has no sigma
                    if part == "crowd":
                        crowd(name, model, Path(place), given.threads, given.rounds)
                    else:
                        folder(name, model, Path(place), given.photos, given.rounds)


if __name__ == "__main__":
    main()
