"""Moving average of the weights, through Lightning's `WeightAveraging`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from logpose.core.compat import patch_torchvision

patch_torchvision()
from lightning.pytorch.callbacks import WeightAveraging  # noqa: E402  (imports torchvision where it is installed)

__all__ = ["MovingAverage"]


class MovingAverage(WeightAveraging):
    """Exponential moving average of all weights and of batch normalisation's statistics, updated after every step.

    It is validated and saved in place of the weights that are being trained. The decay rises to its value as
    (1 + n) / (10 + n) in step n: at first the average follows the weights, so that a short run does not keep its
    random start (the `num_updates` of TensorFlow's `ExponentialMovingAverage`). After n steps it covers about the
    last n / 9, and never more than about 1 / (1 - decay).

    Args:
        decay: weight of the average so far, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._update)
        self.decay = decay

    @torch.no_grad()
    def _update(self, averages: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        """Move averages towards tensors of the same type; what is no real number (a count of batches) is copied."""
        done = int(count)
        decay = min(self.decay, (1 + done) / (10 + done))
        if averages[0].is_floating_point():
            # Unlike decay × average + (1 - decay) × value, this leaves what does not change as it is, to the bit.
            torch._foreach_lerp_(list(averages), list(current), 1 - decay)
        else:
            torch._foreach_copy_(list(averages), list(current))
