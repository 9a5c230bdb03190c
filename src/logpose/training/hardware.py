"""How a network trains fastest on the hardware at hand: by a fixed rule, or by timing a few steps.

The rule gives the same for the same network and machine, so that runs of one seed do not depend on what else the
machine was doing. `benchmarks/training_speed.py` measures it.
"""

from __future__ import annotations

import copy
import itertools
import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from logpose.core.errors import InputError
from logpose.core.messages import first_line
from logpose.core.processor import cores
from logpose.losses import PoseLoss
from logpose.models import KeypointModel, Model
from logpose.training.recipe import TrainingRecipe

__all__ = ["compiled", "fastest", "has_depthwise_convolutions", "in_format", "note_other_work", "tuned"]

log = logging.getLogger("logpose")

R = TypeVar("R", bound=TrainingRecipe)
FORMATS: dict[Any, torch.memory_format] = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
DEPTHWISE = 8  # convolutions; fewer do not decide how long a step takes
ROUNDS = 3  # in which all candidates of `tuned` take turns
BUSY = 0.5  # cores of other processes that are reported
WORTH_COMPILING = 600.0  # seconds of all steps; compiling takes one to two minutes on two cores


def fastest(recipe: R, model: nn.Module) -> R:
    """The recipe with the fastest precision and memory format that are as good, where it has "auto".

    A GPU computes in bfloat16 where it can. A CPU does too where it has instructions for it (AVX-512 BF16, AMX), but
    for networks of depthwise convolutions, of which oneDNN has no fast kernels in bfloat16: they are faster in float32.
    Convolutions are faster in channels_last on both.
    """
    chosen: dict[str, Any] = {"precision": recipe.precision, "memory_format": recipe.memory_format}
    why = ""
    if recipe.memory_format == "auto":
        chosen["memory_format"] = "channels_last" if _has_convolutions(model) else "contiguous"
    if recipe.precision == "auto":
        if recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
            fast, why = torch.cuda.is_bf16_supported(including_emulation=False), "the GPU"
        elif recipe.accelerator not in ("auto", "cpu"):
            fast, why = False, recipe.accelerator
        elif has_depthwise_convolutions(model):
            fast, why = False, "depthwise convolutions"
        else:
            fast, why = torch.cpu._is_avx512_bf16_supported(), "this processor"
        chosen["precision"] = "bf16-mixed" if fast else "32-true"
    if why:
        log.info("--precision %s --memory-format %s: the fastest for %s", *chosen.values(), why)
    return replace(recipe, **chosen)


def note_other_work(others: float) -> None:
    """Report that other processes use so many cores, where fewer threads may be faster than all.

    It is not decided by itself: results depend on the number of threads in the last digits.
    """
    threads = torch.get_num_threads()
    if threads > 1 and others >= BUSY:
        count = cores()
        fewer = max(1, round(count - others))
        log.info(
            "other processes use %.1f of %d cores: if that lasts, --threads %d may be faster", others, count, fewer
        )


def has_depthwise_convolutions(model: nn.Module) -> bool:
    """Whether a network is made of convolutions that each take one channel."""
    depthwise = (m for m in model.modules() if isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels)
    return sum(1 for _ in depthwise) >= DEPTHWISE


def _has_convolutions(model: nn.Module) -> bool:
    """Whether a network has two-dimensional convolutions, which is what memory formats differ for."""
    return any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())


def in_format(model: nn.Module, memory_format: str) -> None:
    """Lay out a network's weights, in place; its losses have no images."""
    model.to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]


def compiled(model: nn.Module, device: torch.device) -> None:
    """Let `torch.compile` compile a network when it is first called.

    Raises:
        InputError: if it is a detector, whose images have many sizes, or if `torch.compile` does not work here.
    """
    if not isinstance(model, KeypointModel):
        raise InputError(f"--compile: {type(model).__name__} is not compiled, only networks of one input size are")
    if (error := _compiler_error(device)) is not None:
        raise InputError(f"--compile: torch.compile does not work on this machine ({error})")
    model.compile()


