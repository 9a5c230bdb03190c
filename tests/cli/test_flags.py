"""Every command's help, and what a typo gets."""

from __future__ import annotations

import pytest

from logpose.cli.flags import command_parser
from logpose.cli.main import COMMANDS, main

EVERY = ["demo", "train", "eval", "predict", "recipes", "inspect", "synth", "convert", "complexity"]


def run(capsys, *words):
    """Exit code, stdout and stderr of `logpose WORDS`."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as ended:
        code = ended.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in EVERY:
        assert command in out


@pytest.mark.parametrize("command", EVERY)
def test_every_command_has_help(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "usage: logpose" in out


def test_every_command_does_something():
    known = command_parser()._subcommands_action.choices.keys()  # the parser has no public name for them
    assert set(known) == set(EVERY) == COMMANDS.keys() | {"train"}


def test_without_a_command_or_with_a_typo_it_says_what_there_is(capsys):
    for words in (
        (),
        ("trian",),
        ("train",),
        ("eval",),
        ("convert",),
        ("eval", "a.ckpt", "--data", "b", "--bathc", "3"),
    ):
        code, out, err = run(capsys, *words)
        assert code == 2
        assert not out
        assert err
