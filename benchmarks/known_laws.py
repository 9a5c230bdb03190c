"""What each loss learns of errors whose law is known: calibration, spread, likelihood, and the error of mu.

    python benchmarks/known_laws.py

Inputs x are four uniform numbers. A label is m(x) + c(x) · e: m a sine, c a scale that varies by a factor of 10, e a
draw of the law (of standard deviation 1 in every dimension). Both are simple, so that what is left is the loss's doing:
a small network learns mu(x) and sigma(x) from fresh labels, and is asked about 40,000 held-out ones. Figures go to
`benchmarks/figures/known_laws.json` as they come, and a run that is there is not made again, but for those that the
picture is of: the density that was learned in two dimensions over the true one, how much claimed regions hold, and
spread against truth. `normalized` is run with every seed, the other losses with the first.

    nll - truth    held-out negative log-likelihood above the true density's, nats per joint
    region L       share of held-out labels in the smallest region that claims the share L
    worst tenth    largest distance of that share from L in a tenth of the labels by true scale, over 50, 90 and 95 %
    spread / true  reported standard deviation over the true one, median over inputs
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
from logpose.losses.likelihood import ERROR_DRAWS, Distribution
from scipy import stats
from torch import Tensor, nn

from logpose.losses import Gaussian, Laplace, LikelihoodLoss, RLELoss
from tables import cell

LEVELS = (0.5, 0.9, 0.95)
CURVE = tuple(round(0.05 * i, 2) for i in range(1, 20))
STEPS, BATCH, JOINTS, HELD_OUT = 3000, 128, 4, 40_000
INPUTS = 4


@dataclass(frozen=True)
class Law:
    """A density of errors of mean 0 and standard deviation 1 in each dimension."""

    sample: Callable[[np.random.Generator, int, int], np.ndarray]
    """Generator, number of draws, D: (N, D)."""
    log_prob: Callable[[np.ndarray], np.ndarray]
    """(N, D) to (N,)."""
    dims: tuple[int, ...]


def independent(error_distribution: stats.rv_continuous, dims: tuple[int, ...]) -> Law:
    """The same law in each dimension, scaled to unit variance."""
    std = float(error_distribution.std())
    return Law(
        lambda rng, n, d: error_distribution.rvs((n, d), random_state=rng) / std,
        lambda e: (error_distribution.logpdf(e * std) + math.log(std)).sum(axis=1),
        dims,
    )


# Two Gaussians, one narrow and frequent, one wide and off to a side: mean 0 and variance 1 after scaling.
SHARE, PLACES, WIDTHS = np.array([0.75, 0.25]), np.array([-0.5, 1.5]), np.array([0.4, 1.2])
SKEW_STD = math.sqrt(float(SHARE @ (PLACES**2 + WIDTHS**2) - (SHARE @ PLACES) ** 2))


def skewed_sample(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    which = rng.choice(2, (n, d), p=SHARE)
    return (PLACES[which] + WIDTHS[which] * rng.standard_normal((n, d)) - SHARE @ PLACES) / SKEW_STD


def skewed_log_prob(e: np.ndarray) -> np.ndarray:
    x = e[..., None] * SKEW_STD + SHARE @ PLACES
    return (np.log((SHARE * stats.norm.pdf(x, PLACES, WIDTHS)).sum(axis=-1)) + math.log(SKEW_STD)).sum(axis=1)


CORRELATION = np.array([[1.0, 0.8], [0.8, 1.0]])

LAWS = {
    "Laplace": independent(stats.laplace(), (2, 3, 8)),
    "Gaussian": independent(stats.norm(), (2, 3, 8)),
    "Student t, 3": independent(stats.t(3), (2, 3, 8)),
    "skewed mixture": Law(skewed_sample, skewed_log_prob, (2,)),
    "correlated Gaussian": Law(
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
    place = 0.1 * torch.sin(x[:, None, :1] + joint)
    share = 0.5 + 0.25 * (x[:, None, 1:2] * torch.cos(joint) + x[:, None, 2:3] * torch.sin(joint)) * math.sqrt(2)
    return place, 0.01 * 10 ** share.clamp(0, 1)


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
    error_distribution: Law, dim: int, count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, label, m, c, and the log-density of each label."""
    x = torch.from_numpy(rng.uniform(-1, 1, (count, INPUTS))).float()
    place, scale = truth(x, dim)
    error = error_distribution.sample(rng, count * JOINTS, dim)
    log_p = torch.from_numpy(error_distribution.log_prob(error)).view(count, JOINTS) - scale.double().log().sum(dim=-1)
    return x, place + scale * torch.from_numpy(error).float().view(place.shape), place, scale, log_p


