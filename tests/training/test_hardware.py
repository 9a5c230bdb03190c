"""The rule for precision and memory format, timing in its place, and compilation."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from logpose import RLELoss
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside
from logpose.core.skeletons import COCO
from logpose.data import InMemory
from logpose.data.synthetic import SyntheticPeople
from logpose.models import KeypointModel, PointSetAnchors, RegressionModel, create_backbone
from logpose.recipes.coco import coco_resnet18_rle
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training import hardware
from logpose.training.checkpoint import read
from logpose.training.hardware import compiled, fastest, has_depthwise_convolutions, in_format, note_other_work, tuned
from logpose.training.run import fit

RECIPE = replace(coco_resnet18_rle(), accelerator="cpu")
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "depthwise"), [("resnet18", False), ("hrnet_w32", False), ("efficientnet_lite0", True)]
)
def test_networks_of_depthwise_convolutions(name: str, depthwise: bool) -> None:
    with torch.device("meta"):
        assert has_depthwise_convolutions(create_backbone(name, (64, 64))) is depthwise


@pytest.mark.parametrize(
    ("name", "instructions", "expected"),
    [
        ("resnet18", True, "bf16-mixed"),
        ("resnet18", False, "32-true"),
        ("efficientnet_lite0", True, "32-true"),
        ("efficientnet_lite0", False, "32-true"),
    ],
)
def test_on_a_processor(monkeypatch: pytest.MonkeyPatch, name: str, instructions: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    with torch.device("meta"):
        network = create_backbone(name, (64, 64))
    chosen = fastest(RECIPE, network)
    assert (chosen.precision, chosen.memory_format, chosen.compile) == (expected, "channels_last", False)


def test_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    network = create_backbone("efficientnet_lite0", (64, 64))
    assert fastest(replace(RECIPE, accelerator="auto"), network).precision == "bf16-mixed"


def test_what_the_recipe_fixes_is_taken() -> None:
    assert fastest(replace(RECIPE, precision="64-true"), nn.Linear(1, 1)).precision == "64-true"
    given = replace(RECIPE, memory_format="contiguous")
    assert fastest(given, create_backbone("resnet18", (64, 64))).memory_format == "contiguous"


def test_networks_without_convolutions_have_no_images_to_lay_out() -> None:
    assert fastest(RECIPE, nn.Linear(1, 1)).memory_format == "contiguous"


class Slow(nn.Module):
    """A backbone that is slow in all ways but one."""

    channels, stride = 8, 2

    def __init__(self, fast: tuple[bool, bool] | None = (True, True)) -> None:
        super().__init__()
        self.fast, self.layer = fast, nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        half = torch.is_autocast_enabled("cpu")
        channels_last = self.layer.weight.is_contiguous(memory_format=torch.channels_last)
        if self.training and (half, channels_last) != self.fast:
            time.sleep(0.03)
        features: Tensor = self.layer(images)
        return features


def batch() -> Any:
    rows = {"inputs": torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "target": torch.zeros(2, 17, 2)}
    made = SimpleNamespace(**rows, weight=torch.ones(2, 17), index=torch.arange(2))
    made.to = lambda _: made
    return made


@pytest.mark.parametrize("fast", [(True, True), (True, False), (False, True), (False, False)])
def test_tuning_finds_the_fastest_way(fast: tuple[bool, bool]) -> None:
    model, loss = RegressionModel(Slow(fast), COCO, (32, 32)), RLELoss()
    before = {name: value.clone() for name, value in [*model.state_dict().items(), *loss.state_dict().items()]}
    chosen = tuned(replace(RECIPE, tune=True), model, loss, [batch()] * 2, 10, CPU)
    formats = {True: "channels_last", False: "contiguous"}
    assert (chosen.precision == "bf16-mixed", chosen.memory_format) == (fast[0], formats[fast[1]])
    assert not chosen.tune
    assert not chosen.compile  # a short run
    after = {**model.state_dict(), **loss.state_dict()}
    torch.testing.assert_close(after, before, rtol=0, atol=0, equal_nan=True)


def test_tuning_keeps_what_the_recipe_fixes() -> None:
    model = RegressionModel(Slow((False, True)), COCO, (32, 32))
    given = replace(RECIPE, precision="bf16-mixed", tune=True)
    assert tuned(given, model, RLELoss(), [batch()], 10, CPU).precision == "bf16-mixed"


def test_tuning_compiles_where_a_run_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a compiler that makes every step free, after 0.2 seconds."""

    def quick(model: nn.Module, device: torch.device) -> None:
        assert device == CPU
        time.sleep(0.2)
        model.backbone.forward = lambda images: torch.zeros(len(images), 8, 16, 16, requires_grad=True)

    monkeypatch.setattr(torch, "compile", lambda function: function)  # which is tried first
    monkeypatch.setattr(hardware, "compiled", quick)
    model = RegressionModel(Slow(None), COCO, (32, 32))
    chosen = {
        steps: tuned(replace(RECIPE, tune=True), model, RLELoss(), [batch()], steps, CPU).compile
        for steps in (10, 10**9)
    }
    assert chosen == {10: False, 10**9: True}


def test_what_cannot_be_computed_is_left_out() -> None:
    """Here bfloat16, by an error without a message."""

    class NotInHalf(Slow):
        def forward(self, images: Tensor) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError
            return super().forward(images)

    model = RegressionModel(NotInHalf(), COCO, (32, 32))
    assert tuned(replace(RECIPE, tune=True), model, RLELoss(), [batch()], 10, CPU).precision == "32-true"


PEOPLE = InMemory(SyntheticPeople(16, seed=1, people=(1, 1), easy=True))


