"""One way to evaluate, whatever the task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from logpose.core.skeletons import COCO, Skeleton
from logpose.core.structures import Evaluator
from logpose.losses import Gaussian
from logpose.metrics.oks import oks
from logpose.models import RegressionModel, create_backbone
from logpose.tasks.evaluation import Found, evaluate, pose_figures


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


def test_the_oks_that_is_expected_comes_out_where_spreads_are_right() -> None:
    rng = np.random.default_rng(1)
    count, spread = 4000, rng.uniform(0.5, 6.0, (4000, 2, 2))
    skeleton = Skeleton("bar", ("a", "b"), oks_sigmas=(0.05, 0.1))
    visible = (rng.random((count, 2)) < 0.8).astype(np.int64)
    visible[:, 0] = 1
    unknown = np.full((count, 2), np.nan)
    at = Found(
        rng.normal(0, spread), spread, np.ones((count, 2)), unknown, unknown, np.zeros((count, 2, 2)), visible,
        np.tile([0.0, 0.0, 30.0, 40.0], (count, 1)), np.full(count, 600.0), [0] * count,
    )  # fmt: skip
    model = RegressionModel(create_backbone("resnet18", (64, 48)), skeleton, (64, 48))
    model.set_error_distribution(Gaussian().error_distribution())
    figures = pose_figures(at, model, None)
    assert figures["oks_expected"] == pytest.approx(figures["oks"], abs=0.01)
    each = (1 + spread**2 / (600 * (2 * np.array([0.05, 0.1])) ** 2)[:, None]).prod(axis=-1) ** -0.5
    person = (each * visible).sum(axis=1) / visible.sum(axis=1)
    assert figures["oks_expected"] == pytest.approx(person.mean(), abs=2e-3)
    similar = oks(at.predicted, at.truth, visible, at.area, skeleton.sigmas)
    assert figures["oks_expected_r"] == pytest.approx(np.corrcoef(person, similar)[0, 1], abs=1e-3)


def found(predicted: np.ndarray, confidence: np.ndarray) -> Found:
    count, joints = confidence.shape
    unknown = np.full((count, joints), np.nan)
    return Found(
        predicted, np.full_like(predicted, np.nan), confidence, unknown, unknown, np.zeros_like(predicted),
        np.ones((count, joints), dtype=np.int64), np.ones((count, 4)), np.ones(count), [0] * count,
    )  # fmt: skip


@pytest.mark.parametrize(("place", "sure", "finite"), [(1.0, 0.5, True), (np.nan, 0.5, False), (1.0, np.inf, False)])
def test_what_has_diverged_is_not_finite(place: float, sure: float, finite: bool) -> None:
    """Spreads need not be known."""
    predicted, confidence = np.ones((2, 3, 2)), np.ones((2, 3))
    predicted[1, 2, 0], confidence[0, 1] = place, sure
    assert found(predicted, confidence).is_finite() is finite
