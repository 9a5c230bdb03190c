"""Words of a command line, in the one spelling that the parsers take.

People write `--batch-size 8`, `--size 256x192` or `--size 256 192`; fields are named `batch_size`, and a parser takes
`--size=[256,192]`. `as_parsed` goes from the first to the second, for every command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["as_parsed"]

OTHER_NAMES = {"backbone_from": "weights"}
"""Of flags, beside their fields' own."""


def as_parsed(words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Flags in the spelling that the parser takes, from the spellings that people use.

    --batch-size is --batch_size; a switch may stand alone (--strict); a list may be words (--size 256 192) or a size
    (--size 256x192) instead of "[256, 192]", which shells want quoted. What follows a list of numbers and is none is a
    word by itself.

    Args:
        words: the arguments after the command's name.
        values: an example for each flag that is a switch (a bool) or takes a list (a tuple).
    """
    flags: list[str] = []
    for word in map(_with_underscores, words):
        name, equals, value = (word if word.startswith("--") else flags[-1] if flags else "").partition("=")
        listed = values.get(name[2:])
        taken = equals if word.startswith("--") else _is_item(word, listed)
        if isinstance(listed, tuple) and taken:
            items = value.strip("[]").split(",") if value else []
            items += [] if word.startswith("--") else word.strip("[]").split(",")
            flags = flags if word.startswith("--") else flags[:-1]
            flags.append(f"{name}=[{','.join(_sides(item) for item in items)}]")
        else:
            flags.append(word)
    alone = [i + 1 == len(flags) or flags[i + 1].startswith("--") for i in range(len(flags))]
    return [
        f"{flag}=true" if isinstance(values.get(flag[2:]), bool) and last else flag
        for flag, last in zip(flags, alone, strict=True)
    ]


def _is_item(word: str, listed: Any) -> bool:
    """Whether a word after a list's flag is of the list: of one that holds words each is, else numbers and sizes."""
    holds_words = isinstance(listed, tuple) and any(isinstance(item, str) for item in listed)
    return holds_words or re.fullmatch(r"[\[\]\d,x.+-]*", word) is not None


def _sides(item: str) -> str:
    """256x192, and 1-4, as two numbers; anything else as it is."""
    return re.sub("[x-]", ",", item) if re.fullmatch(r"\d+[x-]\d+", item) else item


def _with_underscores(word: str) -> str:
    """A flag as fields are spelled: --batch-size is --batch_size, --backbone-from is --weights."""
    flag, equals, value = word.partition("=")
    if not flag.startswith("--"):
        return word
    name = flag[2:].replace("-", "_")
    return f"--{OTHER_NAMES.get(name, name)}{equals}{value}"
