"""How a network trains fastest on the hardware at hand: a fixed rule, the same for the same network and machine."""

from __future__ import annotations

import logging

import torch
from torch import nn

from logpose.training.recipe import TrainingRecipe

__all__ = ["fastest_precision", "has_depthwise_convolutions"]

log = logging.getLogger("logpose")

DEPTHWISE = 8  # convolutions; fewer do not decide how long a step takes


def fastest_precision(recipe: TrainingRecipe, model: nn.Module) -> str:
    """Lightning's precision: the recipe's, or, where that is "auto", the fastest that is as good.

    A GPU computes in bfloat16 where it can. A CPU does too where it has instructions for it (AVX-512 BF16, AMX), but
    for networks of depthwise convolutions, of which oneDNN has no fast kernels in bfloat16: they are faster in float32.
    `benchmarks/training_speed.py` measures both.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        fast, why = torch.cuda.is_bf16_supported(including_emulation=False), "the GPU"
    elif recipe.accelerator not in ("auto", "cpu"):
        fast, why = False, recipe.accelerator
    elif has_depthwise_convolutions(model):
        fast, why = False, "depthwise convolutions"
    else:
        fast, why = torch.cpu._is_avx512_bf16_supported(), "this processor"
    precision = "bf16-mixed" if fast else "32-true"
    log.info("--precision %s: the fastest for %s", precision, why)
    return precision


def has_depthwise_convolutions(model: nn.Module) -> bool:
    """Whether a network is made of convolutions that each take one channel."""
    depthwise = (m for m in model.modules() if isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels)
    return sum(1 for _ in depthwise) >= DEPTHWISE
