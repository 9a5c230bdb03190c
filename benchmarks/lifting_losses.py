"""Losses of two-stage 3-D pose on motion capture: the same network, data and budget by each, over seeds.

    python benchmarks/lifting_losses.py --data PATH/TO/lifting

`humaneva`: HumanEva-I, learned from Train, measured on Validate (other takes of the same three people), through the
cameras that took it. `cmu`: motion capture of Carnegie Mellon, learned from its training sequences and measured on its
test sequences, through four cameras placed around each; of its 60 frames a second every fourth is learned from.

A run's figures go to `benchmarks/figures/lifting_losses.json` as soon as it is finished, and a run that is there is not
made again. Nothing was tuned on what is measured: the schedule is SRNet's with its 60 epochs; for `cmu`, which has more
poses, drawn together to 20; in smaller batches than SRNet's.

    mpjpe, pa_mpjpe  mm, mean over joints (the root counts as one without an error) and frames
    velocity         mm per frame
    nll              nats per joint, in metres, of the predictive distribution
    coverage@0.9     share of labels inside nominal 90 % regions
    sigma_rank       Spearman's correlation of a joint's spread with its error
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from logpose.core.structures import ErrorDistribution, Prediction
from logpose.losses import L1Loss, L2Loss, Laplace, PoseLoss, RLELoss
from logpose.tasks.lifting.recipe import LiftingRecipe
from logpose.training.run import fit
from tables import Runs, whole

FIGURES = Path(__file__).parent / "figures" / "lifting_losses.json"
SHOWN = ("mpjpe", "pa_mpjpe", "velocity", "nll", "coverage@0.9", "sigma_rank")


class UnscaledRLELoss(RLELoss):
    """DLE with L1 beside it, which is not divided by sigma (SRNet's code, `L1GaussianRegressionNewFlow`).

    L = sum_d log sigma_d - log G(e) + shortcut * sum_d |label_d - mu_d|: sigma has no gradient of the last term. In
    metres and with the code's weight of 1 the flow's term, which goes with 1 / sigma, is about 25 times as large.
    """

    def __init__(self, shortcut: float = 1.0) -> None:
        super().__init__(dim=3, convention="paper", mode="dle")
        self.shortcut = shortcut

    def joint_losses(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"],
    ) -> Float[Tensor, "B K"]:
        """What training minimises of each joint."""
        return super().joint_losses(mu, sigma, target, weight) + self.shortcut * (target - mu).abs().sum(dim=-1)


class WholePoseRLELoss(PoseLoss):
    """RLE with one flow over all numbers of a pose at once, but for the root's, which are nothing.

    As in the paper, without s: in so many dimensions no feasible number of points estimates it.
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.inner = RLELoss(dim=3 * (joints - 1), convention="paper")

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch, per joint."""
        del weight  # all joints of motion capture are labelled
        mu, sigma, label = (x[:, 1:].flatten(1)[:, None] for x in (prediction.mu, prediction.sigma, target))
        loss: Tensor = self.inner(mu, sigma, label) / (prediction.mu.shape[1] - 1)
        return loss

    def error_distribution(self) -> ErrorDistribution:
        """Of a pose, not of a joint: there is no predictive distribution of a single joint."""
        return ErrorDistribution.unknown(3)

    def config(self) -> dict[str, Any]:
        """The number of joints."""
        return {"joints": self.inner.dim // 3 + 1}


LOSSES: dict[str, Callable[[int], PoseLoss]] = {
    "L1": lambda _: L1Loss(3),
    "L2": lambda _: L2Loss(3),
    "RLE normalized": lambda _: RLELoss(dim=3),
    "RLE paper": lambda _: RLELoss(dim=3, convention="paper"),
    "RLE normalized, Q Gaussian": lambda _: RLELoss(dim=3, base="gaussian"),
    "RLE, Q unscaled": lambda _: UnscaledRLELoss(),
    "RLE, Q unscaled, 100 times": lambda _: UnscaledRLELoss(shortcut=100.0),
    "RLE normalized, plain gradient": lambda _: RLELoss(dim=3, gradient_reweighting=0.0),
    "RLE of the whole pose": WholePoseRLELoss,
    "Laplace": lambda _: Laplace(3),
    "RLE released": lambda _: RLELoss(dim=3, convention="released"),
}


def humaneva(folder: Path) -> LiftingRecipe:
    """Train → Validate, 14,187 → 14,544 frames."""
    return LiftingRecipe(
        data=folder / "data_3d_humaneva15.npz",
        train_subjects=("Train",),
        val_subjects=("Validate",),
        batch_size=256,
        epochs=60,
        decay=0.95,
        validate_every=60,
        precision="auto",
        loggers=(),
    )


def cmu(folder: Path) -> LiftingRecipe:
    """train → test, 107,624 → 28,212 frames of four cameras."""
    return replace(
        humaneva(folder),
        data=folder / "data_3d_cmu.npz",
        train_subjects=("train",),
        val_subjects=("test",),
        every=4,
        epochs=20,
        decay=0.95**3,
        validate_every=20,
    )


DATA = {"humaneva": (humaneva, 15), "cmu": (cmu, 17)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the .npz files")
    parser.add_argument("--out", type=Path, default=Path("runs/lifting_losses"), help="folder for checkpoints")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--sets", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--networks", nargs="+", default=["fc", "srnet"], choices=["fc", "srnet"])
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    runs = Runs(given.figures, SHOWN)
    for seed in range(given.seeds):
        for of in given.sets:
            for network in given.networks:
                for loss in given.losses:
                    make, joints = DATA[of]
                    recipe = replace(make(given.data), network=network, loss=partial(LOSSES[loss], joints), seed=seed)
                    run = f"{of}, {network}, {loss}"
                    runs.add(run, seed, lambda name, r=recipe: whole(fit(r, given.out / name)).figures)
    print(runs.table("data, network, loss"))


if __name__ == "__main__":
    main()