def _compiler_error(device: torch.device) -> str | None:
    """Why `torch.compile` does not work; None if it does. It needs a C++ compiler, or Triton on a GPU."""
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:
        return first_line(error)
    return None


def tuned(recipe: R, model: Model, loss: PoseLoss, batches: Sequence[Any], steps: int, device: torch.device) -> R:
    """The recipe with the precision, memory format and compilation that train fastest here, by timing steps.

    What the recipe fixes (no "auto") is kept. Candidates take turns, on copies of model and loss. Compilation is tried
    for runs of ten minutes or more, and counts with the time that it takes.

    Args:
        recipe: the recipe.
        model: the network.
        loss: its loss.
        batches: of training; forward and backward of each are timed.
        steps: how many the run has.
        device: that computes.
    """
    precisions = ["32-true", "bf16-mixed"] if recipe.precision == "auto" else [recipe.precision]
    formats = [recipe.memory_format]
    if recipe.memory_format == "auto":
        formats = list(FORMATS) if _has_convolutions(model) else ["contiguous"]
    ways = [
        replace(recipe, precision=precision, memory_format=memory_format, tune=False)
        for precision, memory_format in itertools.product(precisions, formats)
    ]
    seconds = _timed(ways, model, loss, batches, device)
    best = min(seconds)
    long = steps * best >= WORTH_COMPILING
    if long and not recipe.compile and isinstance(model, KeypointModel) and _compiler_error(device) is None:
        more = [replace(way, compile=True) for way in ways]
        ways, seconds = ways + more, seconds + _timed(more, model, loss, batches, device, steps)
    for way, step in sorted(zip(ways, seconds, strict=True), key=lambda pair: pair[1]):
        log.info("%s: %.3f s a step", _flags(way), step)
    chosen = ways[seconds.index(min(seconds))]
    log.info("%s: the fastest of %d, by --tune", _flags(chosen), len(ways))
    return chosen


def _flags(recipe: TrainingRecipe) -> str:
    """The flags of a way to train."""
    compiled = " --compile" if recipe.compile else ""
    return f"--precision {recipe.precision} --memory-format {recipe.memory_format}{compiled}"


def _timed(
    ways: Sequence[TrainingRecipe],
    model: Model,
    loss: PoseLoss,
    batches: Sequence[Any],
    device: torch.device,
    steps: float = math.inf,
) -> list[float]:
    """Seconds a step of each way, the first passes, which compile, spread over so many steps; infinite if it fails."""
    batches = [batch.to(device) for batch in batches]
    passes: list[Callable[[Any], None] | None] = []
    extra = []
    for way in ways:
        began = time.perf_counter()
        one = None
        try:
            step = _step(way, model, loss, device)
            for batch in batches:
                step(batch)
            one = step
        except (RuntimeError, TypeError) as error:  # a precision, a compiler or a memory that cannot do it
            log.info("%s: left out (%s)", _flags(way), first_line(error))
        passes.append(one)
        extra.append((time.perf_counter() - began) / steps)
    measured: list[list[float]] = [[] for _ in ways]
    for _, (one, times) in itertools.product(range(ROUNDS), zip(passes, measured, strict=True)):
        for batch in batches if one else ():
            began = time.perf_counter()
            one(batch)
            times.append(time.perf_counter() - began)
    return [statistics.median(times) + more if times else math.inf for times, more in zip(measured, extra, strict=True)]


def _step(way: TrainingRecipe, model: Model, loss: PoseLoss, device: torch.device) -> Callable[[Any], None]:
    """Forward and backward of a batch in one way, on copies of model and loss."""
    own, likelihood = copy.deepcopy(model).to(device).train(), copy.deepcopy(loss).to(device).train()
    in_format(own, way.memory_format)
    if way.compile:
        compiled(own, device)
    own.begin_epoch(0.0)
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(way.precision)

    def step(batch: Any) -> None:
        with torch.autocast(device.type, half) if half else nullcontext():
            total = own.training_losses(batch, likelihood).total
        total.backward()  # type: ignore[no-untyped-call]
        own.zero_grad()
        likelihood.zero_grad()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    return step
