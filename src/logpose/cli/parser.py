"""jsonargparse's parser, with messages of one sentence and flags that have to be written out."""

from __future__ import annotations

import difflib
import re
import sys
from argparse import Action, HelpFormatter
from typing import Any, NoReturn

import jsonargparse
from jsonargparse import SUPPRESS, DefaultHelpFormatter

from logpose.cli.spelling import dashed, in_dashes

__all__ = ["SUPPRESS", "ArgumentParser"]

EXPECTED = {"int": "an integer", "float": "a number", "bool": "true or false", "tuple": "a list"}
"""What a flag of a Python type takes."""


class Formatter(DefaultHelpFormatter):
    """Help without Python's types: the text of a flag and, where it has one, its default."""

    def _get_help_string(self, action: Action) -> str:
        default = " ".join(map(str, action.default)) if isinstance(action.default, tuple) else action.default
        shown = action.option_strings and default is not False and default not in (None, "", SUPPRESS)
        return f"{action.help or ''} (default: {default})" if shown else action.help or ""


class ArgumentParser(jsonargparse.ArgumentParser):
    """jsonargparse's, whose flags have to be written out, and whose refusals are one sentence and exit code 2.

    Flags are spelled with underscores, as the fields that they are made from (`flags.normalised`); people read dashes.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, allow_abbrev=False, formatter_class=Formatter, **settings)

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """The help, with dashes in flags."""
        return in_dashes(super().format_help(formatter))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:  # noqa: ARG002  (its text is the message)
        """Print what is wrong on stderr, in place of jsonargparse's message in terms of Python, and end the process."""
        print(f"logpose: {_sentence(self, str(message))}", file=sys.stderr)
        sys.exit(2)


def _sentence(parser: jsonargparse.ArgumentParser, message: str) -> str:
    """A message of jsonargparse's or argparse's in plain words; one that is not known, on one line.

    Neither library gives the parts of its messages in another way: an exception holds the text alone. So this is the
    one place that reads a text, and it does so to word it again; nothing is decided by it.
    """
    flags = list(parser._option_string_actions)
    asks = f"`{parser.prog.replace(' [options]', '')} --help`"
    if found := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
        words = found[1].split()
        unknown = next((word.partition("=")[0] for word in words if word.startswith("-")), " ".join(words))
        near = difflib.get_close_matches(dashed(unknown), map(dashed, flags), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{dashed(unknown)}: unrecognized argument{hint} ({asks} lists them)"
    if found := re.match(r"the following arguments are required: (.*)", message):
        needed = " and ".join(dashed(f"--{n}") if f"--{n}" in flags else n.upper() for n in found[1].split(", "))
        return f"{parser.prog} needs {needed} ({asks})"
    if found := re.match(r"argument (\S+): expected (?:one|at least one) argument", message):
        return f"{dashed(found[1])} has no value ({asks})"
    if found := re.match(r"argument (\S+): ignored explicit argument (.*)", message):
        return f"{dashed(found[1])} takes no value, or true or false, not {found[2].strip(chr(39))}"
    if found := re.match(r"Option '([^']*)' is not accepted", message):
        near = difflib.get_close_matches(f"--{found[1]}", flags, n=1)
        hint = f"; did you mean {near[0].removeprefix('--')}?" if near else ""
        return f"--config: '{found[1]}' is no field of it{hint} ({asks} lists them)"
    if found := re.match(r"Problems parsing config: (.*)", message):
        return f"--config is not a YAML file of fields ({found[1]})"
    if found := re.match(r'Parser key "([^"]*)"[^:]*:\s*(.*)', message, re.DOTALL):
        key, why = found.groups()
        value = re.search(r"(?:Got|Given) value: (.*)", why)
        expected = _expected(why)
        if expected and value:
            return f"{dashed('--' + key)} takes {expected}, not {re.sub(r'''[][']''', '', value[1])}"
    return in_dashes(" ".join(message.split()))


def _expected(why: str) -> str:
    """What a flag takes, by what jsonargparse expected."""
    if count := re.search(r"a tuple with (\d+) elements", why):
        return f"{count[1]} values"
    choices = re.search(r"typing\.Literal\[(.*?)\]", why)
    words = choices[1].replace("'", "").split(", ") if choices else []
    kinds = re.findall(r"Expected a <class '(\w+)'>", why)
    *others, last = [*words, *dict.fromkeys(EXPECTED[kind] for kind in kinds if kind in EXPECTED)] or [""]
    return f"{', '.join(others)} or {last}" if others else last
