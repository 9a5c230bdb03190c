"""Anyone's keypoints with nothing written for them: 68 landmarks of faces, by L1 and by RLE, through the commands.

    python benchmarks/face_landmarks.py FOLDER

FOLDER has `annotations/train.json` and `annotations/val.json` in COCO's form, with a category, joint names and a
skeleton of their own. The recipe is `coco_resnet18_rle` (from random weights) with L1's loss in its place for the
comparison. A run's figures go to `benchmarks/figures/face_landmarks.json` as soon as it is finished, and a run that is
there is not made again.

    nme           mean distance of a landmark from its label, in diagonals of the box
    pck@t         share of landmarks within t of the box's longer side
    nll           nats per landmark, in crop coordinates
    coverage@0.9  share of labels inside nominal 90 % regions
    sigma_rank    Spearman's correlation of a landmark's spread with its error
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from logpose.losses import L1Loss, RLELoss
from logpose.recipes.coco import coco_resnet18_rle
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from logpose.training.run import fit
from tables import Runs, whole

FIGURES = Path(__file__).parent / "figures" / "face_landmarks.json"
LOSSES = {"RLE": RLELoss, "L1": L1Loss}
SHOWN = ("nme", "error_px", "pck@0.05", "ap", "nll", "coverage@0.9", "sigma_rank", "minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/faces"), help="folder for checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    runs = Runs(given.figures, SHOWN)

    def measured(recipe: Recipe, name: str) -> dict[str, float]:
        # The last epoch's weights: the best epoch is chosen on the faces of the evaluation.
        model, fitted = load_of_crops(whole(fit(recipe, given.out / name)).folder / "last.ckpt")
        return evaluate(model, labelled_people(recipe, "val"), fitted).compute()

    for seed in range(given.seeds):
        for loss_name, loss in LOSSES.items():
            recipe = replace(
                coco_resnet18_rle(), loss=loss, data=given.data, seed=seed, epochs=given.epochs, batch_size=64,
                workers=0, size=(96, 96), watch="nme", validate_every=given.epochs,
            )  # fmt: skip
            runs.add(loss_name, seed, partial(measured, recipe))
    print(runs.table(digits=4))


if __name__ == "__main__":
    main()
