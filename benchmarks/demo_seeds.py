"""RLE against L1 on synthetic people, with the demo's budget, over several seeds: the figures that the README gives.

    python benchmarks/demo_seeds.py --out runs/demo_seeds

A seed changes the weights, the order and the augmentation; the people are the same. Finished runs are kept in
`figures.json`, and a run that is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from logpose.checkpoint import load
from logpose.data import InMemory
from logpose.evaluation import evaluate
from logpose.losses import RLELoss
from logpose.recipe import Recipe
from logpose.recipes import synthetic
from logpose.training import fit

SHOWN = ("true_error_px", "true_pck@0.1", "true_ap", "nll", "coverage@0.9", "sigma_rank", "minutes")


def plain_gradient() -> Recipe:
    """RLE whose gradient of mu is left as the likelihood has it, going with 1 / sigma."""
    return replace(synthetic.synthetic_resnet18_rle(), loss=partial(RLELoss, balance=0.0))


CANDIDATES = {
    "RLE": synthetic.synthetic_resnet18_rle,
    "L1": synthetic.synthetic_resnet18_l1,
    "RLE, plain gradient": plain_gradient,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/demo_seeds"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "figures.json"
    figures: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    parts: dict[str, InMemory] = {}

    def people(_: Recipe, part: str) -> InMemory:
        return parts[part]

    for seed in range(given.seeds):
        for name, make in CANDIDATES.items():
            if (key := f"{name}-{seed}") in figures:
                continue
            recipe = replace(make(), seed=seed)
            if not parts:
                parts.update({part: synthetic.synthetic_people(recipe, part) for part in ("train", "val")})
                parts["truth"] = synthetic.clean_people()
            recipe = replace(recipe, people=people)
            started = time.monotonic()
            run = fit(recipe, given.out / key)
            minutes = (time.monotonic() - started) / 60
            model, loss = load(run.best)
            noisy, clean = evaluate(model, parts["val"], loss).compute(), evaluate(model, parts["truth"]).compute()
            figures[key] = {**noisy, **{f"true_{k}": v for k, v in clean.items()}, "minutes": minutes}
            kept.write_text(json.dumps(figures, indent=2) + "\n")
    print("| loss | " + " | ".join(SHOWN) + " |\n|" + "---|" * (len(SHOWN) + 1))
    for name in CANDIDATES:
        cells = []
        for figure in SHOWN:
            values = [row[figure] for key, row in figures.items() if key.rpartition("-")[0] == name and figure in row]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            cells.append(f"{statistics.mean(values):.3f} ± {spread:.3f}" if values else "–")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