def run(error_distribution: Law, make: Callable[[int], LikelihoodLoss], dim: int, seed: int) -> dict[str, Any]:
    """Train and measure."""
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
    x, label, place, scale, log_p = labels(
        error_distribution, dim, HELD_OUT // JOINTS, np.random.default_rng((seed, 1))
    )
    with torch.no_grad():
        claim = loss.distribution(*net(x))
        figures = {"nll - truth": float((log_p - claim.log_prob(label)).mean())}
        held = {level: claim.region(level).contains(label) for level in LEVELS}
        figures |= {f"region {level:.0%}": float(inside.float().mean()) for level, inside in held.items()}
        figures["_curve"] = curve(loss, claim, label)
        if dim == 2:
            figures["_density"] = learned(loss).tolist()
        tenth = scale.mean(dim=-1).flatten().argsort().chunk(10)
        apart = [
            abs(float(inside.flatten()[rows].float().mean()) - level)
            for level, inside in held.items()
            for rows in tenth
        ]
        figures["worst tenth"] = max(apart)
        figures["spread / true"] = float((claim.std / scale).median())
        figures["mu"] = float(((claim.mean - place) / scale).norm(dim=-1).mean())
        spread = (claim.std.mean(dim=-1).flatten()[::50], scale.mean(dim=-1).flatten()[::50])
    figures["_spread"], figures["_true"] = (t.tolist() for t in spread)
    return figures


def grid() -> np.ndarray:
    """Points of a square, in standard deviations: (N, 2)."""
    axis = np.linspace(-3, 3, 61)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def learned(loss: LikelihoodLoss) -> Tensor:
    """The log-density of errors that was learned, brought to mean 0 and variance 1, on the grid."""
    error_distribution = loss.error_distribution()
    return (
        loss.error_log_prob(error_distribution.mean + error_distribution.std * torch.from_numpy(grid()).float())
        + error_distribution.std.log().sum()
    )


def curve(loss: LikelihoodLoss, claim: Distribution, label: Tensor) -> list[float]:
    """The share of labels in the smallest region of each level: as `Region` says it, for many levels at once."""
    error, weight = loss.error_draws(ERROR_DRAWS)
    draws, order = loss.error_log_prob(error).sort(descending=True)
    thresholds = draws[torch.searchsorted(weight[order].cumsum(0), torch.tensor(CURVE))]
    height = claim.log_prob(label) + claim.scale.log().sum(dim=-1)
    return [float((height >= threshold).float().mean()) for threshold in thresholds]


FIGURES = Path(__file__).parent / "figures" / "known_laws.json"
DRAWN = {"normalized": "tab:blue", "normalized, not symmetric": "tab:orange", "Laplace": "tab:gray"}
SHOWN = ("nll - truth", "region 50%", "region 90%", "region 95%", "worst tenth", "spread / true", "mu")


