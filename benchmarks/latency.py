"""How long prediction takes: regression against heatmaps, Integral Pose and HRNet, through the path that `eval` takes.

    python benchmarks/latency.py

A batch of crops goes through the network, is decoded, brought back into pixels of the image and taken in by the
evaluation, as `logpose eval` does it (`model.predict` and `Evaluation.update`), without and with the flip
test. Rounds of all models take turns in one process; printed are the median time for a crop, and the median ratio to
ResNet-50 with RLE in the same round with its quartiles. Weights are random: they change nothing of the cost.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from logpose.core.structures import Batch
from logpose.data import Crops, CropTransform, InMemory
from logpose.data.batches import collate
from logpose.data.synthetic import SyntheticPeople
from logpose.models import PoseModel
from logpose.report.systems import SYSTEMS
from logpose.tasks.pose.evaluate import Evaluation

COMPARED = ("resnet50_rle", "resnet50_direct", "resnet50_simplepose", "hrnet_w32_heatmap", "hrnet_w32_rle")


def batch_of(count: int, people: InMemory, model: PoseModel) -> Batch:
    """Crops of the first people."""
    crops = Crops(people, CropTransform(model.skeleton, model.size))
    return collate([crops[0, i] for i in range(count)])


def seconds(model: PoseModel, batch: Batch, people: InMemory, flip_test: bool) -> float:
    """Time of one batch, from crops to what evaluation keeps."""
    evaluation = Evaluation(people, model)
    if batch.images.is_cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    evaluation.update(batch, model.predict(batch, flip_test))  # ends on the CPU
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(COMPARED), choices=list(SYSTEMS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    people = InMemory(SyntheticPeople(given.batch, 0, people=(1, 1)))
    models = {name: SYSTEMS[name].make().to(given.device).eval() for name in given.models}
    batches = {name: batch_of(given.batch, people, model).to(given.device) for name, model in models.items()}
    print("| model | flip test | ms a crop | ratio to the first (quartiles) |\n|---|---|---|---|")
    with torch.inference_mode():
        for flip_test in (False, True):
            rounds = [
                {name: seconds(model, batches[name], people, flip_test) for name, model in models.items()}
                for _ in range(given.rounds + 1)
            ][1:]  # the first one warms up
            for name in models:
                milliseconds = statistics.median(row[name] for row in rounds) / given.batch * 1e3
                ratios = [row[name] / row[given.models[0]] for row in rounds]
                low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
                ratio = f"{middle:.2f} ({low:.2f} … {high:.2f})"
                print(f"| {name} | {'yes' if flip_test else 'no'} | {milliseconds:.1f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
