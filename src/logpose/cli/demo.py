"""`logpose demo`: train RLE and L1 on synthetic people, and show the results."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logpose.core.config import Options
from logpose.core.errors import InputError

if TYPE_CHECKING:
    from logpose.core.samples import Image
    from logpose.report.page import Section

__all__ = ["DemoOptions", "run"]

SHOWN = 12  # people in the figure of predictions
PHOTO_HEIGHT = 700  # pixels
MARK = ".logpose-demo"  # a file that marks the folder of a demo

FIGURES = (
    ("error to the true joints (px)", "true_error_px", "{:.2f}"),
    ("PCK@0.1 to the true joints", "true_pck@0.1", "{:.3f}"),
    ("AP to the true joints", "true_ap", "{:.3f}"),
    ("NLL of held-out labels (nats/joint)", "nll", "{:.2f}"),
    ("coverage of the 90 % region", "coverage@0.9", "{:.3f}"),
    ("rank correlation of sigma and error", "sigma_rank", "{:.2f}"),
)

DONE = (
    "A ResNet-18 was trained to predict 17 joints of {count} synthetic people, twice from the same random weights with "
    "the same budget: once by <b>RLE</b> (residual log-likelihood estimation) and once by plain <b>L1</b> regression. "
    "The training labels are noisy on purpose, more so on hidden joints. Both were evaluated on held-out people; the "
    "first three rows use their true joints."
)
PREDICTIONS = (
    "Held-out people with predictions. Blue is the person's left, orange the right. Around each joint lies the ellipse "
    "that holds it with a probability of 50 %. An L1 network predicts none."
)
DENSITY = (
    "L2 implies Gaussian errors, L1 Laplace errors. RLE starts from a Laplace and lets a normalizing flow learn the "
    "rest. The three densities are shown at equal standard deviation (the paper's Fig. 4)."
)
PHOTO = (
    "These networks were trained on synthetic people alone. The model that comes with logpose was trained in the same "
    "way, on photographs of people at sports: {found}. Around each joint lies the ellipse that holds it with a "
    "probability of 50 %. <code>logpose models</code> names its card: what it was trained on, and where it fails."
)
NEXT = (
    "A photo of yours, by the model that comes with logpose: <code>{predict}</code>.",
    "Your own labels in COCO form: <code>logpose inspect DATA</code>, then "
    "<code>logpose train coco_lite0_rle DATA</code>.",
)


@dataclass(kw_only=True)
class DemoOptions(Options):
    """Train RLE and L1 on built-in synthetic people and compare the two."""

    out: Path = Path("runs/demo")
    """Folder for the checkpoint, images and the report."""
    seed: int = 0
    """Seed of both runs."""
    epochs: int | None = None
    """Number of epochs; the recipe's unless given."""
    people: int | None = None
    """Number of people in the training data; the recipe's unless given."""
    photo: Path | None = None
    """Photograph of one person, on which the report shows the built-in model."""


