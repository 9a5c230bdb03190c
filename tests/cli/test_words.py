"""Words of the command line in the spelling of the parsers."""

from __future__ import annotations

import pytest

from logpose.cli.words import as_parsed

LISTS = {"size": (0, 0), "subjects": ("",), "strict": True}


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        (["--batch-size", "8"], ["--batch_size", "8"]),
        (["--batch-size=8"], ["--batch_size=8"]),
        (["--size", "256x192"], ["--size=[256,192]"]),
        (["--size=256,192"], ["--size=[256,192]"]),
        (["--size", "1-4"], ["--size=[1,4]"]),
        (["--subjects", "S1", "S2"], ["--subjects=[S1,S2]"]),
        (["--strict", "--size", "[3, 4]"], ["--strict=true", "--size", "[3, 4]"]),
        (["--strict", "false"], ["--strict", "false"]),
        (["--backbone-from", "x"], ["--weights", "x"]),
    ],
)
def test_spellings(words, parsed):
    assert as_parsed(words, LISTS) == parsed


def test_what_follows_a_list_of_numbers_is_a_word_by_itself():
    taken = as_parsed(["convert", "--size", "256", "192", "model.pth", "--out", "x"], {"size": (0, 0)})
    assert taken == ["convert", "--size=[256,192]", "model.pth", "--out", "x"]
