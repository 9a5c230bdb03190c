"""RLE against L1 in space, on synthetic people: one network, one budget, several seeds, errors in millimetres.

    python benchmarks/synthetic_3d.py

The recipes are `synthetic_3d_rle` and `synthetic_3d_l1`: half of the people that they learn from are labelled in the
plane only. A seed changes the weights, the order and the augmentation; the people are the same. A run's figures go to
`benchmarks/figures/synthetic_3d.json` as soon as it is finished, and a run that is there is not made again.

    mpjpe         mean distance of a joint from the truth, both relative to the middle of the hips, millimetres
    pa_mpjpe      the same after the similarity that brings each pose nearest to the truth
    nll           nats per joint, in crop coordinates, of noisy labels; of what the loss claims
    coverage@0.9  share of noisy labels in the region that claims 90 %, in all three dimensions
    sigma_rank    Spearman's correlation of a joint's spread in the picture with its error there
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from logpose.checkpoint import load_of_crops
from logpose.data import People
from logpose.evaluation import evaluate
from logpose.recipe import Recipe
from logpose.recipes import synthetic
from logpose.training import fit
from tables import cell

SYSTEMS = {"RLE": synthetic.synthetic_3d_rle, "L1": synthetic.synthetic_3d_l1}
SHOWN = {"mpjpe": 1, "pa_mpjpe": 1, "nll": 2, "coverage@0.9": 3, "sigma_rank": 2, "minutes": 1}
"""Figures of the table, and their digits."""
FIGURES = Path(__file__).parent / "figures" / "synthetic_3d.json"


def table(figures: dict[str, dict[str, float]]) -> str:
    """Mean and standard deviation over seeds of each system's figures."""
    rows = ["| loss | seeds | " + " | ".join(SHOWN) + " |", "|" + "---|" * (len(SHOWN) + 2)]
    for name in SYSTEMS:
        found = [row for key, row in figures.items() if key.rpartition("-")[0] == name]
        cells = [cell([row[shown] for row in found if shown in row], digits) for shown, digits in SHOWN.items()]
        rows.append(f"| {name} | {len(found)} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic_3d"), help="folder of the runs")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="what is kept of them")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    given.figures.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, dict[str, float]] = json.loads(given.figures.read_text()) if given.figures.exists() else {}
    parts: dict[str, People] = {}

    def people(_: Recipe, part: str) -> People:
        return parts[part]

    for seed in range(given.seeds):
        for name, make in SYSTEMS.items():
            if (key := f"{name}-{seed}") in figures:
                continue
            recipe = replace(make(), seed=seed)
            if not parts:
                parts.update({part: recipe.people(recipe, part) for part in ("train", "val")})
            started = time.monotonic()
            run = fit(replace(recipe, people=people), given.out / key)
            if run.interrupted:
                raise SystemExit(130)
            minutes = (time.monotonic() - started) / 60
            # The last epoch's weights: those of the best epoch would be chosen on the people they are measured on.
            model, loss = load_of_crops(run.folder / "last.ckpt")
            measured = evaluate(model, parts["val"], loss, flip_test=recipe.flip_test).compute()
            known = {shown: value for shown, value in measured.items() if value == value}
            figures[key] = {**known, "minutes": minutes, "epochs": recipe.epochs}
            part = given.figures.with_suffix(".part")
            part.write_text(json.dumps(figures, indent=1) + "\n")
            part.replace(given.figures)
            print(key, {shown: round(figures[key][shown], 3) for shown in SHOWN if shown in figures[key]}, flush=True)
    told = table(figures)
    (given.out / "table.md").write_text(told + "\n")
    print(told)


if __name__ == "__main__":
    main()
