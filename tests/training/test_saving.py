"""Checkpoints that survive: a run that is killed anywhere ends as one that is not."""

from __future__ import annotations

import csv
import errno
import gc
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, StochasticWeightAveraging, WeightAveraging
from tiny_runs import BATCH, EPOCHS, Tiny, network, people, tiny
from torch import Tensor
from torch.utils.data import DataLoader

from logpose.core.errors import DamagedFileError, InputError
from logpose.data import InMemory
from logpose.data.synthetic import SyntheticPeople
from logpose.models import RegressionModel
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training import saving
from logpose.training.checkpoint import load, read
from logpose.training.run import fit
from logpose.training.run_folder import last_checkpoint

IN_VALIDATION = -1


class Rows(Callback):
    """Appends the rows of each batch and its loss to a file; kills the process at a batch, or in a validation."""

    def __init__(self, file: Path, kill_at: int | None = None) -> None:
        self.file, self.kill_at, self.batches = file, kill_at, 0

    def on_validation_batch_end(self, *_: Any) -> None:
        if self.kill_at == IN_VALIDATION:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self.batches += 1
        if self.batches == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        key = f"{type(module.model).__name__} {trainer.current_epoch} {batch_idx}"
        with self.file.open("a") as file:
            file.write(json.dumps([key, batch.index.tolist(), float(outputs["loss"])]) + "\n")


def kill_in_save(number: int, at: str) -> None:
    """Kill this process at its save of this number: in the middle of the file, before or after it takes its place."""
    written, save, move = 0, torch.save, Path.replace

    def killing_save(content: Any, file: Any) -> None:
        nonlocal written
        written += 1
        save(content, file)
        if written == number and at == "half":
            file.flush()
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def killing_move(path: Path, target: Any) -> Path:
        if written == number and at == "before" and path.suffix == ".part":
            os.kill(os.getpid(), signal.SIGKILL)
        moved = move(path, target)
        if written == number and at == "after" and path.suffix == ".part":
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    torch.save, Path.replace = killing_save, killing_move  # type: ignore[assignment,method-assign]


Extra = Callable[[], tuple[Callback, ...]]


def started(
    recipe: Recipe,
    folder: Path,
    extra: Extra = tuple,
    kill: Callable[[], Any] | int | None = None,
    resume: Path | None = None,
) -> Any:
    """A process that trains, resuming what is there. `kill` is called in it first, or is the number of the batch at
    which it kills itself."""

    def run() -> None:
        if callable(kill):
            kill()
        rows = Rows(folder.with_suffix(".rows"), kill if isinstance(kill, int) else None)
        fit(recipe, folder, resume or last_checkpoint(folder), callbacks=(rows, *extra()))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def in_process(
    recipe: Recipe,
    folder: Path,
    extra: Extra = tuple,
    kill: Callable[[], Any] | int | None = None,
    resume: Path | None = None,
) -> int:
    """The exit code of `started`."""
    process = started(recipe, folder, extra, kill, resume)
    process.join(240)
    assert process.exitcode is not None
    return int(process.exitcode)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from flat(inner, f"{name}/{key}")
    else:
        yield name, value


def differences(first: Path, second: Path) -> list[str]:
    """Names of what differs in any bit between two checkpoints; where the first stage's file lies does not count.

    Python's generator does not count: beartype, which checks types while tests run, draws from it.
    """
    one, two = (dict(flat(read(path))) for path in (first, second))

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.dtype == b.dtype and torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7))
        return a == b or (a != a and b != b)

    names = sorted((one.keys() | two.keys()) - {"/logpose/recipe/weights"})
    differ = [name for name in names if not same(one.get(name, "none"), two.get(name, "none"))]
    return [name for name in differ if "/random/python/" not in name]


