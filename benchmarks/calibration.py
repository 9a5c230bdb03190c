"""Calibration on held-out labels: coverage, size of regions and likelihood before and after, in every task.

    python benchmarks/calibration.py --data PATH/TO/DATA      # a folder with faces68, lspet, lifting and oct

Each data set's model is trained by RLE as in its own benchmark (`face_landmarks`, `lsp_pretrained`, `lifting_losses`,
`oct_boundaries`, `detectors`) and evaluated on labels that it did not learn from. Of these, each fifth (of images; of
motion capture, of sequences) is measured by the calibration on the others, as `logpose calibrate` prints it. B-scans
are learned from one file and calibrated on the other, of another size; there are 13, enough for levels of 50 and 90 %.
A run's figures go to `benchmarks/figures/calibration.json` as soon as it is finished, and a run that is there is not
made again.

    before, after     coverage of the nominal level; each group counts once
    joint before …    largest difference from the level of a joint (or boundary)
    radius            of the region of the level: after relative to before, medians
    nll               change of the negative log-likelihood, nats per label
    error, own nll    of the model before, as its own benchmark has them
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lifting_losses import humaneva
from logpose.losses import RLELoss
from logpose.recipes.coco import coco_resnet18_rle
from logpose.recipes.lsp import lsp_lite0_rle
from logpose.recipes.point_set import point_set_synthetic_rle
from logpose.tasks import task_of
from logpose.tasks.calibrate import measure
from logpose.tasks.evaluation import evaluate
from logpose.training.checkpoint import load
from logpose.training.recipe import TrainingRecipe
from oct_boundaries import budget
from tables import Runs, trained

FIGURES = Path(__file__).parent / "figures" / "calibration.json"
LEVELS = {"OCT": (0.5, 0.9)}
"""Of data with too few groups for the others'."""
OTHERS = (0.5, 0.9, 0.95)


def faces(data: Path) -> TrainingRecipe:
    """Of `face_landmarks`."""
    return replace(
        coco_resnet18_rle(), loss=RLELoss, data=data / "faces68", epochs=12, batch_size=64, workers=0, size=(96, 96),
        watch="nme", validate_every=12,
    )  # fmt: skip


def scans(data: Path) -> TrainingRecipe:
    """Of `oct_boundaries`, from one file to the other."""
    files = sorted((data / "oct").glob("*.mat"))
    return replace(budget(files[0]), folds=0, val_data=files[1])


DATA: dict[str, Callable[[Path], TrainingRecipe]] = {
    "faces": faces,
    "faces, full covariance": lambda data: replace(faces(data), covariance="full"),
    "HumanEva-I": lambda data: replace(humaneva(data / "lifting"), loss=lambda: RLELoss(dim=3)),
    "OCT": scans,
    "drawn scenes": lambda _: point_set_synthetic_rle(),
    "LSP-Extended": lambda data: replace(lsp_lite0_rle(), data=data / "lspet"),
}
NAMES = ("before", "after", "joint before", "joint after", "radius")
SHOWN = ("groups", *(f"{name}@{level:g}" for level in OTHERS for name in NAMES), "nll", "error", "own nll", "minutes")


def figures_of(recipe: TrainingRecipe, folder: Path, levels: tuple[float, ...]) -> dict[str, Any]:
    """Train a model, and measure what a calibration changes."""
    model, loss = load(trained(recipe, folder))
    held_out = recipe.people(recipe, "val")
    evaluator = recipe.evaluation(held_out, model, loss)
    evaluate(model, evaluator, recipe.loader(held_out, model, training=False), flip_test=False)
    own, task = evaluator.compute(costly=False), task_of(model)
    group = task.default_group
    measured = measure(task.errors(evaluator, group), model, loss, levels, group)
    found: dict[str, Any] = {"groups": len(np.unique(measured.errors.groups)), "nll": measured.nll_change}
    parts = [part for name, part in measured.parts(model.skeleton.joints).items() if name in model.skeleton.joints]
    for when in ("before", "after"):
        joints = np.array([measured.coverage(when, part) for part in parts])
        for i, level in enumerate(levels):
            found[f"{when}@{level:g}"] = measured.coverage(when)[i]
            found[f"joint {when}@{level:g}"] = float(np.nanmax(abs(joints[:, i] - level)))
    size = measured.size("after") / measured.size("before")
    found |= {f"radius@{level:g}": value for level, value in zip(levels, size, strict=True)}
    error = next(own[name] for name in ("nme", "mpjpe", "error_px") if name in own)
    return {name: float(value) for name, value in found.items()} | {"error": error, "own nll": own["nll"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"), help="folder for checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--systems", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    runs = Runs(given.figures, SHOWN)
    for seed in range(given.seeds):
        for name in given.systems:
            recipe = replace(DATA[name](given.data), seed=seed, threads=given.threads)
            levels = LEVELS.get(name, OTHERS)
            runs.add(name, seed, lambda folder, r=recipe, of=levels: figures_of(r, given.out / folder, of))
    print(runs.table("data"))


if __name__ == "__main__":
    main()
