"""Anyone's keypoints with nothing written for them: 68 landmarks of faces, by L1 and by RLE, through the commands.

    python benchmarks/face_landmarks.py FOLDER

FOLDER has `annotations/train.json` and `annotations/val.json` in COCO's form, with a category, joint names and a
skeleton of their own. The recipe is `coco_resnet18_rle` (from random weights) with L1's loss in its place for the
comparison. A run's figures are kept in `figures.json` as soon as it is finished, and not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from logpose.checkpoint import load
from logpose.evaluation import evaluate
from logpose.losses import L1Loss, RLELoss
from logpose.recipe import labelled_people
from logpose.recipes.coco import coco_resnet18_rle
from logpose.training import fit
from tables import cell

LOSSES = {"RLE": RLELoss, "L1": L1Loss}
SHOWN = ("nme", "error_px", "pck@0.05", "ap", "nll", "coverage@0.9", "sigma_rank", "minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/faces"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "figures.json"
    figures: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(given.seeds):
        for name, loss in LOSSES.items():
            if (key := f"{name}-{seed}") in figures:
                continue
            recipe = replace(
                coco_resnet18_rle(), loss=loss, data=given.data, seed=seed, epochs=given.epochs, batch_size=64,
                workers=0, size=(96, 96), watch="nme", validate_every=given.epochs // 3,
            )  # fmt: skip
            started = time.monotonic()
            run = fit(recipe, given.out / key)
            minutes = (time.monotonic() - started) / 60
            model, fitted = load(run.best)
            found = evaluate(model, labelled_people(recipe, "val"), fitted).compute()
            figures[key] = {**found, "minutes": minutes}
            kept.write_text(json.dumps(figures, indent=1) + "\n")
            print(key, {shown: round(found[shown], 4) for shown in SHOWN if shown in found}, flush=True)
    print("| loss | " + " | ".join(SHOWN) + " |\n|" + "---|" * (len(SHOWN) + 1))
    for name in LOSSES:
        rows = [row for key, row in figures.items() if key.rpartition("-")[0] == name]
        cells = [cell([row[shown] for row in rows if shown in row], digits=4) for shown in SHOWN]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
