"""A task of a user's own in one file: the frequency of a noisy sine, by maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.losses import Laplace
from logpose.metrics.calibration import Deviations, scaled_radius
from logpose.models import KeypointModel
from logpose.report.draw import contact_sheet
from logpose.report.evaluation import PageParts
from logpose.report.inspection import summary
from logpose.report.page import save_image
from logpose.tasks.task import EvalOptions, InspectOptions, Predictions, PredictOptions, Task
from logpose.training.recipe import TrainingRecipe

LENGTH = 32
SINE = Skeleton("sine", ("frequency",), bones=())


class Signals:
    """Signals of a file (`.npz` with `signals` (N, 32) and, for training, their `frequency`, in units of 10)."""

    skeleton = SINE
    problems = ()

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise InputError(f"{file}: no such file")
        with np.load(file, allow_pickle=False) as content:
            self.signals = content["signals"].astype(np.float32)
            self.frequency = content["frequency"].astype(np.float32) if "frequency" in content else None

    def __len__(self) -> int:
        return len(self.signals)


def synthetic(file: Path, count: int, seed: int) -> Path:
    """Write a file of random signals."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(-0.4, 0.4, count)
    phase = rng.uniform(0, 6.28, (count, 1))
    time = np.linspace(0, 1, LENGTH)
    signals = np.sin(phase + 10 * (1 + frequency[:, None]) * time) + 0.1 * rng.normal(size=(count, LENGTH))
    np.savez(file, signals=signals, frequency=frequency)
    return file


@dataclass
class SignalBatch:
    """Signals, and the frequencies to learn from them."""

    inputs: Tensor
    target: Tensor
    weight: Tensor
    index: Tensor

    def to(self, device: Any, non_blocking: bool = False) -> SignalBatch:
        """The same on another device."""
        return SignalBatch(*(getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)))


class SignalRows(Dataset[SignalBatch]):
    """Rows of a file of signals, for a loader."""

    def __init__(self, data: Signals) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, rows: list[int]) -> SignalBatch:
        """A batch."""
        assert self.data.frequency is not None
        target = torch.from_numpy(self.data.frequency[rows]).view(-1, 1, 1)
        index, signals = torch.tensor(rows), torch.from_numpy(self.data.signals[rows])
        return SignalBatch(signals, target, torch.ones(len(rows), 1), index)


class SignalModel(KeypointModel):
    """A perceptron from a signal to a frequency with a sigma."""

    task = "signals"
    kind = "sine"
    unit = "hz"

    def __init__(self, width: int = 32) -> None:
        super().__init__(SINE, dim=1)
        self.width = width
        self.network = nn.Sequential(nn.Linear(LENGTH, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, inputs: Tensor) -> Prediction:
        """Predict the frequency."""
        mu, scale = self.network(inputs).view(-1, 1, 2).split(1, dim=-1)
        sigma = 1e-3 + scale.sigmoid()
        return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), self.error_distribution)

    def mirrored(self, inputs: Tensor) -> Tensor:
        """The signal upside down."""
        return -inputs

    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """The prediction itself."""
        return prediction

    def distance(self, mu: Tensor, target: Tensor) -> Tensor:
        """The absolute difference."""
        return (mu - target).abs().sum(dim=-1)

    @property
    def input_spec(self) -> str:
        """The signal's length."""
        return f"signals of {LENGTH} samples"

    def example_input(self) -> Tensor:
        """Silence."""
        return torch.zeros(1, LENGTH)


class SignalEvaluator:
    """Collects predicted frequencies."""

    def __init__(self, data: Signals, model: SignalModel) -> None:
        self.data, self.model = data, model
        self.found: dict[int, tuple[float, float]] = {}

    def update(self, batch: SignalBatch, prediction: Prediction) -> None:
        """Take in the predictions of a batch."""
        for row, mean, std in zip(batch.index.tolist(), prediction.mean, prediction.std, strict=True):
            self.found[row] = (float(mean), float(std))

    def gather(self) -> None:
        """One process only."""

    def is_finite(self) -> bool:
        """Whether all predictions are."""
        return bool(np.isfinite(list(self.found.values())).all())

    def deviations(self) -> Deviations:
        """Predictions beside labels."""
        rows = sorted(self.found)
        mean, std = np.array([self.found[row] for row in rows]).T
        truth = self.data.frequency[rows].astype(float)
        radius = scaled_radius(mean[:, None], std[:, None], truth[:, None])
        return Deviations(radius, std, abs(mean - truth), "hz", self.model.error_distribution.radius_at)

    def compute(self, costly: bool = True) -> dict[str, float]:
        """Mean absolute error, and the mean predicted standard deviation."""
        found = self.deviations()
        return {"signals": len(self.found), "error_hz": float(found.apart.mean()), "std_hz": float(found.spread.mean())}


