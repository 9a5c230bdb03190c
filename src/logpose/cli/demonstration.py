"""The run behind `logpose demo`: the whole method in a few minutes, on synthetic people."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from logpose.core.errors import InputError
from logpose.data import InMemory, People
from logpose.data.synthetic import LabelNoise
from logpose.recipes import synthetic
from logpose.report import page as report
from logpose.tasks.pose.evaluate import Evaluation, evaluate
from logpose.tasks.pose.images import plot_poses
from logpose.tasks.pose.predict import Predictor
from logpose.training.checkpoint import load_of_crops
from logpose.training.fit import Run, fit

__all__ = ["run_demo"]

SHOWN = 12  # people in the figure of predictions
MARK = ".logpose-demo"  # a file that marks the folder of a demo

FIGURES = (
    ("error to the true joints (px)", "true_error_px", "{:.2f}"),
    ("PCK@0.1 to the true joints", "true_pck@0.1", "{:.3f}"),
    ("AP to the true joints", "true_ap", "{:.3f}"),
    ("NLL of held-out labels (nats/joint)", "nll", "{:.2f}"),
    ("coverage of the 90 % region", "coverage@0.9", "{:.3f}"),
    ("rank correlation of sigma and error", "sigma_rank", "{:.2f}"),
)


def run_demo(
    folder: str | Path, seed: int = 0, epochs: int | None = None, people: int | None = None
) -> dict[str, dict[str, float]]:
    """Train by RLE and by L1 on the same data with the same budget; measure, draw and explain both.

    Args:
        folder: receives the best checkpoint, `metrics.json`, plots and `report.html`. What an earlier demo wrote
            into it is replaced; a folder with anything else in it is refused.
        seed: of both runs.
        epochs: instead of the recipe's.
        people: to train on, instead of the recipe's number.

    Returns:
        the figures of "RLE" and "L1", by name.

    Raises:
        InputError: if the folder holds something else, or a number cannot be trained with.
        KeyboardInterrupt: if a run is interrupted; it has to be started again.
    """
    folder = Path(folder)
    say = Console(stderr=True)
    base = synthetic.synthetic_resnet18_rle()
    count = synthetic.TRAIN if people is None else people
    if count < base.batch_size:
        raise InputError(f"the demo needs {base.batch_size} people or more to train on, got {count}")
    epochs = base.epochs if epochs is None else epochs
    recipes = {
        "RLE": replace(base, seed=seed, epochs=epochs),
        "L1": replace(base, loss="l1", seed=seed, epochs=epochs),
    }
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists()):
        raise InputError(f"{folder}: is no empty folder and not a demo's; choose another with --out")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    for name in ("rle", "l1"):
        shutil.rmtree(folder / name, ignore_errors=True)
    started = time.monotonic()
    say.print(f"Drawing {count} synthetic people to train on and {synthetic.VAL} for validation …")
    train = synthetic.easy_people(count, seed=1, noise=LabelNoise())
    parts: dict[str, People] = {
        "train": train,
        "val": synthetic.synthetic_people(synthetic.synthetic_resnet18_rle(), "val"),
    }
    truth = synthetic.clean_people()
    figures: dict[str, dict[str, float]] = {}
    runs: dict[str, Run] = {}
    measured: dict[str, Evaluation] = {}
    for name, recipe in recipes.items():
        recipe = replace(recipe, people=lambda _, part: parts[part])
        say.print(
            f"Training {recipe.backbone} at {recipe.size[0]}×{recipe.size[1]} by {name}, {recipe.epochs} epochs …"
        )
        runs[name] = fit(recipe, folder / name.lower())
        if runs[name].interrupted:
            raise KeyboardInterrupt
        model, loss = load_of_crops(runs[name].best)
        measured[name] = evaluate(model, parts["val"], loss)
        clean = evaluate(model, truth).compute()
        figures[name] = {**measured[name].compute(), **{f"true_{key}": value for key, value in clean.items()}}
    shutil.copy2(runs["RLE"].best, folder / "best.ckpt")
    (folder / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    _draw(folder, runs, measured, truth)
    rows = _rows(figures)
    write_report(folder, rows, count)
    table = Table(*rows[0], title=f"{synthetic.VAL} held-out people")
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
    say.print(f"Done in {(time.monotonic() - started) / 60:.1f} minutes. Open {folder / 'report.html'} to see it all.")
    say.print("Try it on a photo of yours (one person, fully visible; it was trained on synthetic people only):")
    Console(soft_wrap=True).print(
        f"  logpose predict {folder / 'best.ckpt'} photo.jpg --save-images out/", highlight=False
    )
    return figures


def _rows(figures: dict[str, dict[str, float]]) -> list[list[str]]:
    def cell(name: str, key: str, form: str) -> str:
        return form.format(figures[name][key]) if key in figures[name] else "–"

    return [["", *figures], *([title, *(cell(name, key, form) for name in figures)] for title, key, form in FIGURES)]


def _draw(folder: Path, runs: dict[str, Run], measured: dict[str, Evaluation], truth: InMemory) -> None:
    model, loss = load_of_crops(runs["RLE"].best)
    assert loss is not None
    predictor = Predictor(model, device="cpu", flip_test=True)
    shown = []
    for sample in truth.samples[:SHOWN]:
        assert not isinstance(sample.image, Path)
        shown.append((sample.image, predictor(sample.image, [list(sample.box)])))
    plot_poses(shown, folder / "predictions.png")
    report.plot_density(loss, folder / "density.png")
    report.plot_calibration(measured["RLE"].arrays().deviations(), model.error_distribution, folder / "calibration.png")
    report.plot_curves({name: report.read_curves(run.folder) for name, run in runs.items()}, folder / "curves.png")


def write_report(folder: Path, rows: list[list[str]], count: int) -> None:
    """`report.html`: the table, the plots and what they mean.

    Args:
        folder: the demo's, with its plots.
        rows: of the table, the first being its head.
        count: of people learned from.
    """
    sections = [
        report.Section(
            "What was done",
            [
                f"A ResNet-18 was trained to predict 17 joints of {count} synthetic people, twice from the same random "
                "weights with the same budget: once by <b>RLE</b> (residual log-likelihood estimation) and once by "
                "plain <b>L1</b> regression. Both were then evaluated on held-out people.",
                "The training labels are noisy on purpose, more so on hidden joints, as human labels are. "
                "Because the people are synthetic, the true joints are known too, and the first three rows use them.",
            ],
            table=rows,
        ),
        report.Section(
            "Predictions",
            [
                "Held-out people with predictions. Blue is the person's left, orange the right. Around each joint lies "
                "the ellipse that holds it with a probability of 50 %: small where the network is certain, large "
                "where a joint is hidden or could be either of two limbs. An L1 network predicts none.",
            ],
            folder / "predictions.png",
        ),
        report.Section(
            "Is sigma calibrated?",
            [
                "Left: coverage of predictive regions of nominal 5 … 99 %, on held-out labels. On the dashed line the "
                "network is calibrated; below, overconfident; above, underconfident. "
                "Right: joints in ten groups by predicted standard deviation, against their actual error.",
            ],
            folder / "calibration.png",
        ),
        report.Section(
            "The error's density, learned",
            [
                "A regression loss implies a distribution of errors: L2 a Gaussian, L1 a Laplace. "
                "RLE starts from a Laplace and lets a normalizing flow learn the rest. The three densities are shown "
                "at equal standard deviation (the paper's Fig. 4): peak and tails were learned.",
            ],
            folder / "density.png",
        ),
        report.Section(
            "Training",
            [
                "The error in pixels and the negative log-likelihood (NLL) are different things, so they have a panel "
                "each. <b>A negative NLL is normal:</b> it is minus the logarithm of a density, and a density may "
                "well be larger than one: a crop is one unit wide, and a joint is placed within a small part of it. "
                "Lower is better, and zero is nothing special.",
            ],
            folder / "curves.png",
        ),
        report.Section(
            "Next",
            [
                f"A photo of yours: <code>logpose predict {folder / 'best.ckpt'} photo.jpg --save-images out/</code> "
                "(it was trained on synthetic people only, so expect little).",
                "Your own labels in COCO form: <code>logpose inspect DATA</code>, then "
                "<code>logpose train coco_resnet18_rle --data DATA</code>.",
            ],
        ),
    ]
    report.write_page("logpose demo: keypoints with a confidence", sections, folder / "report.html")
