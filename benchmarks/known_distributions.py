"""What each loss learns of errors of a known distribution: calibration, standard deviation, likelihood, error of mu.

    python benchmarks/known_distributions.py

Inputs x are four uniform numbers. A label is m(x) + c(x) · e: m a sine, c a scale that varies by a factor of 10, e a
draw of the distribution (of standard deviation 1 in every dimension). A small network learns mu(x) and sigma(x) from
new labels at every step, and is evaluated on 40,000 held-out ones; m and c are simple, so that differences come from
the loss. Figures go to `benchmarks/figures/known_distributions.json` after each run, and existing runs are not
repeated, except those that are plotted: the learned density in two dimensions over the true one, the coverage of
regions, and reported against true standard deviations. `normalized` is run with every seed, the other losses with the
first.

    nll - truth    held-out negative log-likelihood above the true density's, nats per joint
    region L       coverage: share of held-out labels in the smallest region of nominal level L
    worst tenth    largest difference of coverage from L in a tenth of the labels by true scale, over 50, 90 and 95 %
    std / true     reported standard deviation over the true one, median over inputs
    mu             mean distance of the reported position from the expected one, in true standard deviations
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from logpose.losses import Distribution, Gaussian, Laplace, LikelihoodLoss, RLELoss
from logpose.losses.distribution import ERROR_DRAWS
from tables import cell

LEVELS = (0.5, 0.9, 0.95)
CURVE = tuple(round(0.05 * i, 2) for i in range(1, 20))
STEPS, BATCH, JOINTS, HELD_OUT = 3000, 128, 4, 40_000
INPUTS = 4


@dataclass(frozen=True)
class Known:
    """A density of errors of mean 0 and standard deviation 1 in each dimension."""

    sample: Callable[[np.random.Generator, int, int], np.ndarray]
    """Generator, number of draws, D: (N, D)."""
    log_prob: Callable[[np.ndarray], np.ndarray]
    """(N, D) to (N,)."""
    dims: tuple[int, ...]


def independent(error_distribution: stats.rv_continuous, dims: tuple[int, ...]) -> Known:
    """The same distribution in each dimension, scaled to unit variance."""
    std = float(error_distribution.std())
    return Known(
        lambda rng, n, d: error_distribution.rvs((n, d), random_state=rng) / std,
        lambda e: (error_distribution.logpdf(e * std) + math.log(std)).sum(axis=1),
        dims,
    )


# Two Gaussians, one narrow and frequent, one wide and off to a side: mean 0 and variance 1 after scaling.
SHARE, CENTRES, WIDTHS = np.array([0.75, 0.25]), np.array([-0.5, 1.5]), np.array([0.4, 1.2])
SKEW_STD = math.sqrt(float(SHARE @ (CENTRES**2 + WIDTHS**2) - (SHARE @ CENTRES) ** 2))


def skewed_sample(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    which = rng.choice(2, (n, d), p=SHARE)
    return (CENTRES[which] + WIDTHS[which] * rng.standard_normal((n, d)) - SHARE @ CENTRES) / SKEW_STD


def skewed_log_prob(e: np.ndarray) -> np.ndarray:
    x = e[..., None] * SKEW_STD + SHARE @ CENTRES
    return (np.log((SHARE * stats.norm.pdf(x, CENTRES, WIDTHS)).sum(axis=-1)) + math.log(SKEW_STD)).sum(axis=1)


CORRELATION = np.array([[1.0, 0.8], [0.8, 1.0]])

DISTRIBUTIONS = {
    "Laplace": independent(stats.laplace(), (2, 3, 8)),
    "Gaussian": independent(stats.norm(), (2, 3, 8)),
    "Student t, 3": independent(stats.t(3), (2, 3, 8)),
    "skewed mixture": Known(skewed_sample, skewed_log_prob, (2,)),
    "correlated Gaussian": Known(
        lambda rng, n, _: rng.multivariate_normal(np.zeros(2), CORRELATION, n),
        lambda e: stats.multivariate_normal(np.zeros(2), CORRELATION).logpdf(e),
        (2,),
    ),
}
LOSSES: dict[str, Callable[[int], LikelihoodLoss]] = {
    "normalized": lambda dim: RLELoss(dim=dim),
    "normalized, not symmetric": lambda dim: RLELoss(dim=dim, symmetric=False),
    "normalized, plain gradient": lambda dim: RLELoss(dim=dim, gradient_reweighting=0.0),
    "paper": lambda dim: RLELoss(dim=dim, convention="paper"),
    "released": lambda dim: RLELoss(dim=dim, convention="released"),
    "mmpose": lambda dim: RLELoss(dim=dim, convention="mmpose"),
    "dle": lambda dim: RLELoss(dim=dim, mode="dle"),
    "Laplace": Laplace,
    "Gaussian": Gaussian,
}


def truth(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """m(x) and c(x) of every joint: (B, K, D) each; c from 0.01 to 0.1 of the crop."""
    joint = torch.arange(JOINTS)[:, None] + torch.arange(dim) / dim
    position = 0.1 * torch.sin(x[:, None, :1] + joint)
    share = 0.5 + 0.25 * (x[:, None, 1:2] * torch.cos(joint) + x[:, None, 2:3] * torch.sin(joint)) * math.sqrt(2)
    return position, 0.01 * 10 ** share.clamp(0, 1)


class Net(nn.Module):
    """x to mu and sigma of every joint."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(INPUTS, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.mu, self.raw = nn.Linear(64, JOINTS * dim), nn.Linear(64, JOINTS * dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, 4) to (B, K, D) each."""
        h = self.trunk(x)
        return self.mu(h).view(len(x), JOINTS, -1), self.raw(h).sigmoid().view(len(x), JOINTS, -1)


