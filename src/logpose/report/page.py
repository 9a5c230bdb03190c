"""Plots of what a model learned, and one self-contained page that shows and explains them."""

from __future__ import annotations

import base64
import csv
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from logpose.core.calibration import LEVELS
from logpose.core.files import whole_file
from logpose.core.samples import Image
from logpose.metrics.calibration import Deviations

if TYPE_CHECKING:
    from logpose.losses import LikelihoodLoss

__all__ = [
    "Section",
    "plot_calibration",
    "plot_curves",
    "plot_density",
    "plot_parts",
    "plot_sparsification",
    "read_curves",
    "save_image",
    "write_page",
]

# Okabe and Ito's colours, which people with any colour vision can distinguish; of the three densities.
LEARNED, LAPLACE, GAUSSIAN = "#0072B2", "#D55E00", "#009E73"
REACH = 4.0  # standard deviations that density plots show on either side
GRID = 161  # points along each of their axes


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, paragraphs (HTML), and an image or a table under them."""

    title: str
    paragraphs: Sequence[str]
    image: Path | None = None
    table: Sequence[Sequence[str]] | None = None
    """Rows of cells, the first row being the head."""


def plot_density(loss: LikelihoodLoss, path: str | Path) -> None:
    """The learned density of the standardised error beside a Gaussian and a Laplace of equal deviation (Fig. 4).

    Args:
        loss: the trained loss, of two or more dimensions; the first two are shown, at 0 in the others.
        path: PNG to write.
    """
    import torch  # the rest of this module does without

    axis = np.linspace(-REACH, REACH, GRID)
    x, y = np.meshgrid(axis, axis)
    error_distribution = loss.error_distribution()
    std, mean = error_distribution.std.double().cpu().numpy(), error_distribution.mean.double().cpu().numpy()
    points = np.zeros((x.size, loss.dim))
    points[:, 0], points[:, 1] = x.ravel(), y.ravel()
    with torch.no_grad():
        error = torch.from_numpy(points * std + mean).float().to(loss.device)
        log_p = loss.error_log_prob(error).double().cpu().numpy().reshape(x.shape) + np.log(std[:2]).sum()
    gaussian = -0.5 * (x**2 + y**2) - np.log(2 * np.pi)
    laplace = -np.sqrt(2) * (abs(x) + abs(y)) - np.log(2)
    panels = (("learned", log_p, LEARNED), ("Laplace", laplace, LAPLACE), ("Gaussian", gaussian, GAUSSIAN))
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    axes = figure.subplots(1, 4)
    top = max(values.max() for _, values, _ in panels)
    for ax, (name, values, _) in zip(axes, panels, strict=False):
        shown = ax.pcolormesh(axis, axis, values, vmin=top - 9, vmax=top, cmap="viridis", rasterized=True)
        ax.contour(axis, axis, values, levels=[top - 6, top - 4, top - 2], colors="white", linewidths=0.6)
        ax.set(title=name, xlabel="error along x (std)", aspect="equal")
        ax.invert_yaxis()
    axes[0].set_ylabel("error along y (std)")
    figure.colorbar(shown, ax=axes[2], label="log-density (nats)")
    step = axis[1] - axis[0]
    for name, values, colour in panels:
        axes[3].plot(axis, np.exp(values).sum(axis=0) * step, color=colour, label=name)
    axes[3].set(title="density along x", xlabel="error (std)", yscale="log", ylim=(1e-4, 2))
    axes[3].legend(frameon=False)
    _save(figure, Path(path))


def plot_calibration(found: Deviations, path: str | Path, what: str = "joint") -> None:
    """Calibration of sigma: coverage of predictive regions, and error against predicted standard deviation.

    Args:
        found: labels beside predictions.
        path: PNG to write.
        what: what a prediction is of.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="nominal")
    left.plot(LEVELS, found.coverage(LEVELS), "o-", color=LEARNED, markersize=3, label="held out")
    left.set(xlabel="nominal level of the region", ylabel="share of labels inside", title="Coverage", aspect="equal")
    left.legend(frameon=False)
    bins = [tenth for tenth in np.array_split(np.argsort(found.spread), 10) if len(tenth)]
    predicted, actual = ([float(np.sqrt((x[b] ** 2).mean())) for b in bins] for x in (found.spread, found.apart))
    limits = (0, 1.1 * max(*predicted, *actual))
    right.plot(limits, limits, color="0.7", linestyle="--")
    right.plot(predicted, actual, "o-", color=LEARNED)
    right.set(xlim=limits, ylim=limits, title="Error in each tenth of predicted standard deviation")
    right.set_xlabel(f"predicted standard deviation of a {what} ({found.unit})")
    right.set_ylabel(f"root mean square error ({found.unit})")
    _save(figure, Path(path))


