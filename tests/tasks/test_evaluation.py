"""One way to evaluate, whatever the task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from logpose.core.structures import Evaluator
from logpose.tasks.evaluation import evaluate


class Recorder(Evaluator[float]):
    """Keeps what `evaluate` hands it."""

    def update(self, batch: Any, prediction: float, /) -> None:
        assert not torch.is_grad_enabled()
        self.add(batch.index, prediction)

    def is_finite(self) -> bool:
        return True

    def compute(self, costly: bool = True) -> dict[str, float]:
        return {"sum": sum(self.rows.values())}


class Batch(SimpleNamespace):
    def to(self, device: torch.device | str) -> Batch:
        return Batch(index=self.index, value=self.value, device=str(device))


def model_class() -> type:
    from logpose.core.skeletons import COCO
    from logpose.models import Model

    class Doubling(Model):
        output_type = "coordinates"

        def __init__(self) -> None:
            super().__init__(COCO, 2)

        def training_losses(self, batch: Any, loss: Any) -> Any:
            raise NotImplementedError

        def predict(self, batch: Any, flip_test: bool = False) -> float:
            assert batch.device == "cpu"
            assert not self.training
            return (-2.0 if flip_test else 2.0) * batch.value

        input_spec = "numbers"

        def example_input(self) -> torch.Tensor:
            return torch.zeros(1)

        def config(self) -> dict[str, Any]:
            return {}

    return Doubling


@pytest.mark.parametrize("flip_test", [True, False])
@pytest.mark.parametrize("show_progress", [True, False])
def test_every_batch_reaches_the_evaluator(
    flip_test: bool, show_progress: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = nn.Linear(1, 1).train()
    evaluator = Recorder(loss)
    loader: Any = torch.utils.data.DataLoader(
        [Batch(index=i, value=float(i)) for i in range(5)], batch_size=None, collate_fn=lambda batch: batch
    )
    same = evaluate(model_class()().train(), evaluator, loader, flip_test=flip_test, show_progress=show_progress)
    assert same is evaluator
    assert evaluator.rows == {i: (-2.0 if flip_test else 2.0) * i for i in range(5)}
    assert not loss.training
    assert capsys.readouterr().err == ""  # short work prints nothing where there is no terminal