@dataclass(kw_only=True)
class SignalRecipe(TrainingRecipe):
    """A run on signals."""

    data: Path = Path("signals.npz")
    """File of signals."""
    width: int = 32
    """Hidden units."""

    def loader(self, data: Any, model: Any, *, training: bool, processes: int = 1, pin: bool = False) -> Any:
        """Batches of signals."""
        order = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            SignalRows(data), self.batch_size, shuffle=training, generator=order, collate_fn=_as_it_is,
            drop_last=training,
        )  # fmt: skip

    def evaluation(self, data: Any, model: Any, loss: Any) -> Any:
        """What collects predictions."""
        return SignalEvaluator(data, model)


def _as_it_is(batch: Any) -> Any:
    return batch


def recipe() -> SignalRecipe:
    """The frequency of a sine, by the likelihood of a Laplace distribution."""
    return SignalRecipe(
        people=lambda recipe, _: Signals(recipe.data), loss=lambda: Laplace(1),
        model=lambda recipe, _, __: SignalModel(recipe.width), watch="error_hz", epochs=2, batch_size=64, workers=0,
        flip_test=False, accelerator="cpu", precision="32-true", loggers=("csv",),
    )  # fmt: skip


@dataclass(kw_only=True)
class SignalEvalOptions(EvalOptions):
    """Options of `logpose eval` of signals."""

    first: int | None = None
    """Number of signals to evaluate; all unless given."""


class SignalTask(Task):
    """A number from a signal."""

    name = "signals"
    description = "the frequency of a signal"
    eval_options = SignalEvalOptions
    predict_options = PredictOptions
    inspect_options = InspectOptions
    models: ClassVar = (SignalModel,)

    def evaluate(self, model: Any, loss: Any, options: SignalEvalOptions) -> SignalEvaluator:
        """Predict every signal of the file."""
        data = Signals(options.data)
        rows = SignalRows(data)
        evaluator = SignalEvaluator(data, model)
        with torch.inference_mode():
            batch = rows.__getitems__(list(range(options.first or len(data))))
            evaluator.update(batch, model.to(options.device).predict(batch.to(options.device)))
        return evaluator

    def page(self, evaluator: SignalEvaluator, figures: Mapping[str, float]) -> PageParts:
        """Calibration alone."""
        meanings = [(r"error_hz", "mean absolute error")]
        return PageParts("signal", evaluator.deviations(), meanings)

    def predict(self, model: Any, options: PredictOptions) -> Predictions:
        """A row for each signal."""
        rows = []
        for file in options.inputs:
            with torch.inference_mode():
                found = model(torch.from_numpy(Signals(file).signals))
            rows += [
                {"file_name": str(file), "frequency": mean, "sigma": std}
                for mean, std in zip(found.mean.flatten().tolist(), found.std.flatten().tolist(), strict=True)
            ]
        return Predictions(
            lambda: rows,
            lambda: {"frequency": np.array([row["frequency"] for row in rows])},
            lambda: (f"{row['file_name']} {row['frequency']:.3f} ± {row['sigma']:.3f}" for row in rows),
        )

    def opens(self, data: Path) -> bool:
        """Not asked of a task that is named."""
        return data.suffix == ".npz"

    def inspect(self, options: InspectOptions) -> dict[str, dict[str, Any]]:
        """Counts, and a sheet of grey bars."""
        data = Signals(options.data)
        sheet = options.out / "signals.png"
        grey = np.clip(128 + 60 * data.signals[:4], 0, 255).astype(np.uint8)
        bars = [np.ascontiguousarray(np.broadcast_to(row[None, :, None], (8, LENGTH, 3))) for row in grey]
        save_image(contact_sheet(bars, 2, (12, 36)), sheet)
        facts = {"counts": {"signals": len(data)}, "problems": summary(()), "hints": [], "contact_sheet": str(sheet)}
        return {str(options.data): facts}

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """A line of its own."""
        return [f"  {LENGTH} samples each"], []


TASK = SignalTask()
