"""Tables of the benchmarks: figures of runs over seeds, saved as soon as a run is finished."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from matplotlib.figure import Figure

from logpose.core.errors import InputError
from logpose.training.checkpoint import read
from logpose.training.recipe import TrainingRecipe, plain_recipe, same_setting
from logpose.training.resume import is_finished
from logpose.training.run import Run, fit
from logpose.training.run_folder import last_checkpoint

INERT = {"threads", "workers", "save_every", "epochs", "steps"}
"""Fields of recipes that do not change what a run learns, and those that `is_finished` compares."""


class Runs:
    """Figures of each run, in a JSON file: a run that is there is not repeated, so a table can grow over days.

    Args:
        file: created, with its folder, when the first run is finished.
        shown: names of the figures in the table.
    """

    def __init__(self, file: Path, shown: Sequence[str]) -> None:
        self.file, self.shown = file, shown
        self.figures = self._kept()

    def _kept(self) -> dict[str, dict[str, Any]]:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def add(
        self,
        name: str,
        seed: int,
        run: Callable[[str], dict[str, Any]],
        again: Callable[[str], dict[str, Any]] | None = None,
    ) -> None:
        """Make a run, unless it is there, and save its figures, with the minutes that it took.

        Args:
            name: of the system.
            seed: the run's.
            run: called with a name for its folder.
            again: called in the same way for a run that is there; returns its figures.
        """
        key = f"{name}-{seed}"
        make = run if key not in self.figures else again
        if make is None:
            return
        began = time.monotonic()
        row = {figure: value for figure, value in make(folder_of(name, seed)).items() if value == value}
        took = (time.monotonic() - began) / 60 if make is run else self.figures[key]["minutes"]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_suffix(".lock")):  # another process may have added runs meanwhile
            self.figures = self._kept() | {key: {**row, "minutes": took}}
            part = self.file.with_suffix(".part")
            part.write_text(json.dumps(self.figures, indent=1) + "\n")
            part.replace(self.file)
        figures = {shown: round(self.figures[key][shown], 4) for shown in self.shown if shown in self.figures[key]}
        print(key, figures, flush=True)

    def table(self, what: str = "loss", digits: int = 3) -> str:
        """Mean and standard deviation over seeds, in the order of the first runs."""
        lines = [f"| {what} | seeds | " + " | ".join(self.shown) + " |", "|" + "---|" * (len(self.shown) + 2)]
        for name in dict.fromkeys(key.rpartition("-")[0] for key in self.figures):
            rows = [row for key, row in self.figures.items() if key.rpartition("-")[0] == name]
            cells = [cell([row[shown] for row in rows if shown in row], digits) for shown in self.shown]
            lines.append(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def plot(runs: Runs, figure_name: str, label: str, path: Path, over: str) -> None:
    """Draw each system's figure over the number that its name ends with: every seed, and a line through the means.

    Args:
        runs: of systems named "SYSTEM, NUMBER".
        figure_name: of the figure.
        label: of the figure's axis.
        path: of the image.
        over: what the numbers are of.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    points: dict[str, dict[int, list[float]]] = {}
    for key, row in runs.figures.items():
        system, count = key.rpartition("-")[0].rsplit(", ", 1)
        points.setdefault(system, {}).setdefault(int(count), []).append(row[figure_name])
    for number, (system, own) in enumerate(points.items()):
        counts = sorted(own)
        means = [statistics.mean(own[count]) for count in counts]
        axes.plot(counts, means, color=f"C{number}", label=system)
        each = [(count, value) for count in counts for value in own[count]]
        axes.scatter(*zip(*each, strict=True), s=8, color=f"C{number}")
    ticks = sorted({count for own in points.values() for count in own})
    axes.set(xscale="log", xlabel=over, ylabel=label, xticks=ticks, xticklabels=list(map(str, ticks)))
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def whole(run: Run) -> Run:
    """The same run; an interrupted one ends the benchmark instead.

    Raises:
        SystemExit: with code 130.
    """
    if run.interrupted:
        raise SystemExit(130)
    return run


def trained(recipe: TrainingRecipe, folder: Path) -> Path:
    """The checkpoint at the end of a recipe's run in a folder; the run is made, or resumed, unless it is finished.

    The best epoch is chosen on the people of the evaluation, so tables have the last one's weights.

    Raises:
        InputError: if the folder holds a run of another recipe.
    """
    last = folder / "last.ckpt"
    if last.is_file():
        content = read(last)
        if recipe.first is None:  # a second stage is saved as a recipe of its own
            _refuse_other(folder, content["logpose"]["recipe"], recipe)
        if is_finished(content, recipe):
            return last
    whole(fit(recipe, folder, last_checkpoint(folder)))
    return last


def _refuse_other(folder: Path, had: dict[str, Any], recipe: TrainingRecipe) -> None:
    """Refuse a folder that holds a run of another recipe."""
    wanted = {name: value for name, value in plain_recipe(recipe).items() if value != "auto" and name not in INERT}
    if other := [name for name, value in wanted.items() if name in had and not same_setting(had[name], value)]:
        raise InputError(f"{folder}: holds a run with another {', '.join(sorted(other))}; move it away")


def is_whole(folder: Path, recipe: TrainingRecipe) -> bool:
    """Whether a folder holds a finished run of a recipe."""
    last = folder / "last.ckpt"
    return last.is_file() and is_finished(read(last), recipe)


def folder_of(name: str, seed: int) -> str:
    """The name of a run's folder."""
    return f"{name}-{seed}".replace(",", "").replace(" ", "_")


def cell(values: Sequence[float], digits: int = 3) -> str:
    """Mean and, of several, standard deviation over seeds; a dash where there is no value."""
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
