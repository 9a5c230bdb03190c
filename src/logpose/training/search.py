"""`search`: a recipe is trained with other settings, which Optuna proposes, for the best watched figure."""

from __future__ import annotations

import logging
import math
import re
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError, OtherRunError
from logpose.core.files import whole_file
from logpose.core.messages import first_line
from logpose.training.checkpoint import read
from logpose.training.module import higher_is_better
from logpose.training.recipe import TrainingRecipe
from logpose.training.run import fit
from logpose.training.run_folder import BEST, CONFIG, LOCK, RunLock
from logpose.training.search_results import TABLE, SearchResult, SearchTrial, State, write_table
from logpose.training.search_space import (
    BASE,
    SPACE,
    Range,
    Space,
    check_space,
    default_space,
    is_search,
    label,
    shown,
    stored_settings,
    value_of,
    with_values,
    write_settings,
)
from logpose.training.search_trial import Report, as_begun, checkpoint_to_resume
from logpose.training.signals import Signals, Stopped, requeue

patch_torchvision()
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment  # noqa: E402  (imports torchvision)

if TYPE_CHECKING:
    import optuna
    from lightning.pytorch.callbacks import Callback

__all__ = ["search"]

log = logging.getLogger("logpose")

JOURNAL = "search.log"
"""Optuna's storage: a line for each event."""
STUDY = "search"
"""Name of the study in it."""
TRIALS = 20
"""How many there are, unless another number is asked for."""
DIGITS = 3
"""Significant digits of a proposed number."""
STATES: dict[State, str] = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
"""Optuna's names of them; from best to worst."""
FAR = 1_000_003
"""Distance between the samplers' seeds of two searches whose seeds are neighbours: more than there are trials."""


def search(
    recipe: TrainingRecipe,
    folder: str | Path,
    trials: int | None = None,
    space: Space | None = None,
    callbacks: tuple[Callback, ...] = (),
) -> SearchResult:
    """Train a recipe again and again with other settings, and keep the best by its watched figure.

    The first trial has the recipe's own settings, if the space has these. Those of the others are proposed by Optuna's
    TPE (Bergstra et al. 2011) from the figures so far, at random in the first ten. Each has the recipe's own seed. From
    the sixth on, a trial stops early whose best figure so far is worse than the median of the others' at that epoch
    (Golovin et al. 2017, the median stopping rule), after a third of its epochs. A trial whose weights are no longer
    finite, that has no figure or not enough memory has failed, and the search continues.

    The figure of the best trial is too good an estimate: it was selected by it. Measure the model on other data.

    A search that was stopped continues where it was, in the trial at hand too, and with the same proposals as if it had
    not been stopped: call it again with the same recipe and folder.

    Args:
        recipe: the recipe; trials are trained on a single device.
        folder: of the search: the trials' runs (`trial_0000`, …), a table of them (`search.csv`), and of the best one
            `best.ckpt` and `config.yaml`.
        trials: how many trials there are to be, with those that the folder has; when None, as many as were asked for
            before, or 20.
        space: what is varied; `default_space` (or what the folder's search varies) when None.
        callbacks: further callbacks of Lightning's, for every trial.

    Raises:
        InputError: if Optuna is not installed, the space or the recipe cannot be searched, the first trial cannot be
            trained, the folder has another search or is in use, or no trial has a figure.
    """
    _import_optuna()
    folder = Path(folder)
    if trials is not None and trials < 1:
        raise InputError(f"--search must be at least 1, got {trials}")
    if recipe.tune:
        raise InputError("--tune: trials of a search are compared, and would be trained in different ways")
    recipe = _on_one_device(recipe)
    with RunLock(folder) as lock, Signals(slurm=SLURMEnvironment.detect()) as signals:
        signals.deferred = True  # between trials they are noted; a trial has handlers of its own
        begun = is_search(folder)
        if begun:
            lock.take()
            space, asked = stored_settings(recipe, folder, space)
        else:
            space, asked = default_space(recipe) if space is None else space, TRIALS
            check_space(recipe, space)
            lock.take()
            write_settings(recipe, folder, space, trials or asked)
        try:
            study = _Search(recipe, folder, space, signals, callbacks)
            trials = study.at_least(trials or asked)
            if begun:
                write_settings(recipe, folder, space, trials)
            study.run(trials)
            result = study.result()
        except InputError:
            if not begun and not any(folder.glob(f"trial_*/{CONFIG}")):  # nothing was trained: nothing is left
                _remove(folder)
            raise
    if not result.interrupted and result.best is None:
        raise InputError(f"{folder}: no trial has a figure; the last one: {result.trials[-1].why}")
    return result


