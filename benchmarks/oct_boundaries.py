"""Boundaries of retinal layers on real B-scans: the same trunk, data and budget by each head and loss, over folds.

    python benchmarks/oct_boundaries.py --data PATH/TO/oct

The set of `--data` is split by scan into five folds: each is evaluated once, with networks trained on the other four;
scans with the same image stay together. A run is one fold of one seed: its figures go to
`benchmarks/figures/oct_boundaries.json` as soon as it is finished, and a run that is there is not repeated. Windows
of 112×64 show 224 rows of a scan (two rows become one) and 64 of its columns. The number of epochs, and the weight of
RLE beside cross-entropy, were chosen on three of the folds that are evaluated.

    error_px      mean distance of a boundary from its label, pixels (over columns, then scans, then boundaries)
    rmse_px       root mean square of the same
    p95_px        95th percentile of all distances
    nll           negative log-likelihood, nats per column of eight boundaries, rows in pixels
    band@0.9      coverage of each boundary's nominal 90 % band
    sigma_rank    Spearman's correlation of a boundary's standard deviation with its error
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from logpose.data.flattening import cleaned, find_retina
from logpose.data.oct import open_scans
from logpose.data.scans import Scan
from logpose.losses import RLELoss
from logpose.metrics.boundaries import boundary_errors, mean_over_scans
from logpose.tasks.boundaries.recipe import BoundaryRecipe, scans_of_file
from logpose.training.run import fit
from tables import Runs, cell, whole

FIGURES = Path(__file__).parent / "figures" / "oct_boundaries.json"
SHOWN = ("error_px", "rmse_px", "p95_px", "nll", "band@0.9", "sigma_rank")
EPOCHS = 12
NO_NETWORK = "mean of the labels"
AGAINST = "column, L1"


def plain_gradient(boundaries: int) -> RLELoss:
    """RLE without gradient reweighting."""
    return RLELoss(dim=boundaries, gradient_reweighting=0.0)


def budget(data: Path) -> BoundaryRecipe:
    """The recipe that all systems share."""
    return BoundaryRecipe(
        data=data,
        folds=5,
        size=(112, 64),
        shown=224,
        channels=12,
        depth=4,
        epochs=EPOCHS,
        batch_size=8,
        optimizer="adamw",
        lr=4e-3,
        weight_decay=1e-4,
        schedule="one_cycle",
        validate_every=EPOCHS,
        precision="32-true",
        loggers=(),
    )


SYSTEMS = {
    "column, L1": {"loss": "l1"},
    "column, RLE": {},
    "softmax over rows (He et al.)": {"head": "rows", "loss": "l1"},
    "column, RLE of factors": {"factors": True},
    "column, RLE, plain gradient": {"loss": plain_gradient},
    "column, Laplace": {"loss": "laplace"},
    "full, L1": {"head": "full", "loss": "l1"},
    "full, RLE": {"head": "full"},
    "softmax over rows, RLE": {"head": "rows"},
    "mean over rows, L1": {"cells": 1, "loss": "l1"},
    "mean over rows, RLE": {"cells": 1},
}


def over_folds(runs: Runs) -> str:
    """The mean of each system over its folds, and over seeds with all of them; and its difference from `AGAINST`.

    Folds are not equally hard, so systems are compared on the folds and seeds that both have: the last column is the
    mean difference of `error_px` there, with its standard deviation over these pairs.
    """
    names = [*SHOWN, f"error_px less that of {AGAINST}"]
    lines = ["| head, loss | seeds | parts | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 3)]
    keys = [re.fullmatch(r"(.*), fold (\d+)-(\d+)", key) for key in runs.figures]
    found = [(m[1], int(m[2]), int(m[3])) for m in keys if m]
    errors = {key: runs.figures["{}, fold {}-{}".format(*key)]["error_px"] for key in found}
    for name in dict.fromkeys(name for name, _, _ in found):
        seeds = {seed: [f for n, f, s in found if (n, s) == (name, seed)] for n, _, seed in found if n == name}
        most = max(map(len, seeds.values()))
        whole = [seed for seed, parts in seeds.items() if len(parts) == most]
        cells = []
        for shown in SHOWN:
            rows = [[runs.figures[f"{name}, fold {f}-{seed}"].get(shown) for f in seeds[seed]] for seed in whole]
            cells.append(cell([sum(row) / len(row) for row in rows if None not in row]))
        pairs = [
            errors[key] - errors[other] for key in found if key[0] == name and (other := (AGAINST, *key[1:])) in errors
        ]
        cells.append(cell(pairs) if name != AGAINST else "–")
        lines.append(f"| {name} | {len(whole)} | {most} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_course(data: Path, fold: int) -> dict[str, float]:
    """Figures without a network: the mean position of the other folds' labels below the detected membrane."""
    recipe = replace(budget(data), fold=fold)
    scans = {part: scans_of_file(recipe, part) for part in ("train", "val")}
    from_membrane = {
        part: [scan.rows - find_retina(cleaned(scan.image))[1] for scan in found.scans] for part, found in scans.items()
    }
    mean = mean_over_scans(from_membrane["train"])
    predicted = [np.broadcast_to(mean[:, None], rows.shape) for rows in from_membrane["val"]]
    names = scans["val"].skeleton.joints
    return boundary_errors(predicted, from_membrane["val"], names, [None] * len(predicted))


def repeatability(data: Path) -> str:
    """Mean distance of the labels of one image, where it is in the data twice with different labels."""
    by_image: dict[str, list[Scan]] = {}
    for scan in open_scans(data).scans:
        by_image.setdefault(scan.fingerprint, []).append(scan)
    pairs = [(a, b) for same in by_image.values() for a, b in pairwise(same)]
    lines = [f"{len(by_image)} different images, {len(pairs)} of them twice"]
    for a, b in pairs:
        apart = abs(a.rows - b.rows)
        if np.nanmax(apart) > 0:
            lines.append(f"labels of {a.name} and {b.name}: {np.nanmean(apart):.2f} px apart")
    return "; ".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a .mat file in the Duke layout, or a folder of them")
    parser.add_argument("--out", type=Path, default=Path("runs/oct_boundaries"), help="folder for checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    print(repeatability(given.data))
    runs = Runs(given.figures, SHOWN)
    for fold in given.folds:
        runs.add(f"{NO_NETWORK}, fold {fold}", 0, lambda _, f=fold: mean_course(given.data, f))
    for seed in range(given.seeds):
        for fold in given.folds:
            for name in given.systems:
                # The split is the same for every seed; weights, order and augmentation differ.
                recipe = replace(budget(given.data), fold=fold, seed=seed, **SYSTEMS[name])
                run = f"{name}, fold {fold}"
                runs.add(run, seed, lambda folder, r=recipe: whole(fit(r, given.out / folder)).figures)
    print(over_folds(runs))


if __name__ == "__main__":
    main()
