"""Messages of the parser: one sentence that names the flag and the value."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from jsonargparse import ActionYesNo

from logpose.cli.parser import ArgumentParser


def parser() -> ArgumentParser:
    """A command with flags of every kind."""
    made = ArgumentParser(prog="logpose eval")
    made.add_argument("checkpoint", type=Path)
    made.add_argument("--data", type=Path, required=True)
    made.add_argument("--batch_size", type=int | None, default=None)
    made.add_argument("--rate", type=float, default=1.0)
    made.add_argument("--size", type=tuple[int, int] | None, default=None)
    made.add_argument("--focal", type=tuple[float, ...] | None, default=None)
    made.add_argument("--score", type=Literal["sum", "box"], default="sum")
    made.add_argument("--part", type=Literal["val", "train", "all"] | None, default=None)
    made.add_argument("--only", type=Literal["this"], default="this")
    made.add_argument("--strict", type=bool, default=False)
    made.add_argument("--threads", type=int | Literal["auto"], default="auto")
    made.add_argument("--names", type=str, nargs="+", default=None)
    made.add_argument("--flip_test", action=ActionYesNo(no_prefix="no_"), default=True)
    made.add_argument("--config", action="config")
    return made


GOOD = ("best.ckpt", "--data", "there")


def test_what_is_right_is_parsed() -> None:
    given = parser().parse_args([*GOOD, "--batch_size", "3", "--size", "[4, 5]", "--names", "a", "b", "--no_flip_test"])
    assert (given.batch_size, given.size, given.names, given.flip_test) == (3, (4, 5), ["a", "b"], False)


def test_help_has_dashes() -> None:
    text = parser().format_help()
    assert "--batch-size" in text
    assert "--no-flip-test" in text
    assert "--batch_size" not in text


def test_help_has_defaults_and_no_types_of_python() -> None:
    made = parser()
    made.add_argument("--widths", type=tuple[int, ...], default=(64, 32), help="Widths.")
    made.add_argument("--workers", type=int, default=0, help="Workers.")
    text = made.format_help()
    assert "(default: 64 32)" in text
    assert "(default: 0)" in text
    assert "(default: sum)" in text
    for word in ("type:", "class", "Literal", "null", "None", "required,"):
        assert word not in text


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ((), ("CHECKPOINT", "--data")),
        (GOOD[:1], ("--data",)),
        ((*GOOD, "--batch_size", "many"), ("--batch-size", "integer", "many")),
        ((*GOOD, "--rate=fast"), ("--rate", "number", "fast")),
        ((*GOOD, "--size", "[480]"), ("--size", "2", "480")),
        ((*GOOD, "--focal", "x"), ("--focal", "x")),
        ((*GOOD, "--focal", "[x]"), ("--focal", "x")),
        ((*GOOD, "--score", "mean"), ("--score", "sum or box", "mean")),
        ((*GOOD, "--part", "vla"), ("--part", "val, train or all", "vla")),
        ((*GOOD, "--only", "that"), ("--only", "this", "that")),
        ((*GOOD, "--flip_test=3"), ("--flip-test", "--no-flip-test", "true or false", "3")),
        ((*GOOD, "--threads", "two"), ("--threads takes auto or an integer", "two")),
        ((*GOOD, "--strict", "maybe"), ("--strict", "true or false", "maybe")),
        ((*GOOD, "--names"), ("--names", "value")),
        ((*GOOD, "--rate"), ("--rate", "value")),
        ((*GOOD, "more"), ("more", "unrecognized")),
        ((*GOOD, "--batch_sise", "3"), ("--batch-sise", "did you mean --batch-size?")),
        ((*GOOD, "--zzz=3"), ("--zzz", "`logpose eval --help`")),
        ((*GOOD, "--rat", "3"), ("--rat", "did you mean --rate?")),
        ((*GOOD, "--config", "none.yaml"), ("none.yaml",)),
    ],
)
def test_what_is_wrong_is_one_sentence(words: tuple[str, ...], tokens: tuple[str, ...], capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(list(words))
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("logpose: ")
    assert err.count("\n") == 1
    assert all(token in err for token in tokens)


def test_files_of_settings_that_are_none(tmp_path: Path, capsys) -> None:
    for name, text, token in (
        ("broken.yaml", "a: [1\n", "--config"),
        ("other.yaml", "foo: 3\n", "'foo'"),
        ("wrong.yaml", "batch_size: many\n", "--batch-size"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SystemExit):
            parser().parse_args([*GOOD, "--config", str(tmp_path / name)])
        err = capsys.readouterr().err
        assert token in err
        assert err.count("\n") == 1


def test_what_is_not_known_is_on_one_line(capsys) -> None:
    with pytest.raises(SystemExit):
        parser().error("something\n  has gone\n wrong")
    assert capsys.readouterr().err == "logpose: something has gone wrong\n"


def test_a_misspelt_field_of_a_config_file(tmp_path: Path, capsys) -> None:
    (tmp_path / "run.yaml").write_text("thraeds: 3\n")
    with pytest.raises(SystemExit):
        parser().parse_args([*GOOD, "--config", str(tmp_path / "run.yaml")])
    message = capsys.readouterr().err
    assert "--config" in message
    assert "thraeds" in message
    assert "threads" in message