def metrics(folder: Path) -> dict[tuple[str, str, str], set[str]]:
    """Every value that the CSV logs of a run hold, by epoch, step and name."""
    values: dict[tuple[str, str, str], set[str]] = {}
    for path in folder.rglob("metrics.csv"):
        for row in csv.DictReader(path.read_text().splitlines()):
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    where = str(path.parent.parent.relative_to(folder))
                    values.setdefault((where, row["step"], name), set()).add(value)
    return values


def order(folder: Path) -> dict[str, set[str]]:
    rows: dict[str, set[str]] = {}
    for line in folder.with_suffix(".rows").read_text().splitlines():
        key, *rest = json.loads(line)
        rows.setdefault(key, set()).add(json.dumps(rest))
    return rows


def assert_same(killed: Path, whole: Path) -> None:
    for path in sorted(whole.rglob("*.ckpt")):
        if path.name != "last.previous.ckpt":
            assert differences(killed / path.relative_to(whole), path) == []
    assert order(killed) == order(whole)
    assert all(len(each) == 1 for each in order(killed).values())
    assert metrics(killed) == metrics(whole)


def killed_until_done(recipe: Recipe, folder: Path, kills: list[Any], extra: Extra = tuple) -> None:
    for kill in kills:
        hook = kill if isinstance(kill, int) else (lambda kill=kill: kill_in_save(kill[1], kill[0]))
        assert in_process(recipe, folder, extra, hook) == -signal.SIGKILL, kill
        assert not [path for path in folder.rglob("*.ckpt") if path.stat().st_size == 0]
    assert in_process(recipe, folder, extra) == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not killed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert in_process(tiny(), folder) == 0
    return folder


def test_a_run_that_is_killed_ends_as_one_that_is_not(whole: Path, tmp_path: Path) -> None:
    """Killed in an epoch, and while a checkpoint is written."""
    killed_until_done(tiny(), tmp_path / "run", [4, ("half", 5)])
    assert_same(tmp_path / "run", whole)


def averaged() -> tuple[Callback, ...]:
    return (EMAWeightAveraging(decay=0.9),)