def small(**changes: Any) -> Recipe:
    recipe = Recipe(
        people=lambda *_: PEOPLE, model=lambda recipe, skeleton, _: RegressionModel(Slow(), skeleton, recipe.size),
        weights="random", size=(32, 32), epochs=1, batch_size=8, workers=0, watch="error_px", accelerator="cpu",
        loggers=(),
    )  # fmt: skip
    return replace(recipe, **changes)


def test_a_tuned_run_is_the_one_with_its_choice(tmp_path: Path) -> None:
    run = fit(small(tune=True), tmp_path / "tuned")
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert (config["precision"], config["memory_format"], config["tune"]) == ("bf16-mixed", "channels_last", False)
    given = small(precision="bf16-mixed", memory_format="channels_last")
    other = fit(given, tmp_path / "given")
    weights, same = (read(each.folder / "last.ckpt")["state_dict"] for each in (run, other))
    torch.testing.assert_close(weights, same, rtol=0, atol=0, equal_nan=True)
    assert read(run.best)["logpose"]["recipe"] == read(other.best)["logpose"]["recipe"]


def test_a_resumed_run_is_not_tuned(tmp_path: Path) -> None:
    run = fit(small(), tmp_path)
    with pytest.raises(InputError, match="--tune"):
        fit(small(epochs=2, tune=True), tmp_path, resume=run.folder / "last.ckpt")


@pytest.mark.parametrize(("others", "expected"), [(0.0, ""), (0.4, ""), (1.0, "--threads 3"), (9.0, "--threads 1")])
def test_other_work_is_reported(
    others: float, expected: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 4)
    caplog.set_level("INFO", "logpose")
    with threads_beside(0, threads=4):
        note_other_work(others)
    assert expected in caplog.text
    assert bool(caplog.text) is bool(expected)
    with threads_beside(0, threads=1):  # has nothing to gain
        caplog.clear()
        note_other_work(others)
    assert not caplog.text


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_weights_in_another_precision_train(precision: str, tmp_path: Path) -> None:
    run = fit(small(precision=precision), tmp_path)
    assert np.isfinite(run.figures["error_px"])
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_network_alone_is_laid_out(memory_format: torch.memory_format) -> None:
    model = create_backbone("resnet18", (32, 32))
    in_format(model, {torch.contiguous_format: "contiguous", torch.channels_last: "channels_last"}[memory_format])
    weights = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=memory_format) for weight in weights)


def test_a_detector_is_not_compiled() -> None:
    detector = PointSetAnchors(create_backbone("resnet18", (64, 64), all_branches=True), COCO)
    assert not isinstance(detector, KeypointModel)
    with pytest.raises(InputError, match="--compile: PointSetAnchors"):
        compiled(detector, CPU)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any) -> Any:
        def call(*_: Any) -> None:
            raise RuntimeError("no g++\nand a traceback")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match=r"--compile: .* \(no g\+\+\)$"):
        compiled(RegressionModel(Slow(), COCO, (32, 32)), CPU)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_best_checkpoint_is_measured_again_to_the_digit(precision: str, tmp_path: Path) -> None:
    """Mixed precision is for training: figures are those of the weights."""
    run = fit(small(precision=precision), tmp_path)
    weights = read(run.best)["state_dict"]
    model = RegressionModel(Slow(), PEOPLE.skeleton, (32, 32))
    model.load_state_dict({k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")})
    in_format(model, "channels_last")
    again = evaluate(model.eval(), PEOPLE, batch_size=8, device="cpu", flip_test=True).compute()
    assert again["error_px"] == pytest.approx(run.figures["error_px"], rel=1e-6)


def test_another_number_of_threads_is_reported_at_resume(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "logpose")
    run = fit(small(threads=2), tmp_path)
    fit(small(threads=2, epochs=2), tmp_path, resume=run.folder / "last.ckpt")
    assert "--threads 2" not in caplog.text
    fit(small(threads=1, epochs=3), tmp_path, resume=run.folder / "last.ckpt")
    assert "--threads 2" in caplog.text


# In processes of their own, as the checks of shapes that tests run with cannot be compiled.
RUN = """
import os, signal, sys
from lightning.pytorch.callbacks import Callback
import tests.training.test_hardware as cases
from logpose.training.run import fit

class Killed(Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

folder, compile, how = sys.argv[1:]
recipe = cases.small(precision="32-true", compile=compile == "compiled", epochs=2, save_every="1steps")
resume = f"{folder}/last.ckpt" if how == "resumed" else None
print(fit(recipe, folder, resume, callbacks=(Killed(),) if how == "killed" else ()).figures["error_px"])
"""


def run_in_process(folder: Path, *words: str) -> float:
    command = [sys.executable, "-c", RUN, str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == (-signal.SIGKILL if "killed" in words else 0), done.stderr
    return float(done.stdout or "nan")


@pytest.mark.slow
def test_a_compiled_run_learns_the_same_and_is_resumed_exactly(tmp_path: Path) -> None:
    """The same within rounding. Its validation is not compiled; its checkpoints have the names of any run's."""
    errors = [run_in_process(tmp_path / each, each, "whole") for each in ("eager", "compiled")]
    weights = {each: read(tmp_path / each / "best.ckpt")["state_dict"] for each in ("eager", "compiled")}
    torch.testing.assert_close(weights["compiled"], weights["eager"], rtol=1e-3, atol=1e-4, equal_nan=True)
    assert errors[1] == pytest.approx(errors[0], rel=1e-3)
    for how in ("killed", "resumed"):
        run_in_process(tmp_path / "other", "compiled", how)
    whole, other = (read(tmp_path / each / "last.ckpt") for each in ("compiled", "other"))
    for part in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(other[part], whole[part], rtol=0, atol=0, equal_nan=True)