def run(options: DemoOptions) -> int:
    """Train by RLE and by L1 on the same data with the same budget; evaluate, draw and explain both.

    The folder receives the best checkpoint, `metrics.json`, plots and `report.html`; those of an earlier demo are
    replaced. Returns the exit code.

    Raises:
        InputError: if the folder holds something else, a number cannot be trained with, or the photograph cannot be
            read.
        KeyboardInterrupt: if a run is interrupted; it has to be started again.
    """
    from rich.console import Console
    from rich.table import Table

    from logpose.cli.eval import known_or_null
    from logpose.data.images import read_image
    from logpose.data.synthetic import LabelNoise
    from logpose.recipes import synthetic
    from logpose.report.page import Section, write_page
    from logpose.tasks.pose.evaluate import evaluate
    from logpose.training.checkpoint import load_of_crops
    from logpose.training.run import fit

    folder, err = options.out, Console(stderr=True)
    base = synthetic.synthetic_resnet18_rle()
    count = synthetic.TRAIN if options.people is None else options.people
    if count < base.batch_size:
        raise InputError(f"the demo needs {base.batch_size} people or more to train on, got {count}")
    base = replace(base, seed=options.seed, epochs=base.epochs if options.epochs is None else options.epochs)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists()):
        raise InputError(f"{folder}: is no empty folder and not a demo's; choose another with --out")
    photo = None if options.photo is None else read_image(options.photo)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    for name in ("rle", "l1"):
        shutil.rmtree(folder / name, ignore_errors=True)
    started = time.monotonic()
    err.print(f"Drawing {count} synthetic people to train on and {synthetic.VAL} for validation …")
    parts = {
        "train": synthetic.easy_people(count, seed=1, noise=LabelNoise()),
        "val": synthetic.synthetic_people(base, "val"),
    }
    truth = synthetic.clean_people()
    figures: dict[str, dict[str, float]] = {}
    runs, evaluations = {}, {}
    for name in ("RLE", "L1"):
        recipe = replace(base, loss="rle" if name == "RLE" else "l1", people=lambda _, part: parts[part])
        err.print(
            f"Training {recipe.backbone} at {recipe.size[0]}×{recipe.size[1]} by {name}, {recipe.epochs} epochs …"
        )
        runs[name] = fit(recipe, folder / name.lower())
        if runs[name].interrupted:
            raise KeyboardInterrupt
        model, loss = load_of_crops(runs[name].best)
        evaluations[name] = evaluate(model, parts["val"], loss)
        clean = evaluate(model, truth).compute()
        figures[name] = {**evaluations[name].compute(), **{f"true_{key}": value for key, value in clean.items()}}
    shutil.copy2(runs["RLE"].best, folder / "best.ckpt")
    known = {name: known_or_null(own) for name, own in figures.items()}
    (folder / "metrics.json").write_text(json.dumps(known, indent=2, allow_nan=False) + "\n")
    rows = [["", *figures]]
    for title, key, form in FIGURES:
        rows.append([title, *(form.format(own[key]) if key in own else "–" for own in figures.values())])
    predict = "logpose predict photo.jpg --save-images out/"
    sections = [
        Section("What was done", [DONE.format(count=count)], table=rows),
        *_plots(folder, runs, evaluations["RLE"], truth),
        *([] if photo is None else [_on_photo(photo, folder / "photo.jpg")]),
        Section("Next", [text.format(predict=predict) for text in NEXT]),
    ]
    write_page("logpose demo: keypoints with a confidence", sections, folder / "report.html")
    table = Table(*rows[0], title=f"{synthetic.VAL} held-out people")
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
    err.print(f"Done in {(time.monotonic() - started) / 60:.1f} minutes. Open {folder / 'report.html'} to see it all.")
    err.print("The built-in model on a photo of yours, of one person:")
    Console(soft_wrap=True).print(f"  {predict}", highlight=False)
    return 0


def _plots(folder: Path, runs: dict[str, Any], evaluation: Any, truth: Any) -> list[Section]:
    """Sections of the report with plots of the RLE run, and of both runs' training."""
    from logpose.report.evaluation import CALIBRATED, CURVES
    from logpose.report.page import Section, plot_calibration, plot_curves, plot_density, read_curves
    from logpose.tasks.pose.images import plot_poses
    from logpose.tasks.pose.predict import Predictor
    from logpose.training.checkpoint import load_of_crops

    model, loss = load_of_crops(runs["RLE"].best)
    assert loss is not None
    predictor = Predictor(model, device="cpu", flip_test=True)
    shown = [(sample.image, predictor(sample.image, [list(sample.box)])) for sample in truth.samples[:SHOWN]]
    names = ("predictions", "calibration", "density", "curves")
    predictions, calibration, density, curves = (folder / f"{name}.png" for name in names)
    plot_poses(shown, predictions)
    plot_density(loss, density)
    plot_calibration(evaluation.arrays().deviations(model), calibration)
    plot_curves({name: read_curves(run.folder) for name, run in runs.items()}, curves)
    return [
        Section("Predictions", [PREDICTIONS], predictions),
        Section("Is sigma calibrated?", [CALIBRATED], calibration),
        Section("The error's density, learned", [DENSITY], density),
        Section("Training", [CURVES], curves),
    ]


def _on_photo(image: Image, path: Path) -> Section:
    """The section of the report with the built-in model's prediction, as an image at `path`."""
    from logpose.report.draw import contact_sheet
    from logpose.report.page import Section, save_image
    from logpose.tasks.pose.images import overlay
    from logpose.tasks.pose.predict import Predictor

    poses = Predictor(device="cpu", flip_test=True)(image)
    width = max(1, round(PHOTO_HEIGHT * image.shape[1] / image.shape[0]))
    save_image(contact_sheet([overlay(image, poses)], 1, (PHOTO_HEIGHT, width)), path)
    found = "here is what it found in your photograph" if len(poses) else "in your photograph it found nobody"
    return Section("A photograph", [PHOTO.format(found=found)], path)