def plot_parts(
    levels: Sequence[float], shares: Mapping[str, Float[np.ndarray, "J L"]], names: Sequence[str], path: str | Path
) -> None:
    """Coverage of parts of the labels, such as joints, at some nominal levels.

    Args:
        levels: nominal levels.
        shares: by when it was measured ("before", "after"), of J parts the share of labels inside at each level.
        names: of the parts.
        path: PNG to write.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, level in enumerate(levels):
        colour = f"C{i}"
        axes.axhline(level, color=colour, linewidth=0.8, linestyle="--")
        for (when, of_parts), mark in zip(shares.items(), ("o", "x")[len(shares) % 2 :], strict=False):
            axes.plot(of_parts[:, i], mark, color=colour, label=f"{level:g} {when}")
    axes.set(xticks=range(len(names)), ylabel="share of labels inside", title="Coverage, held out")
    axes.set_xticklabels(names, rotation=90, fontsize=7)
    axes.legend(frameon=False, bbox_to_anchor=(1.01, 1), loc="upper left")
    _save(figure, Path(path))


def plot_sparsification(curves: Mapping[str, Float[np.ndarray, "S"]], unit: str, path: str | Path) -> None:
    """Mean error of the joints that are left when a share of the least certain is left out.

    Args:
        curves: by name, of an order of the joints; as `reliability.sparsification` returns them.
        unit: of the error.
        path: PNG to write.
    """
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for (name, curve), colour in zip(curves.items(), (LEARNED, LAPLACE, GAUSSIAN), strict=False):
        axes.plot(np.arange(len(curve)) / len(curve), curve, color=colour, label=name)
    axes.set(xlabel="share of joints left out", ylabel=f"mean error of the others ({unit})", ylim=(0, None))
    axes.legend(frameon=False)
    _save(figure, Path(path))


def read_curves(folder: str | Path) -> dict[str, list[tuple[int, float]]]:
    """What a run's CSV logger wrote: for each figure, (epoch from 1, value) in order."""
    curves: dict[str, dict[int, float]] = {}
    files = Path(folder).glob("csv-*/metrics.csv")
    # The epoch that a run was resumed from is validated once more; the later figure counts.
    for path in sorted(files, key=lambda path: int(path.parent.name.removeprefix("csv-"))):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and row["epoch"] and name not in ("epoch", "step"):
                        curves.setdefault(name, {})[int(row["epoch"]) + 1] = float(value)
    return {name: sorted(points.items()) for name, points in curves.items()}


def plot_curves(runs: Mapping[str, dict[str, list[tuple[int, float]]]], path: str | Path) -> None:
    """The pixel error and the negative log-likelihood of each run over its epochs, apart from each other.

    Args:
        runs: curves, as `read_curves` gives them, by the run's name.
        path: PNG to write.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    wanted = (("val/error_px", "error of held-out joints (pixels)"), ("val/nll", "held-out NLL (nats per joint)"))
    for ax, (name, label) in zip(panels, wanted, strict=True):
        for run, colour in zip(runs, (LEARNED, LAPLACE, GAUSSIAN), strict=False):
            points = runs[run].get(name, [])
            ax.plot([x for x, _ in points], [y for _, y in points], "o-", color=colour, markersize=4, label=run)
        ax.set(xlabel="epoch", title=label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False)
    panels[0].set_ylim(bottom=0)
    _save(figure, Path(path))


def save_image(image: Image, path: str | Path) -> None:
    """Write an RGB image, whole or not at all, in the format of the file's suffix."""
    path = Path(path)
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix.lower() in (".jpg", ".jpeg") else []
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"{path}: an image cannot be written in this format")
    with whole_file(path) as file:
        file.write(data.tobytes())


def write_page(title: str, sections: Sequence[Section], path: str | Path) -> None:
    """One HTML file that needs nothing but itself, whole or not at all: images are inside it."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += [f"<p>{paragraph}</p>" for paragraph in section.paragraphs]
        if section.table:
            body += _table(section.table)
        if section.image:
            data = base64.b64encode(section.image.read_bytes()).decode()
            kind = "jpeg" if section.image.suffix in (".jpg", ".jpeg") else "png"
            body.append(f'<img alt="{html.escape(section.title)}" src="data:image/{kind};base64,{data}">')
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        + "\n".join(body)
        + "</body></html>\n"
    )
    with whole_file(Path(path)) as file:
        file.write(page.encode())


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of HTML; columns of numbers stand at the right."""
    kinds = [" class=number" if re.match(r"[-−–\d]", cell) else "" for cell in rows[min(1, len(rows) - 1)]]
    lines = ["<table>"]
    for tag, row in zip(["th", *["td"] * (len(rows) - 1)], rows, strict=True):
        cells = (f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return [*lines, "</table>"]


STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
img { max-width: 100%; height: auto; display: block; margin: 1rem auto; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .35rem .9rem; border-bottom: 1px solid #e5e5e5; }
th { text-align: left; } .number { text-align: right; }
code { background: #f3f3f3; padding: .1rem .3rem; border-radius: 3px; }
"""


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)
