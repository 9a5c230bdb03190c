"""Time of training and prediction on a quiet machine and beside a busy process, by how OpenMP's threads wait.

    python benchmarks/beside_other_work.py [--networks efficientnet_lite0 resnet18] [--spins 1000 10000]

OpenMP's threads wait for each other by spinning first and sleeping then. On a quiet machine spinning is faster; beside
another busy process the spinning thread takes the processor from the thread it waits for. libgomp, of PyTorch's wheels
for Linux, reads how long to spin from `GOMP_SPINCOUNT` when it is loaded, so that each candidate is a process of its
own; they take turns. Candidates are libgomp's own default, `OMP_WAIT_POLICY=PASSIVE` (no spinning), what `logpose`
sets, `--spins`, and a single thread. Printed are the median of seconds a step and its ratio to libgomp's default in
the same round with quartiles: a training step of RLE as in `training_speed.py`, and the prediction of as many images.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from logpose.core.processor import SPINS
from training_speed import Way, measure_each, options, training

FIGURES = Path(__file__).parent / "figures" / "beside_other_work.json"
DEFAULT = "libgomp's default"
BUSY = "while True: pass"


def candidates(spins: list[int], threads: int) -> dict[str, tuple[dict[str, str], int]]:
    """The environment and the number of threads of each candidate."""
    spun: dict[str, tuple[dict[str, str], int]] = {
        f"{count:,} spins": ({"GOMP_SPINCOUNT": str(count)}, threads) for count in spins
    }
    return {
        DEFAULT: ({}, threads),
        f"logpose ({SPINS:,} spins)": ({"GOMP_SPINCOUNT": str(SPINS)}, threads),
        **spun,
        "passive": ({"OMP_WAIT_POLICY": "PASSIVE"}, threads),
        "1 thread": ({}, 1),
    }


def serve(pipe: Connection, network: str, bf16: bool, size: int, batch: int, threads: int) -> None:
    """Prepare a candidate, then time as many steps, and predictions, as are asked for, until None."""
    torch.set_num_threads(threads)
    step, model, images = training(network, Way(bf16, channels_last=True, compiled=False), size, batch)

    @torch.inference_mode()
    def predict() -> None:
        model.eval()(images)
        model.train()

    for _ in range(3):
        step()
        predict()
    pipe.send(None)
    while (count := pipe.recv()) is not None:
        seconds = []
        for work, times in ((step, count), (predict, 2 * count)):
            began = time.perf_counter()
            for _ in range(times):
                work()
            seconds.append((time.perf_counter() - began) / times)
        pipe.send(seconds)


def measure(network: str, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every candidate's training steps and predictions, quiet and beside a busy process, in rounds."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name, (environment, threads) in candidates(given.spins, given.threads).items():
        pipe, theirs = context.Pipe()
        os.environ.update(environment)
        bf16 = network in given.bf16
        arguments = (theirs, network, bf16, given.size, given.batch, threads)
        context.Process(target=serve, args=arguments, daemon=True).start()
        for variable in environment:
            del os.environ[variable]
        theirs.close()
        pipe.recv()
        pipes[name] = pipe
    figures: dict[str, Any] = {}
    for machine, processes in (("quiet", 0), ("busy", given.busy)):
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
        figures[machine] = {name: {"training": [], "prediction": []} for name in pipes}
        for _ in range(given.rounds):
            for name, pipe in pipes.items():
                pipe.send(given.steps)
                for work, seconds in zip(("training", "prediction"), pipe.recv(), strict=True):
                    figures[machine][name][work].append(seconds)
        for other in others:
            other.kill()
            other.wait()
    for pipe in pipes.values():
        pipe.send(None)
    return figures


def table(network: str, figures: dict[str, Any]) -> str:
    """A row a candidate and a machine."""
    lines = []
    for machine, names in figures.items():
        for work in ("training", "prediction"):
            lines.append(f"{network}, {work}, {machine} machine: seconds, × {DEFAULT} (quartiles)")
            for name, measured in names.items():
                pairs = zip(measured[work], names[DEFAULT][work], strict=True)
                low, middle, high = statistics.quantiles([own / default for own, default in pairs], n=4)
                seconds = statistics.median(measured[work])
                lines.append(f"  {name:24} {seconds:7.3f}  {middle:.2f} ({low:.2f} to {high:.2f})")
    return "\n".join(lines)


def main() -> None:
    """Measure each network."""
    parser = options(__doc__, ("efficientnet_lite0", "resnet18"), FIGURES)
    parser.add_argument("--bf16", nargs="*", default=["resnet18"], help="networks that train in bfloat16")
    parser.add_argument("--spins", nargs="*", type=int, default=[], help="further candidates for GOMP_SPINCOUNT")
    parser.add_argument("--busy", type=int, default=1, help="busy processes")
    measure_each(parser.parse_args(), measure, table)


if __name__ == "__main__":
    main()
