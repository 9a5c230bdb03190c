"""Tasks: each is whole, has options with help, and is what its models name."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from docstring_parser import parse_from_object

from logpose.core.errors import InputError
from logpose.models import BoundaryModel, Detector, KeypointWrapper, LiftingModel, PoseModel
from logpose.tasks import TASKS, find_task, task_of, task_that_opens
from logpose.tasks.task import EvalOptions, InspectOptions, PredictOptions, Task
from logpose.training.checkpoint import load, save

FOLDER = Path(inspect.getfile(Task)).parent
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@each_task
def test_a_task_is_whole(task):
    assert not inspect.isabstract(type(task))
    assert task.name == Path(inspect.getfile(type(task))).parent.name
    files = {path.name for path in (FOLDER / task.name).glob("*.py")}
    assert {"task.py", "recipe.py", "evaluate.py", "predict.py", "report.py"} <= files
    for options, base in (
        (task.eval_options, EvalOptions),
        (task.predict_options, PredictOptions),
        (task.inspect_options, InspectOptions),
    ):
        assert issubclass(options, base)
        assert options.POSITIONAL == base.POSITIONAL
        documented = {entry.arg_name for made in options.__mro__[:-1] for entry in parse_from_object(made).params}
        assert {f.name for f in fields(options)} <= documented


def test_a_method_that_is_missing_is_noticed():
    class Partly(Task):
        name = "partly"

    with pytest.raises(TypeError, match="evaluate"):
        Partly()


def test_models_name_their_task():
    models = (PoseModel, Detector, LiftingModel, BoundaryModel, KeypointWrapper)
    assert [task_of(model) for model in models] == list(TASKS)
    assert [find_task(model.task) for model in models] == list(TASKS)
    with pytest.raises(InputError, match="dancing"):
        find_task("dancing")


def test_a_task_of_a_file_is_a_task(tmp_path):
    (file := tmp_path / "no_tasks_here.py").write_text("TASK = 3\n")
    with pytest.raises(InputError, match="int"):
        find_task(f"{file}:TASK")
    with pytest.raises(InputError, match="OTHER"):
        find_task(f"{file}:OTHER")


def test_data_choose_their_task(coco_folder, lifting_files, tmp_path):
    assert task_that_opens(coco_folder).name == "pose"
    assert task_that_opens(coco_folder / "annotations" / "person_keypoints_val.json").name == "pose"
    (renamed := tmp_path / "poses").write_bytes(lifting_files[0].read_bytes())
    assert task_that_opens(renamed).name == "lifting"
    (tmp_path / "a.csv").write_text("top\n1\n")
    (tmp_path / "a.png").write_bytes(b"")
    assert task_that_opens(tmp_path).name == "boundaries"
    assert task_that_opens(tmp_path / "nowhere").name == "pose", "whose reader reports what is wrong"


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", "", "converted"])
def test_a_model_is_no_labelled_data(refused, tiny_run, tmp_path, name):
    path = tiny_run / name
    if name == "converted":
        save(*load(tiny_run / "best.ckpt"), path := tmp_path / "converted")
    message = refused("inspect", path, "--out", tmp_path / "out")
    assert message.startswith(f"logpose: {path}: is a trained model")
    assert not (tmp_path / "out").exists()
