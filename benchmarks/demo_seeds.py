"""RLE against L1 on synthetic people, with the demo's budget, over several seeds: the figures that the README gives.

    python benchmarks/demo_seeds.py --out runs/demo_seeds

A seed changes the weights, the order and the augmentation; the people are the same. Finished runs are kept in
`figures.json`, and a run that is there is not made again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from logpose.data import InMemory
from logpose.losses import RLELoss
from logpose.recipes import synthetic
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from logpose.training.run import fit
from tables import Runs, whole

SHOWN = ("true_error_px", "true_pck@0.1", "true_ap", "nll", "coverage@0.9", "sigma_rank", "minutes")


def plain_gradient() -> Recipe:
    """RLE whose gradient of mu is left as the likelihood has it, going with 1 / sigma."""
    return replace(synthetic.synthetic_resnet18_rle(), loss=partial(RLELoss, gradient_reweighting=0.0))


CANDIDATES = {
    "RLE": synthetic.synthetic_resnet18_rle,
    "L1": lambda: replace(synthetic.synthetic_resnet18_rle(), loss="l1"),
    "RLE, plain gradient": plain_gradient,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/demo_seeds"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    runs = Runs(given.out / "figures.json", SHOWN)
    parts: dict[str, InMemory] = {}

    def people(_: Recipe, part: str) -> InMemory:
        return parts[part]

    def measured(recipe: Recipe, name: str) -> dict[str, float]:
        if not parts:
            parts.update({part: synthetic.synthetic_people(recipe, part) for part in ("train", "val")})
            parts["truth"] = synthetic.clean_people()
        model, loss = load_of_crops(whole(fit(replace(recipe, people=people), given.out / name)).best)
        noisy, clean = evaluate(model, parts["val"], loss).compute(), evaluate(model, parts["truth"]).compute()
        return {**noisy, **{f"true_{k}": v for k, v in clean.items()}}

    for seed in range(given.seeds):
        for name, make in CANDIDATES.items():
            runs.add(name, seed, partial(measured, replace(make(), seed=seed)))
    print(runs.table())


if __name__ == "__main__":
    main()