def labels(
    error_distribution: Known, dim: int, count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, label, m, c, and the log-density of each label."""
    x = torch.from_numpy(rng.uniform(-1, 1, (count, INPUTS))).float()
    position, scale = truth(x, dim)
    error = error_distribution.sample(rng, count * JOINTS, dim)
    log_p = torch.from_numpy(error_distribution.log_prob(error)).view(count, JOINTS) - scale.double().log().sum(dim=-1)
    return x, position + scale * torch.from_numpy(error).float().view(position.shape), position, scale, log_p


def run(error_distribution: Known, make: Callable[[int], LikelihoodLoss], dim: int, seed: int) -> dict[str, Any]:
    """Train and evaluate."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net, loss = Net(dim), make(dim)
    optimizer = torch.optim.Adam([*net.parameters(), *loss.parameters()], lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    pool = labels(error_distribution, dim, STEPS * BATCH, rng)
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        mu, sigma = net(pool[0][rows])
        optimizer.zero_grad()
        loss(mu, sigma, pool[1][rows]).backward()
        optimizer.step()
        schedule.step()
    net.eval(), loss.eval()
    x, label, position, scale, log_p = labels(
        error_distribution, dim, HELD_OUT // JOINTS, np.random.default_rng((seed, 1))
    )
    with torch.no_grad():
        predicted = loss.distribution(*net(x))
        figures = {"nll - truth": float((log_p - predicted.log_prob(label)).mean())}
        held = {level: predicted.region(level).contains(label) for level in LEVELS}
        figures |= {f"region {level:.0%}": float(inside.float().mean()) for level, inside in held.items()}
        figures["_curve"] = curve(loss, predicted, label)
        if dim == 2:
            figures["_density"] = learned(loss).tolist()
        tenth = scale.mean(dim=-1).flatten().argsort().chunk(10)
        apart = [
            abs(float(inside.flatten()[rows].float().mean()) - level)
            for level, inside in held.items()
            for rows in tenth
        ]
        figures["worst tenth"] = max(apart)
        figures["std / true"] = float((predicted.std / scale).median())
        figures["mu"] = float(((predicted.mean - position) / scale).norm(dim=-1).mean())
        stds = (predicted.std.mean(dim=-1).flatten()[::50], scale.mean(dim=-1).flatten()[::50])
    figures["_std"], figures["_true"] = (t.tolist() for t in stds)
    return figures


def grid() -> np.ndarray:
    """Points of a square, in standard deviations: (N, 2)."""
    axis = np.linspace(-3, 3, 61)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def learned(loss: LikelihoodLoss) -> Tensor:
    """The learned log-density of errors, scaled to mean 0 and variance 1, on the grid."""
    error_distribution = loss.error_distribution()
    return (
        loss.error_log_prob(error_distribution.mean + error_distribution.std * torch.from_numpy(grid()).float())
        + error_distribution.std.log().sum()
    )


def curve(loss: LikelihoodLoss, predicted: Distribution, label: Tensor) -> list[float]:
    """Coverage of the smallest region of each level: as by `Region`, for many levels at once."""
    error, weight = loss.error_draws(ERROR_DRAWS)
    draws, order = loss.error_log_prob(error).sort(descending=True)
    thresholds = draws[torch.searchsorted(weight[order].cumsum(0), torch.tensor(CURVE))]
    height = predicted.log_prob(label) + predicted.scale.log().sum(dim=-1)
    return [float((height >= threshold).float().mean()) for threshold in thresholds]


FIGURES = Path(__file__).parent / "figures" / "known_distributions.json"
PLOTTED = {"normalized": "tab:blue", "normalized, not symmetric": "tab:orange", "Laplace": "tab:gray"}
SHOWN = ("nll - truth", "region 50%", "region 90%", "region 95%", "worst tenth", "std / true", "mu")


def table(figures: dict[str, dict[str, Any]], seeds: int) -> str:
    """Mean and, behind ±, standard deviation over seeds, of every distribution, dimension and loss."""
    lines = ["| distribution | D | loss | " + " | ".join(SHOWN) + " |", "|" + "---|" * (3 + len(SHOWN))]
    for error_distribution, dim, loss in sorted({tuple(json.loads(key)[:3]) for key in figures}, key=str):
        rows = [
            figures[key] for s in range(seeds) if (key := json.dumps([error_distribution, dim, loss, s])) in figures
        ]
        cells = [cell([row[name] for row in rows]) for name in SHOWN]
        lines.append(f"| {error_distribution} | {dim} | {loss} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def levels(log_density: np.ndarray) -> list[float]:
    """The log-densities around which half and 90 % of the probability lie, lowest first."""
    ordered = np.sort(log_density)[::-1]
    share = np.exp(ordered).cumsum() * 0.1**2
    return [float(ordered[min(np.searchsorted(share, level), len(ordered) - 1)]) for level in (0.9, 0.5)]


def plot(figures: dict[str, dict[str, Any]], path: Path) -> None:
    """Of each distribution in two dimensions, first seed: learned density, coverage, reported standard deviation."""
    figure, panels = plt.subplots(3, len(DISTRIBUTIONS), figsize=(3 * len(DISTRIBUTIONS), 9), layout="constrained")
    for (top, middle, bottom), (name, error_distribution) in zip(panels.T, DISTRIBUTIONS.items(), strict=True):
        points = grid()
        side = math.isqrt(len(points))
        axes = points[:, 0].reshape(side, side), points[:, 1].reshape(side, side)
        true = error_distribution.log_prob(points)
        top.contour(*axes, true.reshape(side, side), levels(true), colors="k", linestyles="--", linewidths=1)
        for loss, colour in PLOTTED.items():
            row = figures.get(json.dumps([name, 2, loss, 0]))
            if row is None:
                continue
            density = np.array(row["_density"])
            top.contour(
                *axes, density.reshape(side, side), levels(density), colors=colour, linestyles="-", linewidths=1.2
            )
            middle.plot([0, *CURVE, 1], [0, *row["_curve"], 1], color=colour, label=loss)
            bottom.loglog(row["_true"], row["_std"], ".", color=colour, ms=3, alpha=0.3)
        top.set(title=name, xlabel="error, standard deviations", aspect="equal")
        middle.plot([0, 1], [0, 1], "k--", lw=1)
        middle.set(xlabel="nominal level", aspect="equal")
        bottom.plot([0.01, 0.1], [0.01, 0.1], "k--", lw=1)
        bottom.set(xlabel="true standard deviation", xlim=(0.008, 0.13), ylim=(0.008, 0.13), aspect="equal")
    panels[0, 0].set_ylabel("50 and 90 % regions")
    panels[1, 0].set_ylabel("coverage")
    panels[2, 0].set_ylabel("reported standard deviation")
    handles = [plt.Line2D([], [], color=colour, label=loss) for loss, colour in PLOTTED.items()]
    handles.append(plt.Line2D([], [], color="k", ls="--", label="truth"))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)


def asked(error_distribution: str, dim: int, loss: str, seed: int) -> bool:
    """Whether a run is part of the table."""
    if loss in ("normalized", "normalized, not symmetric"):
        return loss == "normalized" or error_distribution == "skewed mixture"
    return dim == 2 and seed == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/known_distributions"), help="folder for table and plot")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--distributions", nargs="+", default=list(DISTRIBUTIONS))
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 3, 8])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    figures, plotted = ({} if not file.exists() else json.loads(file.read_text()) for file in (
        given.figures, given.out / "plotted.json"
    ))  # fmt: skip
    for seed in range(given.seeds):
        for error_distribution in given.distributions:
            for dim in sorted(set(given.dims) & set(DISTRIBUTIONS[error_distribution].dims)):
                for loss in given.losses:
                    key = json.dumps([error_distribution, dim, loss, seed])
                    wanted = dim == 2 and seed == 0 and loss in PLOTTED
                    if (key in figures and (key in plotted or not wanted)) or not asked(
                        error_distribution, dim, loss, seed
                    ):
                        continue
                    row = run(DISTRIBUTIONS[error_distribution], LOSSES[loss], dim, seed)
                    figures[key] = {name: row[name] for name in SHOWN}
                    given.figures.write_text(json.dumps(figures, indent=1) + "\n")
                    if wanted:
                        plotted[key] = row
                        (given.out / "plotted.json").write_text(json.dumps(plotted) + "\n")
                    print(key, {name: round(figures[key][name], 3) for name in SHOWN}, flush=True)
    (given.out / "table.md").write_text((text := table(figures, given.seeds)) + "\n")
    plot(plotted, given.out / "known_distributions.png")
    print(text)


if __name__ == "__main__":
    main()
