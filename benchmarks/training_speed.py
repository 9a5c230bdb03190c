"""Images a second of a training step, by precision, memory layout and compilation, against a plain loop.

    python benchmarks/training_speed.py [--networks resnet18 efficientnet_lite0] [--size 128] [--batch 32]

A step is what `logpose train` does with a batch that is there: forward, RLE, backward, Adam, gradients of at most
norm 1. The plain loop is the same in float32, contiguous, eager, without `keep_freed_memory`. Every candidate is a
process of its own, as settings of the allocator and of compilation cannot be undone; they take turns, one at a time,
and the others wait without using the processor. Printed are the median of images a second, the ratio to the plain
loop in the same round with its quartiles, and which choice `logpose train` makes by its rule. `vit` needs timm.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

FIGURES = Path(__file__).parent / "figures" / "training_speed.json"
NETWORKS = ("resnet18", "resnet50", "efficientnet_lite0", "timm/vit_small_patch16_224")


class Way(NamedTuple):
    """How a candidate trains."""

    bf16: bool
    channels_last: bool
    compiled: bool
    plain: bool = False

    def __str__(self) -> str:
        if self.plain:
            return "plain loop"
        layout = "channels_last" if self.channels_last else "contiguous"
        return f"{'bf16' if self.bf16 else 'fp32'}, {layout}, {'compiled' if self.compiled else 'eager'}"


PLAIN = Way(False, False, False, plain=True)
WAYS = [Way(bf16, last, compiled) for compiled in (False, True) for last in (False, True) for bf16 in (False, True)]


def training(network: str, way: Way, size: int, batch: int) -> tuple[Callable[[], None], Any, Tensor]:
    """A step of training in one way; its model and its batch of images."""
    from logpose import RLELoss
    from logpose.core.compat import keep_freed_memory
    from logpose.core.skeletons import COCO
    from logpose.models import RegressionModel, create_backbone

    if not way.plain:
        keep_freed_memory()
    torch.manual_seed(0)
    model, loss = RegressionModel(create_backbone(network, (size, size)), COCO, (size, size)).train(), RLELoss()
    if way.channels_last:
        model.to(memory_format=torch.channels_last)
    if way.compiled:
        model.compile()
    parameters = [*model.parameters(), *loss.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    if way.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    target, weight = torch.rand(batch, 17, 2) - 0.5, torch.ones(batch, 17)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=way.bf16):
            predicted = model(images)
            value = loss(predicted.mu, predicted.sigma, target, weight)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step, model, images


def serve(pipe: Connection, network: str, way: Way, size: int, batch: int, threads: int) -> None:
    """Prepare a candidate, then time as many steps as are asked for, until None."""
    torch.set_num_threads(threads)
    step, _, _ = training(network, way, size, batch)
    began = time.perf_counter()
    for _ in range(3):
        step()
    pipe.send(time.perf_counter() - began)
    while (count := pipe.recv()) is not None:
        began = time.perf_counter()
        for _ in range(count):
            step()
        pipe.send((time.perf_counter() - began) / count)


def measure(network: str, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds a step of every way, in rounds; first, seconds until a candidate had made three steps."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    first = {}
    for way in (PLAIN, *WAYS):
        pipe, theirs = context.Pipe()
        arguments = (theirs, network, way, given.size, given.batch, given.threads)
        process = context.Process(target=serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        workers[way] = (process, pipe)
        first[str(way)] = pipe.recv()
        print(f"  {way}: three steps after {first[str(way)]:.1f} s", flush=True)
    seconds: dict[str, list[float]] = {str(way): [] for way in workers}
    for _ in range(given.rounds):
        for way, (_, pipe) in workers.items():
            pipe.send(given.steps)
            seconds[str(way)].append(pipe.recv())
    for process, pipe in workers.values():
        pipe.send(None)
        process.join()
    return {"first": first, "seconds": seconds}


def table(network: str, figures: dict[str, Any], batch: int) -> str:
    """A row a way, the fastest first."""
    seconds = figures["seconds"]
    lines = [f"{network}", f"{'':34} {'images/s':>9}  × plain loop (quartiles)"]
    for way in sorted(seconds, key=lambda way: statistics.median(seconds[way])):
        ratios = [plain / own for plain, own in zip(seconds[str(PLAIN)], seconds[way], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        lines.append(f"{way:34} {batch / statistics.median(seconds[way]):9.1f}  {middle:.2f} ({low:.2f} to {high:.2f})")
    return "\n".join(lines)


def options(description: str | None, networks: Sequence[str], figures: Path) -> argparse.ArgumentParser:
    """The options of a benchmark of steps, with its defaults."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=list(networks))
    parser.add_argument("--size", type=int, default=128, help="side of the images")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="steps of a candidate in a round")
    parser.add_argument("--figures", type=Path, default=figures)
    return parser


def measure_each(
    given: argparse.Namespace,
    measure: Callable[[str, argparse.Namespace], dict[str, Any]],
    table: Callable[[str, dict[str, Any]], str],
) -> None:
    """Measure each network, save its figures when it is done, and print their table."""
    kept = json.loads(given.figures.read_text()) if given.figures.exists() else {}
    for network in given.networks:
        print(network, flush=True)
        kept[f"{network} {given.size} {given.batch}"] = figures = measure(network, given)
        given.figures.parent.mkdir(parents=True, exist_ok=True)
        given.figures.write_text(json.dumps(kept, indent=1) + "\n")
        print(table(network, figures), flush=True)


def main() -> None:
    """Measure each network."""
    given = options(__doc__, NETWORKS, FIGURES).parse_args()
    measure_each(given, measure, partial(table, batch=given.batch))


if __name__ == "__main__":
    main()
