"""`evaluate`: how good a model is on a data set, whatever its task; each task adds its evaluator and its batches."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader

from logpose.core.progress import track
from logpose.core.structures import Evaluator
from logpose.models import Model

__all__ = ["evaluate"]

AnyEvaluator = TypeVar("AnyEvaluator", bound=Evaluator[Any])


def evaluate(
    model: Model,
    evaluator: AnyEvaluator,
    loader: DataLoader[Any],
    *,
    flip_test: bool = False,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> AnyEvaluator:
    """Predict every batch of a data set and collect the predictions; nothing is computed of them yet.

    Args:
        model: put on `device` and into evaluation mode, as the evaluator's loss is.
        evaluator: collects the predictions; its `compute` gives the figures.
        loader: batches of the evaluator's data set.
        flip_test: whether to average with the prediction on mirrored inputs.
        device: where to predict.
        show_progress: whether to report progress on stderr.

    Returns:
        the evaluator.

    Raises:
        InputError: if a flip test is asked of a model that has none.
    """
    model.to(device).eval()
    if evaluator.loss is not None:
        evaluator.loss.to(device).eval()
    with torch.inference_mode():
        for batch in track(loader, "evaluating", unit="batches") if show_progress else loader:
            on_device = batch.to(device)
            evaluator.update(on_device, model.predict(on_device, flip_test))
    return evaluator
