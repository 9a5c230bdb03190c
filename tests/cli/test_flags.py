"""Flags made from dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from logpose.cli.flags import by_position, first_word, help_text, normalised, parse_options
from logpose.core.config import Options


@dataclass(kw_only=True)
class Base(Options):
    """Common options."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "more")

    source: Path
    """What is read."""
    more: tuple[Path, ...] = ()
    """Further files."""
    out_file: Path
    """What is written."""
    count: int | None = None
    """How many
    there are."""


@dataclass(kw_only=True)
class Derived(Base):
    """One task's options."""

    flip_test: bool | None = None
    """Whether to mirror."""
    size: tuple[int, int] | None = None
    """Height and width."""
    names: tuple[str, ...] | None = None
    """Names."""
    mode: Literal["fast", "slow"] = "fast"
    """How."""


def parsed(*words: str) -> Derived:
    return parse_options(Derived, words, "copy", "Copy a file.")


def test_every_type_is_parsed() -> None:
    words = ("a.txt", "b.txt", "--out-file", "c", "--size", "4x5", "--names", "x", "y z", "--no-flip-test")
    assert parsed(*words, "--mode=slow", "--count", "3") == Derived(
        source=Path("a.txt"), more=(Path("b.txt"),), out_file=Path("c"), size=(4, 5), names=("x", "y z"),
        flip_test=False, mode="slow", count=3,
    )  # fmt: skip
    assert parsed("--out_file=c", "a") == Derived(source=Path("a"), out_file=Path("c"))
    assert parsed("a", "--out-file", "c", "--flip-test", "--size", "4", "5").flip_test is True


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        (("a",), ("--out-file",)),
        (("--out-file", "c"), ("SOURCE",)),
        (("a", "--out-file", "c", "--count", "x"), ("--count", "x")),
        (("a", "--out-file", "c", "--mode", "x"), ("--mode", "fast", "slow")),
        (("a", "--out-file", "c", "--size", "4"), ("--size",)),
    ],
)
def test_wrong_words_are_named_and_end_with_exit_code_2(words, tokens, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*words)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(token in err for token in tokens)


def test_unknown_flags_get_the_nearest(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("a", "--out-file", "b", "--cuont", "c")
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "--cuont" in err
    assert "--count" in err


def test_help_is_the_docstrings_in_groups(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--help")
    assert ended.value.code == 0
    assert "--flip-test" in capsys.readouterr().out
    text = help_text(Base, "copy", "Copy a file.", [("derived things", Derived)])
    common, own = text.split("derived things")
    assert "usage: logpose copy" in common
    assert "What is read." in common
    assert "--out-file" in common
    assert "How many there are." in common
    assert "--flip-test" in own
    assert "Whether to mirror." in own
    assert "--out-file" not in own


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["a", "b"], "a"),
        (["--count", "3", "a"], "a"),
        (["--count=3", "a"], "a"),
        (["--flip-test", "a"], "a"),
        (["--no-flip-test", "a"], "a"),
        (["--size", "3", "4", "a"], "a"),
        (["--names", "x", "y"], None),
        ([], None),
    ],
)
def test_the_first_word_is_no_flag_and_no_value_of_one(words, first) -> None:
    assert first_word(normalised(words, [Base, Derived]), [Base, Derived]) == first


@dataclass(kw_only=True)
class Measured(Options):
    """Options with data by position."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("checkpoint", "data")

    checkpoint: Path
    """What is measured."""
    data: Path
    """On what."""
    batch_size: int = 1
    """How many at a time."""
    images: Path | None = None
    """Where they are."""


@pytest.mark.parametrize(
    "words",
    [
        ("a", "b", "--batch-size", "3"),
        ("a", "--batch-size", "3", "b"),
        ("a", "--data", "b", "--batch_size=3"),
        ("--data=b", "a", "--batch-size=3"),
        ("--data", "b", "--batch_size", "3", "a"),
    ],
)
def test_data_are_a_word_and_were_a_flag(words) -> None:
    expected = Measured(checkpoint=Path("a"), data=Path("b"), batch_size=3)
    assert parse_options(Measured, words, "measure") == expected


@pytest.mark.parametrize("words", [("--data", "b"), ("a",), ("a", "b", "--data", "c"), ("a", "--data")])
def test_data_that_are_missing_or_given_twice_are_refused(words, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(Measured, words, "measure")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_flags_that_were_renamed_are_taken() -> None:
    given = parse_options(Measured, ("a", "b", "--image-folder", "c"), "measure")
    assert given.images == Path("c")
    assert by_position(["a", "--images=c"], Measured) == ["a", "--images=c"]


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        (["--batch-size", "8"], ["--batch_size", "8"]),
        (["--batch-size=8"], ["--batch_size=8"]),
        (["--size", "256x192"], ["--size=[256,192]"]),
        (["--size=256,192"], ["--size=[256,192]"]),
        (["--size", "1-4"], ["--size=[1,4]"]),
        (["--names", "S1", "S2"], ['--names=["S1","S2"]']),
        (["--flip-test", "--size", "[3, 4]"], ["--flip_test", "--size=[3,4]"]),
        (["--flip-test", "false"], ["--no_flip_test"]),
        (["--flip-test=true", "a"], ["--flip_test", "a"]),
        (["--backbone-from", "x"], ["--weights_of=backbone", "--weights", "x"]),
        (
            ["convert", "--size", "256", "192", "model.pth", "--out", "x"],
            ["convert", "--size=[256,192]", "model.pth", "--out", "x"],
        ),
        (["--size", "256", "192", "2024-01"], ["--size=[256,192]", "2024-01"]),
        (["--size", "256", "."], ["--size=[256]", "."]),
        (["--size", "256x192", "2024"], ["--size=[256,192]", "2024"]),
    ],
)
def test_words_have_one_spelling(words, spelled) -> None:
    assert normalised(words, [Derived]) == spelled
