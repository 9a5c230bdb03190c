"""The options of a command whose flags depend on a task."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpose.cli.task_options import TaskCommand, check_outputs
from logpose.core.errors import InputError
from logpose.tasks import find_task
from logpose.tasks.options import BoundaryPredictOptions
from logpose.tasks.task import EvalOptions

COMMAND = TaskCommand(
    name="inspect", description="Look.",
    find=lambda data, task: (task or find_task(data.stem), data), noun="data",
)  # fmt: skip


def test_the_first_word_or_task_chooses() -> None:
    chosen = COMMAND.parse(["--um-per-px", "4", "boundaries.mat", "--grader", "2"])
    assert (chosen.task.name, chosen.subject) == ("boundaries", Path("boundaries.mat"))
    assert (chosen.options.um_per_px, chosen.options.grader) == (4.0, 2)
    assert COMMAND.parse(["x", "--task", "lifting"]).task.name == "lifting"
    assert COMMAND.parse(["--task=lifting", "x"]).options.data == Path("x")


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        (["pose.json", "--grader", "1"], ("--grader", "pose.json", "boundaries")),
        (["boundaries.mat", "--images", "a", "--model=b"], ("--images and --model", "boundaries.mat", "pose")),
        (["x", "--task", "dancing"], ("--task dancing", "pose")),
    ],
)
def test_flags_of_other_tasks_are_refused(words, tokens) -> None:
    with pytest.raises(InputError) as error:
        COMMAND.parse(words)
    assert all(token in str(error.value) for token in tokens)


@pytest.mark.parametrize(
    ("words", "tokens"),
    [(["pose.json", "--modle", "x"], ("--modle", "--model")), (["lifting.npz", "--no-image"], ("--no-image",))],
)
def test_flags_of_no_task_are_refused(words, tokens, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        COMMAND.parse(words)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert all(token in err for token in tokens)


def test_help_has_a_group_for_each_task_or_the_one_that_is_known(capsys) -> None:
    for words, shown in ((["--help"], {"--grader", "--model"}), (["boundaries.mat", "-h"], {"--grader"})):
        with pytest.raises(SystemExit) as ended:
            COMMAND.parse(words)
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert {flag for flag in ("--grader", "--model") if flag in out} == shown
        assert out.index("--out") < out.index("--grader")


def test_what_is_missing_is_named(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        COMMAND.parse(["--json"])
    assert ended.value.code == 2
    assert "DATA" in capsys.readouterr().err


def test_outputs_are_checked(tmp_path) -> None:
    options = {"checkpoint": tmp_path / "a", "inputs": (tmp_path,)}
    assert check_outputs(BoundaryPredictOptions(**options)) == []
    new = BoundaryPredictOptions(**options, save_json=tmp_path / "new.json", save_images=tmp_path)
    assert check_outputs(new) == [tmp_path / "new.json", tmp_path]
    for wrong in (
        BoundaryPredictOptions(**options, save_npz=tmp_path),
        EvalOptions(checkpoint=tmp_path, data=tmp_path, report=tmp_path),
    ):
        with pytest.raises(InputError, match=str(tmp_path)):
            check_outputs(wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        check_outputs(BoundaryPredictOptions(**options, save_images=tmp_path / "file"))
