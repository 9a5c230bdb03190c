"""Losses and heads on photographs: one backbone, one budget, LSP-Extended's noisy labels, each from random weights.

    python benchmarks/lsp_losses.py --data PATH/TO/lspet

The recipe is `lsp_resnet18_rle`, for half its epochs; the last 1,000 people are for evaluation, the rest for training.
Two systems are also trained for all its epochs, to show what longer training would change. A run's figures go to
`benchmarks/figures/lsp_losses.json` as soon as it is finished; a run that is there is not repeated, and an interrupted
one is resumed, so the table grows over days. Each run's folder keeps its checkpoint and its `config.yaml`.

    pck_torso@t     share of joints with an error below t of the torso (shoulder to opposite hip), person-centric
    error           mean distance of a joint from its label, pixels
    nll             negative log-likelihood, nats per joint, in crop coordinates
    confidence_oks  Pearson's correlation of a person's confidence with OKS
    sigma_rank      Spearman's of a joint's standard deviation with its error
    coverage@0.9    coverage of nominal 90 % regions
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from logpose.core.structures import LEVELS
from logpose.metrics.calibration import coverage
from logpose.recipes.lsp import lsp_resnet18_rle
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.evaluate import Evaluation, evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from tables import Runs, trained


def by(**fields: Any) -> Callable[[], Recipe]:
    """The recipe with other plain fields."""
    return lambda: replace(lsp_resnet18_rle(), **fields)


def for_share(make: Callable[[], Recipe], share: float) -> Recipe:
    """The recipe for a share of its epochs; one of two stages has as many in both together as the others have."""
    recipe = make()
    both = 1 if recipe.first is None else 270 / (270 + 140)
    return replace(recipe, epochs=round(share * both * recipe.epochs))


# Those of which several seeds matter most come first.
SYSTEMS: dict[str, Callable[[], Recipe]] = {
    "L1": by(loss="l1"),
    "RLE normalized": lsp_resnet18_rle,
    "heatmap": by(head="heatmap"),
    "RLE paper": by(convention="paper"),
    "RLE, heatmaps first": by(pretrain="heatmap"),
    "Integral": by(head="integral", loss="l1"),
    "Laplace": by(loss="laplace"),
    "RLE released": by(convention="released"),
    "Gaussian": by(loss="gaussian"),
    "DLE": by(loss="dle"),
    "L2": by(loss="l2"),
}
LONGER = {f"{name}, twice as long": SYSTEMS[name] for name in ("L1", "RLE normalized")}
SHARES = dict.fromkeys(SYSTEMS, 0.5) | dict.fromkeys(LONGER, 1.0)
SYSTEMS |= LONGER
SHOWN = ("pck_torso@0.2", "pck_torso@0.1", "error_px", "nll", "confidence_oks", "sigma_rank", "coverage@0.9")
KEPT_SHARES = tuple(i / 20 for i in range(20, 0, -1))
FIGURES = Path(__file__).parent / "figures" / "lsp_losses.json"


def measured(evaluation: Evaluation) -> dict[str, Any]:
    """Every figure, and the two curves that are drawn."""
    figures: dict[str, Any] = {name: value for name, value in evaluation.compute().items() if value == value}
    at = evaluation.arrays()
    if not np.isfinite(at.std).all():
        return figures
    figures["_coverage"] = coverage(at.radius(), evaluation.model.error_distribution.radius.tolist())
    labelled = at.visible > 0
    apart = np.linalg.norm(at.predicted - at.truth, axis=-1)[labelled]
    spread = np.sqrt((at.std**2).sum(axis=-1))[labelled]
    by_spread, by_error = apart[np.argsort(spread, kind="stable")], np.sort(apart)
    for name, ordered in (("_sparsification", by_spread), ("_oracle", by_error)):
        figures[name] = [float(ordered[: max(1, round(share * len(apart)))].mean()) for share in KEPT_SHARES]
    return figures


def plot(figures: dict[str, dict[str, Any]], path: Path) -> None:
    """Reliability and sparsification of the first seed of every system that has a density."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.6), layout="constrained")
    left.axhline(0, color="k", ls="--", lw=1)
    drawn = {}
    for system, colour in zip(SYSTEMS, plt.get_cmap("tab20").colors[: len(SYSTEMS)], strict=True):
        row = figures.get(f"{system}-0", {})
        if "_coverage" in row:
            over = np.array(row["_coverage"]) - LEVELS
            label = system.replace("heatmaps first", "heatmap pre-training")
            (drawn[label],) = left.plot(LEVELS, over, color=colour, label=label)
        if "_sparsification" in row and "sigma_rank" in row:
            right.plot([1 - share for share in KEPT_SHARES], row["_sparsification"], color=colour)
    left.set(
        xlabel="nominal level of the region",
        ylabel="coverage minus nominal level",
        title="Calibration (0: calibrated)",
    )
    right.set(
        xlabel="share of joints excluded, largest sigma first",
        ylabel="mean error of the remaining joints, px",
        title="Sparsification (losses with a learned sigma)",
        ylim=(0, None),
    )
    figure.legend(drawn.values(), drawn, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/lsp_losses"), help="folder for checkpoints and plots")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(given.figures, SHOWN)

    def measure(recipe: Recipe, name: str) -> dict[str, Any]:
        # Of a run that was resumed, the minutes are those of its last part.
        model, loss = load_of_crops(trained(recipe, given.out / name))
        return {**measured(evaluate(model, labelled_people(recipe, "val"), loss)), "epochs": recipe.epochs}

    for seed in range(given.seeds):
        for name in given.systems:
            recipe = for_share(SYSTEMS[name], SHARES[name])
            runs.add(name, seed, partial(measure, replace(recipe, data=given.data, seed=seed)))
    (given.out / "table.md").write_text(runs.table("system") + "\n")
    plot(runs.figures, given.out / "lsp_losses.png")
    print(runs.table("system"))


if __name__ == "__main__":
    main()