def table(figures: dict[str, dict[str, Any]], seeds: int) -> str:
    """Mean and, behind ±, standard deviation over seeds, of every law, dimension and loss."""
    lines = ["| law | D | loss | " + " | ".join(SHOWN) + " |", "|" + "---|" * (3 + len(SHOWN))]
    for error_distribution, dim, loss in sorted({tuple(json.loads(key)[:3]) for key in figures}, key=str):
        rows = [
            figures[key] for s in range(seeds) if (key := json.dumps([error_distribution, dim, loss, s])) in figures
        ]
        cells = [cell([row[name] for row in rows]) for name in SHOWN]
        lines.append(f"| {law} | {dim} | {loss} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def levels(log_density: np.ndarray) -> list[float]:
    """The log-densities around which half and 90 % of the probability lie, lowest first."""
    ordered = np.sort(log_density)[::-1]
    share = np.exp(ordered).cumsum() * 0.1**2
    return [float(ordered[min(np.searchsorted(share, level), len(ordered) - 1)]) for level in (0.9, 0.5)]


def picture(figures: dict[str, dict[str, Any]], path: Path) -> None:
    """Of each law in two dimensions, first seed: the learned density, what regions hold, and the reported spread."""
    figure, panels = plt.subplots(3, len(LAWS), figsize=(3 * len(LAWS), 9), layout="constrained")
    for (top, middle, bottom), (name, error_distribution) in zip(panels.T, LAWS.items(), strict=True):
        points = grid()
        side = math.isqrt(len(points))
        axes = points[:, 0].reshape(side, side), points[:, 1].reshape(side, side)
        true = error_distribution.log_prob(points)
        top.contour(*axes, true.reshape(side, side), levels(true), colors="k", linestyles="--", linewidths=1)
        for loss, colour in DRAWN.items():
            row = figures.get(json.dumps([name, 2, loss, 0]))
            if row is None:
                continue
            claimed = np.array(row["_density"])
            top.contour(
                *axes, claimed.reshape(side, side), levels(claimed), colors=colour, linestyles="-", linewidths=1.2
            )
            middle.plot([0, *CURVE, 1], [0, *row["_curve"], 1], color=colour, label=loss)
            bottom.loglog(row["_true"], row["_spread"], ".", color=colour, ms=3, alpha=0.3)
        top.set(title=name, xlabel="error, standard deviations", aspect="equal")
        middle.plot([0, 1], [0, 1], "k--", lw=1)
        middle.set(xlabel="share a region claims", aspect="equal")
        bottom.plot([0.01, 0.1], [0.01, 0.1], "k--", lw=1)
        bottom.set(xlabel="true standard deviation", xlim=(0.008, 0.13), ylim=(0.008, 0.13), aspect="equal")
    panels[0, 0].set_ylabel("50 and 90 % regions")
    panels[1, 0].set_ylabel("share it holds")
    panels[2, 0].set_ylabel("reported standard deviation")
    handles = [plt.Line2D([], [], color=colour, label=loss) for loss, colour in DRAWN.items()]
    handles.append(plt.Line2D([], [], color="k", ls="--", label="truth"))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)


def asked(error_distribution: str, dim: int, loss: str, seed: int) -> bool:
    """Whether a run is part of the table: where a loss is defined, and says something that another run does not."""
    if loss in ("normalized", "normalized, not symmetric"):
        return loss == "normalized" or error_distribution == "skewed mixture"
    return dim == 2 and seed == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/known_laws"), help="folder for table and picture")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--laws", nargs="+", default=list(LAWS))
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    parser.add_argument("--dims", nargs="+", type=int, default=[2, 3, 8])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    figures, drawn = ({} if not file.exists() else json.loads(file.read_text()) for file in (
        given.figures, given.out / "drawn.json"
    ))  # fmt: skip
    for seed in range(given.seeds):
        for error_distribution in given.laws:
            for dim in sorted(set(given.dims) & set(LAWS[error_distribution].dims)):
                for loss in given.losses:
                    key = json.dumps([error_distribution, dim, loss, seed])
                    wanted = dim == 2 and seed == 0 and loss in DRAWN
                    if (key in figures and (key in drawn or not wanted)) or not asked(
                        error_distribution, dim, loss, seed
                    ):
                        continue
                    row = run(LAWS[error_distribution], LOSSES[loss], dim, seed)
                    figures[key] = {name: row[name] for name in SHOWN}
                    given.figures.write_text(json.dumps(figures, indent=1) + "\n")
                    if wanted:
                        drawn[key] = row
                        (given.out / "drawn.json").write_text(json.dumps(drawn) + "\n")
                    print(key, {name: round(figures[key][name], 3) for name in SHOWN}, flush=True)
    (given.out / "table.md").write_text((told := table(figures, given.seeds)) + "\n")
    picture(drawn, given.out / "known_laws.png")
    print(told)


if __name__ == "__main__":
    main()