def _import_optuna() -> Any:
    """Optuna, which reports warnings only."""
    try:
        import optuna
    except ImportError as error:
        raise InputError("a search needs Optuna: pip install 'logpose-keypoints[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _on_one_device(recipe: TrainingRecipe) -> TrainingRecipe:
    """The recipe on one device; further processes would each search for themselves."""
    one = recipe.devices in ("auto", "1") or re.fullmatch(r"\[\d+,?\]|\d+,", recipe.devices)
    if recipe.num_nodes != 1 or not one:
        given = f"--devices {recipe.devices} --num-nodes {recipe.num_nodes}"
        raise InputError(f"{given}: a search trains on one device of one machine")
    return replace(recipe, devices="1") if recipe.devices == "auto" else recipe


def _remove(folder: Path) -> None:
    """Remove what was written by a search that could not start."""
    for name in (BASE, SPACE, JOURNAL, TABLE, LOCK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # it has other files
        folder.rmdir()


class _NoLock:
    """In place of Optuna's lock on its file: the folder's own is held, and a killed process leaves none behind."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return


class _Search:
    """A search in its folder: the trials so far, and the next.

    Args:
        recipe: that is varied.
        folder: locked for this process.
        space: what is varied.
        signals: what stops it between trials.
        callbacks: of every trial.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        folder: Path,
        space: Space,
        signals: Signals,
        callbacks: tuple[Callback, ...],
    ) -> None:
        self.optuna = _import_optuna()
        self.callbacks = callbacks
        self.recipe, self.folder, self.space, self.signals = recipe, folder, space, signals
        self.states = self.optuna.trial.TrialState
        self.stopped_by, self.trained = 0, False
        path = folder / JOURNAL
        if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):  # killed in the middle of a line
            with whole_file(path, durable=True) as file:
                file.write(content[: content.rfind(b"\n") + 1])
        backend = self.optuna.storages.journal.JournalFileBackend(str(path), _NoLock())
        try:
            self.storage = self.optuna.storages.JournalStorage(backend)
            self.study = self.optuna.create_study(
                storage=self.storage,
                study_name=STUDY,
                direction="maximize" if higher_is_better(recipe.watch) else "minimize",
                pruner=self.optuna.pruners.MedianPruner(),
                load_if_exists=True,
            )
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(f"{path}: damaged ({first_line(error):.120})") from error
        own = {name: value_of(recipe, name) for name in space}
        if not self.study.trials and all(value in space[name] for name, value in own.items()):
            self.study.enqueue_trial({name: label(value) for name, value in own.items()})

    def at_least(self, trials: int) -> int:
        """The number of trials, which must not be less than are done."""
        if (done := self._done()) > trials:
            raise InputError(f"--search {trials}: {self.folder} has {done} trials already")
        return trials

    def _done(self) -> int:
        return sum(trial.state.is_finished() for trial in self.study.trials)

    def run(self, trials: int) -> None:
        """Train until there are so many trials, or a signal stops it."""
        self._place()
        while (done := self._done()) < trials:
            if self.signals.received:
                self.stopped_by = self.signals.received
                if self.signals.preempted:
                    requeue()
                return
            trial = self._next(done)
            values = self._applied(self._proposed(trial))
            log.info("trial %d of %d: %s", trial.number, trials, shown(values))
            if same := next((done for done in self.results() if done.values == values), None):
                # Trained with the same seed, it would have the same figure.
                log.info("trial %d: as trial %d, and not trained again", trial.number, same.number)
                trial.set_user_attr("folder", same.folder.name)
                self._store(trial, same.state, same.figure, same.why)
            else:
                try:
                    self.stopped_by = self._train(trial, with_values(self.recipe, values))
                except Stopped as stopped:  # before the first step
                    self.stopped_by = stopped.number
                if self.stopped_by:
                    return
            self._place()

    def _next(self, number: int) -> optuna.trial.Trial:
        """The trial that was stopped, if any, or a new one.

        The sampler is seeded by the recipe's seed and the trial's number: what it proposes depends on these and on the
        figures so far alone, not on whether the search was stopped in between.
        """
        seed = (self.recipe.seed * FAR + number) % (1 << 32)
        self.study.sampler = self.optuna.samplers.TPESampler(seed=seed)
        for stopped in self.study.get_trials(states=(self.states.RUNNING,)):
            study = self.storage.get_study_id_from_name(STUDY)
            at = self.storage.get_trial_id_from_study_id_trial_number(study, stopped.number)
            return self.optuna.trial.Trial(self.study, at)
        return self.study.ask()

    def _proposed(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        """The values of a trial as they are stored; they are proposed, if they are not yet."""
        for name, values in self.space.items():
            if not isinstance(values, Range):
                trial.suggest_categorical(name, [label(value) for value in values])
            elif values.of_integers(value_of(self.recipe, name)):
                trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
            else:
                trial.suggest_float(name, values.low, values.high, log=values.log)
        return dict(trial.params)

    def _applied(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The values that are trained with: numbers of a few digits, sizes as such."""
        values: dict[str, Any] = {}
        for name, among in self.space.items():
            if name not in stored:  # of a trial that was stopped before it was proposed
                continue
            if not isinstance(among, Range):
                values[name] = next(value for value in among if label(value) == stored[name])
            elif isinstance(stored[name], int) or stored[name] == value_of(self.recipe, name):
                values[name] = stored[name]
            else:
                values[name] = min(max(float(f"{stored[name]:.{DIGITS}g}"), among.low), among.high)
        return values

    def _folder(self, number: int) -> Path:
        return self.folder / f"trial_{number:04d}"

    def _train(self, trial: optuna.trial.Trial, recipe: TrainingRecipe) -> int:
        """Train a trial, or the rest of it, and store its figure; returns the signal that stopped it, or 0."""
        folder = self._folder(trial.number)
        report = Report(trial, folder)
        try:
            resume = checkpoint_to_resume(folder)
            recipe = as_begun(recipe, folder)
            if resume is None or not report.has_ended(resume, recipe):
                run = fit(recipe, folder, resume, callbacks=(report, *self.callbacks))
                if run.interrupted:
                    return run.signal or signal.SIGINT
            figure = float(read(folder / BEST)["logpose"]["figures"].get(recipe.watch, math.nan))
            why = "" if math.isfinite(figure) else f"{recipe.watch} is {figure}"
        except OtherRunError:
            raise
        except (InputError, torch.OutOfMemoryError) as error:
            if not (self.trained or report.trains):
                raise  # no trial can be trained
            why = first_line(error)
        self.trained |= report.trains
        if why:
            self._store(trial, "failed", None, why)
            log.warning("trial %d failed: %s", trial.number, why)
            torch.cuda.empty_cache()
        else:
            self._store(trial, "pruned" if report.pruned else "complete", figure)
            log.info("trial %d: %s %.5g%s", trial.number, recipe.watch, figure, ", pruned" if report.pruned else "")
        return 0

    def _store(self, trial: optuna.trial.Trial, state: State, figure: float | None, why: str = "") -> None:
        """Store the result of a trial."""
        trial.set_user_attr("figure", figure)
        trial.set_user_attr("why", why)
        self.study.tell(trial, figure if state == "complete" else None, self.states[STATES[state]])

    def _place(self) -> None:
        """Write the table, remove what is not needed, and put the best trial's model and settings into the folder."""
        results = self.results()
        write_table(self.folder, results, self.recipe.watch)
        for trial in results:
            for file in trial.folder.rglob("*.ckpt"):
                if file != trial.folder / BEST:
                    file.unlink()
        if results and results[0].state == "complete":
            for name in (CONFIG, BEST):
                with (results[0].folder / name).open("rb") as source, whole_file(self.folder / name) as copy:
                    shutil.copyfileobj(source, copy)

    def results(self) -> tuple[SearchTrial, ...]:
        """The trials that are done, best first: complete ones, pruned ones, failed ones."""
        sign = -1.0 if higher_is_better(self.recipe.watch) else 1.0
        names = {name: state for state, name in STATES.items()}
        done = []
        for trial in self.study.trials:
            if trial.state.is_finished():
                about, number = trial.user_attrs, trial.number
                folder = self.folder / about["folder"] if "folder" in about else self._folder(number)
                values, state = self._applied(trial.params), names[trial.state.name]
                done.append(SearchTrial(number, folder, values, about.get("figure"), state, about.get("why", "")))
        return tuple(sorted(done, key=lambda t: (list(STATES).index(t.state), sign * (t.figure or 0.0), t.number)))

    def result(self) -> SearchResult:
        """The search as it stands."""
        trials = self.results()
        best = self.folder / BEST if trials and trials[0].state == "complete" else None
        figures = dict(read(best)["logpose"]["figures"]) if best else {}
        return SearchResult(
            self.folder, self.recipe.watch, trials, best, figures, bool(self.stopped_by), self.stopped_by
        )