@pytest.mark.slow
@pytest.mark.parametrize("extra", [tuple, averaged], ids=["plain", "moving average"])
def test_a_validation_is_repeated(extra: Extra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained for a minute is saved before it."""
    monkeypatch.setattr(saving, "BEFORE_VALIDATION", 0.0)
    recipe = tiny(save_every="1h")
    assert in_process(recipe, tmp_path / "whole", extra) == 0
    for _ in range(2):
        assert in_process(recipe, tmp_path / "run", extra, IN_VALIDATION) == -signal.SIGKILL
        assert read(tmp_path / "run" / "last.ckpt")["global_step"] == 6
    assert in_process(recipe, tmp_path / "run", extra) == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


def two_stages() -> Recipe:
    def before(recipe: Recipe) -> Recipe:
        return replace(recipe, first=None, epochs=1, seed=5, model=network)

    return tiny(first=before, model=second_network, epochs=2)


def second_network(recipe: Any, skeleton: Any, predicts_sigma: bool) -> SecondModel:
    model = SecondModel(Tiny(), skeleton, recipe.size, 2, predicts_sigma=predicts_sigma)
    if recipe.weights != "random":
        model.backbone.load_state_dict(
            {
                name.removeprefix("model.backbone."): tensor
                for name, tensor in read(recipe.weights)["state_dict"].items()
                if name.startswith("model.backbone.")
            }
        )
    return model


class SecondModel(RegressionModel):
    """The model of the second stage, apart from the first in the log of rows."""


VARIANTS: dict[str, tuple[Callable[[], Recipe], Extra, list[Any]]] = {
    "accumulation": (lambda: tiny(accumulate=2), tuple, [4, ("half", 3), 5]),
    "accumulation with a rest": (lambda: tiny(accumulate=4, schedule="one_cycle"), tuple, [5, ("half", 3), 6]),
    "moving average": (lambda: tiny(ema=0.9), tuple, [4, ("half", 3), 5]),
    "moving average of Lightning's": (tiny, averaged, [4, ("half", 3), 5]),
    "patience": (lambda: tiny(patience=2, lr=1e-7, epochs=20, watch="error_px"), tuple, [9, ("half", 4)]),
    "fine-tuning": (
        lambda: tiny(
            weights="imagenet", layer_decay=0.5, backbone_lr=0.5, freeze=1, freeze_norm=True, ema=0.9, accumulate=2
        ),
        tuple,
        [4, ("half", 3), 5],
    ),
    "bf16": (lambda: tiny(precision="bf16-mixed"), tuple, [4, ("half", 3)]),
    "workers": (lambda: tiny(workers=2), tuple, [4, ("half", 3), ("after", 4)]),
    "two stages": (two_stages, tuple, [4, 5, ("before", 3)]),
    "epochs": (lambda: tiny(save_every="epoch"), tuple, [4, 9, ("half", 1)]),
    "steps": (lambda: tiny(save_every="4steps", validate_every=3), tuple, [6, ("half", 2), 7]),
    "L1": (lambda: tiny(loss="l1", optimizer="sgd"), tuple, [8]),
    "decaying": (lambda: tiny(schedule="one_cycle", gradient_clip=0, batch_size=5), tuple, [3, 3]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_so_does_every_kind_of_run(name: str, tmp_path: Path) -> None:
    make, extra, kills = VARIANTS[name]
    assert in_process(make(), tmp_path / "whole", extra) == 0
    killed_until_done(make(), tmp_path / "killed", kills, extra)
    assert_same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_ten_kills_at_random_moments(tmp_path: Path) -> None:
    """Four in steps, three while a checkpoint is written, three by the clock; the moments are drawn again each time."""
    recipe, folder = tiny(epochs=8), tmp_path / "run"
    rows = folder.with_suffix(".rows")
    assert in_process(recipe, tmp_path / "whole") == 0
    draw = random.Random(seed := random.randrange(10**6))
    kills: list[Any] = [draw.randrange(2, 6) for _ in range(4)]
    kills += [(at, draw.randrange(1, 4)) for at in ("half", "before", "after")]
    kills += [draw.random() * 0.2 for _ in range(3)]
    draw.shuffle(kills)
    for kill in kills:
        if isinstance(kill, float):
            before = rows.stat().st_size if rows.exists() else 0
            process = started(recipe, folder)
            while not rows.exists() or rows.stat().st_size == before:
                time.sleep(0.005)
            time.sleep(kill)
            process.kill()
            process.join(60)
            code = process.exitcode
        else:
            hook = kill if isinstance(kill, int) else (lambda kill=kill: kill_in_save(kill[1], kill[0]))
            code = in_process(recipe, folder, kill=hook)
        assert code == -signal.SIGKILL, (seed, kill)
    assert in_process(recipe, folder) == 0
    assert_same(folder, tmp_path / "whole")


class Send(Callback):
    """Sends this process a signal in a step, or in a validation."""

    def __init__(self, number: int, step: int | None) -> None:
        self.number, self.step = number, step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)

    def on_validation_batch_start(self, *_: Any) -> None:
        if self.step is None:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl-C is not ignored, as it is in a shell's background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_at_hand_and_the_run_resumes_after_it(number: int, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    recipe = tiny(save_every="epoch")
    for step in (2, 8):
        rows = Rows(folder.with_suffix(".rows"))
        run = fit(recipe, folder, last_checkpoint(folder), callbacks=(rows, Send(number, step)))
        assert (run.interrupted, run.signal) == (True, number)
        assert read(folder / "last.ckpt")["global_step"] == step + 1
    run = fit(recipe, folder, folder / "last.ckpt", callbacks=(Rows(folder.with_suffix(".rows")),))
    assert not run.interrupted
    assert order(folder) == order(whole)
    names = [name for name in differences(folder / "last.ckpt", whole / "last.ckpt") if "save_every" not in name]
    assert names == []


@pytest.mark.usefixtures("terminal")
def test_a_signal_in_a_validation_ends_it(tmp_path: Path) -> None:
    run = fit(tiny(), tmp_path, callbacks=(Send(signal.SIGTERM, None),))
    assert run.interrupted
    assert read(tmp_path / "last.ckpt")["global_step"] == 6


def test_flags_of_a_resumed_run_reach_optimiser_and_schedule(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    recipe = tiny(epochs=EPOCHS + 1, lr=0.5, weight_decay=0.9, schedule="constant", warmup_steps=0)
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            groups = trainer.optimizers[0].param_groups
            seen.append([(group["lr"], group["weight_decay"]) for group in groups])

    fit(recipe, folder, folder / "last.ckpt", callbacks=(Look(),))
    assert seen == [[(0.5, 0.9), (0.5, 0.0)]] * 6
    content = read(folder / "last.ckpt")
    assert content["lr_schedulers"][0]["base_lrs"] == [0.5, 0.5]


def test_another_optimiser_is_refused_before_anything_is_written(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="--optimizer adamw"):
        fit(tiny(epochs=9, optimizer="sgd"), folder, folder / "last.ckpt")
    with pytest.raises(InputError, match=r"best\.ckpt.*weights alone"):
        fit(tiny(epochs=9), folder, folder / "best.ckpt")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_moved_run_keeps_its_best_score(whole: Path, tmp_path: Path) -> None:
    """As `best.ckpt` records it: of 0 px here, which no later epoch reaches."""
    folder = shutil.copytree(whole, tmp_path / "moved")
    best = torch.load(folder / "best.ckpt", weights_only=True)
    best["logpose"]["figures"]["error_px"] = 0.0
    torch.save(best, folder / "best.ckpt")
    before = (folder / "best.ckpt").read_bytes()
    run = fit(tiny(epochs=EPOCHS + 1), folder, folder / "last.ckpt")
    assert (folder / "best.ckpt").read_bytes() == before
    assert run.best == folder / "best.ckpt"
    assert run.figures["error_px"] == 0


def test_a_damaged_checkpoint_is_named_and_the_one_before_offered(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    last, previous = folder / "last.ckpt", folder / "last.previous.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"last\.ckpt.*--resume .*last\.previous\.ckpt"):
        fit(tiny(epochs=EPOCHS + 1), folder, last)
    with pytest.raises(DamagedFileError, match=r"last\.ckpt"):
        load(last)
    kept = previous.read_bytes()
    assert in_process(tiny(), folder, resume=previous, kill=lambda: kill_in_save(1, "after")) == -signal.SIGKILL
    assert previous.read_bytes() == kept, "the damaged one did not take its place"
    assert read(last)["global_step"] == EPOCHS * 6


def test_a_full_disk_leaves_the_good_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, save = 0, torch.save

    def full(content: Any, file: Any) -> None:
        nonlocal saved
        saved += 1
        if saved == 3:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(content, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left") as error:
        fit(tiny(), tmp_path)
    assert error.value.filename == str(tmp_path / "last.ckpt")
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {".lock", "config.yaml", "last.ckpt", "last.previous.ckpt"}
    assert [read(tmp_path / name)["global_step"] for name in ("last.previous.ckpt", "last.ckpt")] == [1, 2]


class Vanishing:
    """People of whom one cannot be read any longer."""

    def __init__(self, whole: InMemory) -> None:
        self.whole, self.skeleton = whole, whole.skeleton

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise InputError("images/3.jpg: no such file")
        return self.whole[index]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_vanishes_is_counted_or_ends_a_strict_run(
    workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def vanishing(recipe: Any, part: str) -> Any:
        return Vanishing(people(recipe, part)) if part == "train" else people(recipe, part)

    recipe = tiny(people=vanishing, workers=workers, epochs=2)
    fit(recipe, tmp_path / "run")
    assert caplog.text.count("images/3.jpg") == 1
    assert "epoch 2: 1 samples cannot be read; others took their place 2 times" in caplog.text
    with pytest.raises(InputError, match=r"images/3\.jpg"):
        fit(replace(recipe, strict=True), tmp_path / "strict")


def test_with_a_loader_that_cannot_be_continued_epochs_are_saved(tmp_path: Path) -> None:
    class Plain(Recipe):
        def loader(self, data: Any, model: Any, *, training: bool, **options: Any) -> Any:
            made = super().loader(data, model, training=training, **options)
            return DataLoader(made.dataset, sampler=made.sampler, batch_size=BATCH, collate_fn=made.collate_fn)

    recipe = Plain(**{field.name: getattr(tiny(), field.name) for field in fields(Recipe)})
    steps = []

    class Look(Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            last = tmp_path / "last.ckpt"
            steps.append(read(last)["global_step"] if last.exists() else 0)

    fit(recipe, tmp_path, callbacks=(Look(),))
    assert steps == [0] * 6 + [6] * 6 + [12] * 6


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_memory_and_files_stay_level(workers: int, tmp_path: Path) -> None:
    """Over 80 epochs, of which each validates, saves and logs; read from /proc, so on Linux only."""
    levels: list[tuple[int, int]] = []

    class Look(Callback):
        def on_train_epoch_end(self, *_: Any) -> None:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            levels.append((pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir()))))

    def run() -> None:
        fit(tiny(epochs=80, workers=workers, save_every="epoch"), tmp_path / "run", callbacks=(Look(),))
        early, late = levels[20:30], levels[-10:]
        growth = (max(late)[0] - max(early)[0]) / 2**20
        (tmp_path / "growth").write_text(f"{growth:.2f} MB and {[files for _, files in (*early, *late)]} files;")
        assert growth < 32, f"{growth:.1f} MB more"
        assert max(files for _, files in late) <= max(files for _, files in early)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(500)
    print((tmp_path / "growth").read_text(), "MB more")
    assert process.exitcode == 0


def test_what_an_epoch_logs_is_written_before_its_checkpoint(tmp_path: Path) -> None:
    """Killed right after the checkpoint of the first and of the last epoch: no figure is missing."""
    recipe = tiny(save_every="epoch", epochs=2)
    assert in_process(recipe, tmp_path / "whole") == 0
    for number in (2, 1):  # best.ckpt is written too in the first epoch
        code = in_process(recipe, tmp_path / "run", kill=lambda number=number: kill_in_save(number, "after"))
        assert code == -signal.SIGKILL
    logged = metrics(tmp_path / "run")
    assert read(tmp_path / "run" / "last.ckpt")["global_step"] in (6, 12)
    expected = {key: value for key, value in metrics(tmp_path / "whole").items() if int(key[1]) < 6}
    assert {key: value for key, value in logged.items() if int(key[1]) < 6} == expected
    assert (".", "5", "train/loss") in logged


class Own(WeightAveraging):
    """An equal average of the weights after each epoch."""

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return epoch_idx is not None


AVERAGED: dict[str, tuple[dict[str, Any], Extra]] = {
    "none": ({}, tuple),
    "ema": ({"ema": 0.9}, tuple),
    "Lightning's EMA": ({}, averaged),
    "Lightning's SWA": ({}, lambda: (StochasticWeightAveraging(swa_lrs=1e-3, swa_epoch_start=1, annealing_epochs=1),)),
    "an average of epochs": ({}, lambda: (Own(),)),
}


FAST = ("none", "ema", "Lightning's SWA")


def digits(figures: dict[str, float]) -> dict[str, str]:
    return {name: repr(float(figure)) for name, figure in figures.items()}


@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in AVERAGED]
)
def test_the_best_checkpoint_is_what_was_measured(name: str, tmp_path: Path) -> None:
    changes, extra = AVERAGED[name]
    recipe = tiny(schedule="constant", lr=1e-2, epochs=2, **changes)
    run = fit(recipe, tmp_path, callbacks=extra())
    stored = read(run.best)["logpose"]["figures"]
    assert digits(stored) == digits(run.figures)
    model, loss = load(run.best, Tiny())
    model = model.to(memory_format=torch.channels_last)
    found = evaluate(model, people(recipe, "val"), loss, batch_size=BATCH, flip_test=True)
    assert digits(found.compute(costly="ap" in stored)) == digits(stored)
    assert torch.equal(model.error_distribution.std, loss.error_distribution().std)
    if name in ("ema", "Lightning's EMA"):
        content = read(tmp_path / "last.ckpt")
        now, average = content["current_model_state"], content["state_dict"]
        assert not torch.equal(now["model.backbone.layers.0.weight"], average["model.backbone.layers.0.weight"])
        model, loss = load(tmp_path / "last.ckpt", Tiny())
        assert torch.equal(model.error_distribution.std, loss.error_distribution().std)
        assert torch.equal(model.backbone.layers[0].weight, average["model.backbone.layers.0.weight"])


class Figures(Callback):
    """Keeps the figures of every validation."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.seen.append(dict(module.figures))


@pytest.mark.usefixtures("thin_resnets")
def test_of_equal_figures_the_likelier_wins_and_eval_measures_what_the_best_checkpoint_has(
    make_recipe: Any, coco_folder: Path, command: Any, tmp_path: Path
) -> None:
    """AP is 0 in every epoch. The run is moved and resumed; `logpose eval` gives every figure of the best again."""
    recipe = make_recipe(watch="ap", memory_format="contiguous", loggers=(), epochs=2)
    figures = Figures()
    fit(recipe, tmp_path / "run", callbacks=(figures,))
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    for epochs in (3, 4):
        run = fit(replace(recipe, epochs=epochs), moved, moved / "last.ckpt", callbacks=(figures,))
        assert {each["ap"] for each in figures.seen} == {0.0}
        expected = min(figures.seen, key=lambda each: each["nll"])
        assert expected != figures.seen[0]
        assert digits(run.figures) == digits(expected) == digits(read(moved / "best.ckpt")["logpose"]["figures"])
    words = (coco_folder, "--batch-size", recipe.batch_size, "--device", "cpu", "--json")
    code, out, _ = command("eval", run.best, *words)
    assert code == 0
    again = {name: float("nan") if x is None else x for name, x in json.loads(out).items()}
    assert again.pop("images_learned") == 0
    assert digits(again) == digits(expected)


def other_people(_: Any, part: str) -> InMemory:
    """Other people of as many as `people` has; for training the same."""
    if part == "train":
        return people(None, part)
    return InMemory(SyntheticPeople(8, seed=3, people=(1, 1), easy=True))


def test_figures_of_other_validation_data_are_not_compared(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The best so far, 0 px, cannot be reached; it is kept beside, also when the run is resumed once more."""
    folder = shutil.copytree(whole, tmp_path / "run")
    best = torch.load(folder / "best.ckpt", weights_only=True)
    best["logpose"]["figures"]["error_px"] = 0.0
    torch.save(best, folder / "best.ckpt")
    before, seen = (folder / "best.ckpt").read_bytes(), Figures()
    for epochs in (EPOCHS + 1, EPOCHS + 2):
        run = fit(tiny(people=other_people, epochs=epochs), folder, folder / "last.ckpt", callbacks=(seen,))
        assert digits(run.figures) == digits(min(seen.seen, key=lambda each: each["error_px"]))
    assert (folder / "best.other-data-1.ckpt").read_bytes() == before
    assert {file.name for file in folder.glob("best*")} == {"best.ckpt", "best.other-data-1.ckpt"}
    [message] = [record.message for record in caplog.records if "other-data" in record.message]
    assert str(folder / "best.ckpt") in message
    model, loss = load(run.best, Tiny())
    found = evaluate(model.to(memory_format=torch.channels_last), other_people(None, "val"), loss, batch_size=BATCH)
    assert digits(found.compute()) | digits(run.figures) == digits(found.compute())
    fit(tiny(epochs=EPOCHS + 3), folder, folder / "last.ckpt")
    assert (folder / "best.other-data-2.ckpt").is_file()
