"""Lines of progress of a training run, by a clock that moves a fixed time at every reading."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

from logpose.core.progress import ProgressLines
from logpose.training.progress import Bar, TrainingLines
from logpose.training.run import fit


class Clock:
    """Seconds that pass by themselves."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def test_lines_of_a_run(make_recipe, tmp_path):
    stream = io.StringIO()
    lines = TrainingLines(ProgressLines(stream, Clock()))
    recipe = make_recipe(epochs=4, batch_size=4, loggers=())
    run = fit(recipe, tmp_path, callbacks=(lines,))
    written = stream.getvalue().splitlines()
    training = [line for line in written if "step" in line]
    assert training
    number = r"-?[\d.]+(e[+-]\d+)?"
    form = re.compile(
        rf"epoch \d/4, step \d/\d, {number} samples/s, loss {number}, error_crop_px {number},"
        rf"( {recipe.watch} {number},)? [\d a-z]+ left"
    )
    assert all(form.fullmatch(line) for line in training), training
    assert recipe.watch not in training[0]
    assert f"{recipe.watch} " in training[-1], "known once it was computed"
    assert len(run.figures) > 3
    assert int(training[-1].split("/")[0].split()[-1]) > int(training[0].split("/")[0].split()[-1])


def test_validation_has_lines_too(make_recipe, tmp_path):
    stream = io.StringIO()
    fit(
        make_recipe(epochs=1, batch_size=4, loggers=()), tmp_path,
        callbacks=(TrainingLines(ProgressLines(stream, Clock(), first=0, interval=0)),),
    )  # fmt: skip
    assert re.search(r"^epoch 1/1, validation batch 1/\d$", stream.getvalue(), re.MULTILINE)


def test_a_short_run_prints_nothing(make_recipe, tmp_path, capsys):
    fit(make_recipe(epochs=1, loggers=()), tmp_path)
    assert "samples/s" not in capsys.readouterr().err


def test_the_bar_counts_epochs_from_one_too():
    bar = Bar()
    bar._trainer = SimpleNamespace(max_epochs=12)
    assert bar._get_train_description(2).strip() == "Epoch 3/12"
