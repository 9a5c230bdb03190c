"""The moving average of weights, and that a copy of a module does not copy its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny_runs import people, tiny

from logpose.training.averaging import MovingAverage
from logpose.training.checkpoint import read
from logpose.training.run import fit


class Weights(Callback):
    """Keeps a weight after every step, and the average of it that validations see."""

    name = "fc_mu.weight"

    def __init__(self) -> None:
        self.after: list[torch.Tensor] = []
        self.validated: list[torch.Tensor] = []
        self.data: list[Any] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        self.after.append(module.model.get_parameter(self.name).detach().clone())
        averages = [each for each in trainer.callbacks if isinstance(each, MovingAverage)]
        self.data = [each._average_model.module.data for each in averages]

    def on_validation_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
        if len(self.validated) == trainer.current_epoch:
            self.validated.append(module.model.get_parameter(self.name).detach().clone())


@pytest.mark.parametrize("decay", [0.3, 0.9])
def test_it_is_the_sum_with_weights_that_decay(decay: float, tmp_path: Path) -> None:
    """A sum in float64, over the weights after each step; the decay in step n is (1 + n) / (10 + n) at most."""
    seen = Weights()
    recipe = tiny(loss="l1", ema=decay, epochs=2, lr=1e-2)
    fit(recipe, tmp_path, callbacks=(seen,))
    shares = [1.0]
    for n in range(1, len(seen.after)):
        kept = min(decay, (1 + n) / (10 + n))
        shares = [share * kept for share in shares] + [1 - kept]
    expected = sum(share * weight.double() for share, weight in zip(shares, seen.after, strict=True))
    assert torch.allclose(seen.validated[-1].double(), expected, rtol=0, atol=1e-7)
    saved = read(tmp_path / "last.ckpt")["state_dict"][f"model.{seen.name}"]
    assert torch.equal(saved, seen.validated[-1])
    assert not torch.equal(saved, seen.after[-1])
    assert seen.data[0] is people(recipe, "val")


def test_what_does_not_change_stays_to_the_bit(tmp_path: Path) -> None:
    fit(tiny(loss="l1", ema=0.7), tmp_path)
    content = read(tmp_path / "last.ckpt")
    for name in ("model.pixel_mean", "model.pixel_std", "model.backbone.layers.1.num_batches_tracked"):
        assert torch.equal(content["state_dict"][name], content["current_model_state"][name])
