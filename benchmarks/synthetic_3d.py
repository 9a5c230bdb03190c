"""RLE against L1 in 3-D, on synthetic people: one network, one budget, several seeds, errors in millimetres.

    python benchmarks/synthetic_3d.py

The recipe is `synthetic_3d_rle`, with `--loss l1` for L1: half of the training people have 2-D labels only. A seed
changes the weights, the order and the augmentation; the people are the same. A run's figures go to
`benchmarks/figures/synthetic_3d.json` as soon as it is finished, and a run that is there is not repeated.

    mpjpe         mean distance of a joint from the truth, both relative to the middle of the hips, millimetres
    pa_mpjpe      the same after Procrustes alignment of each pose
    nll           negative log-likelihood of noisy labels, nats per joint, in crop coordinates
    coverage@0.9  coverage of nominal 90 % regions, of noisy labels, in all three dimensions
    sigma_rank    Spearman's correlation of a joint's standard deviation in the image with its error there
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from logpose.data import People
from logpose.recipes import synthetic
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from logpose.training.run import fit
from tables import Runs, whole

SYSTEMS = {"RLE": synthetic.synthetic_3d_rle, "L1": lambda: replace(synthetic.synthetic_3d_rle(), loss="l1")}
SHOWN = ("mpjpe", "pa_mpjpe", "nll", "coverage@0.9", "sigma_rank")
FIGURES = Path(__file__).parent / "figures" / "synthetic_3d.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic_3d"), help="folder of the runs")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="what is kept of them")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    runs = Runs(given.figures, SHOWN)
    parts: dict[str, People] = {}

    def people(_: Recipe, part: str) -> People:
        return parts[part]

    def measured(recipe: Recipe, name: str) -> dict[str, float]:
        if not parts:
            parts.update({part: recipe.people(recipe, part) for part in ("train", "val")})
        run = whole(fit(replace(recipe, people=people), given.out / name))
        # The last epoch's weights: the best epoch is chosen on the people of the evaluation.
        model, loss = load_of_crops(run.folder / "last.ckpt")
        return evaluate(model, parts["val"], loss, flip_test=recipe.flip_test).compute()

    for seed in range(given.seeds):
        for name, make in SYSTEMS.items():
            runs.add(name, seed, partial(measured, replace(make(), seed=seed)))
    print(runs.table())


if __name__ == "__main__":
    main()
