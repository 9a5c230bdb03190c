"""What is wrong with flags, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from jsonargparse import ActionYesNo

from logpose.cli.parser import ArgumentParser


def parser() -> ArgumentParser:
    """Two commands, one with flags of every kind."""
    made = ArgumentParser(prog="logpose")
    commands = made.add_subcommands(dest="command", metavar="COMMAND")
    measure = ArgumentParser()
    measure.add_argument("checkpoint", type=Path)
    measure.add_argument("--data", type=Path, required=True)
    measure.add_argument("--batch-size", type=int | None, default=None)
    measure.add_argument("--rate", type=float, default=1.0)
    measure.add_argument("--size", type=tuple[int, int] | None, default=None)
    measure.add_argument("--focal", type=tuple[float, ...] | None, default=None)
    measure.add_argument("--score", type=Literal["sum", "box"], default="sum")
    measure.add_argument("--part", type=Literal["val", "train", "all"] | None, default=None)
    measure.add_argument("--only", type=Literal["this"], default="this")
    measure.add_argument("--strict", type=bool, default=False)
    measure.add_argument("--names", type=str, nargs="+", default=None)
    measure.add_argument("--flip-test", action=ActionYesNo(no_prefix="no-"), default=True)
    measure.add_argument("--config", action="config")
    commands.add_subcommand("eval", measure)
    commands.add_subcommand("demo", ArgumentParser())
    return made


GOOD = ("eval", "best.ckpt", "--data", "there")


def test_what_is_right_is_parsed() -> None:
    given = parser().parse_args([*GOOD, "--batch-size", "3", "--size", "[4, 5]", "--names", "a", "b", "--no-flip-test"])
    assert given.command == "eval"
    told = given["eval"]
    assert (told.batch_size, told.size, told.names, told.flip_test) == (3, (4, 5), ["a", "b"], False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("evl",), "there is no command 'evl'; did you mean eval? (they are eval, demo)"),
        (("xyz",), "there is no command 'xyz' (they are eval, demo)"),
        (("eval",), "logpose eval needs CHECKPOINT and --data (`logpose eval --help`)"),
        (GOOD[:2], "logpose eval needs --data (`logpose eval --help`)"),
        ((*GOOD, "--batch-size", "many"), "--batch-size takes a whole number, not many"),
        ((*GOOD, "--rate=fast"), "--rate takes a number, not fast"),
        ((*GOOD, "--size", "[480]"), "--size takes 2 values, not 480"),
        ((*GOOD, "--focal", "x"), "--focal takes a list, not x"),
        ((*GOOD, "--focal", "[x]"), "--focal takes a number, not x"),
        ((*GOOD, "--score", "mean"), "--score takes sum or box, not mean"),
        ((*GOOD, "--part", "vla"), "--part takes val, train or all, not vla"),
        ((*GOOD, "--only", "that"), "--only takes this, not that"),
        ((*GOOD, "--strict", "maybe"), "--strict takes true or false, not maybe"),
        ((*GOOD, "--names"), "--names has no value (`logpose eval --help`)"),
        ((*GOOD, "--rate"), "--rate has no value (`logpose eval --help`)"),
        ((*GOOD, "more"), "more: there is no use for it here (`logpose eval --help`)"),
        (
            (*GOOD, "--batch_sise", "3"),
            "there is no flag --batch_sise; did you mean --batch-size? (`logpose eval --help` lists them)",
        ),
        ((*GOOD, "--zzz=3"), "there is no flag --zzz (`logpose eval --help` lists them)"),
        ((*GOOD, "--config", "none.yaml"), "none.yaml: no such file"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(list(words))
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("logpose: ")
    assert err.endswith(f"{told}\n")
    assert err.count("\n") == 1


def test_files_of_settings_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text, told in (
        ("broken.yaml", "a: [1\n", "--config is not a YAML file of fields (while parsing"),
        ("other.yaml", "foo: 3\n", "'foo'"),
        ("wrong.yaml", "batch_size: many\n", "--batch-size takes a whole number, not many"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SystemExit):
            parser().parse_args([*GOOD, "--config", str(tmp_path / name)])
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1


def test_flags_have_to_be_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([*GOOD, "--rat", "3"])
    assert "there is no flag --rat; did you mean --rate?" in capsys.readouterr().err


def test_what_is_not_known_is_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().error("something\n  has gone\n wrong")
    assert capsys.readouterr().err == "logpose: something has gone wrong\n"
