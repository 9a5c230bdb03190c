"""A parser of flags that says what is wrong in one sentence, as everything here does."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import jsonargparse

__all__ = ["ArgumentParser"]

TAKEN = {"int": "a whole number", "float": "a number", "bool": "true or false", "tuple": "a list"}
"""What a flag of a Python type takes."""


class ArgumentParser(jsonargparse.ArgumentParser):
    """jsonargparse's, whose flags have to be written out, and whose refusals are one sentence and exit code 2."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, allow_abbrev=False, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong on stderr, and end the process.

        Args:
            message: jsonargparse's, over several lines and in terms of Python.
            ex: what it caught.
        """
        parser = getattr(ex, "subcommand_parser", None) or self
        print(f"logpose: {_sentence(parser, str(message))}", file=sys.stderr)
        sys.exit(2)


def _sentence(parser: jsonargparse.ArgumentParser, message: str) -> str:
    """A message of jsonargparse's or argparse's in plain words; one that is not known, on one line."""
    flags = list(parser._option_string_actions)
    asks = f"`{parser.prog.replace(' [options]', '')} --help`"
    if found := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
        words = found[1].split()
        unknown = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
        if unknown is None:
            return f"{' '.join(words)}: there is no use for it here ({asks})"
        return f"there is no flag {unknown}{_near(unknown, flags)} ({asks} lists them)"
    if found := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message):
        commands = found[2].replace("'", "").split(", ")
        return f"there is no command {found[1]!r}{_near(found[1], commands)} (they are {', '.join(commands)})"
    if found := re.match(r"the following arguments are required: (.*)", message):
        return _missing(parser, found[1].split(", "))
    if found := re.match(r"argument (\S+): expected (?:one|at least one) argument", message):
        return f"{found[1]} has no value ({asks})"
    if found := re.match(r'Parser key "([^"]*)": File does not exist: \'(.*)\'', message):
        return f"--{found[1]}: {found[2]}: no such file"
    if found := re.match(r"Problems parsing config: (.*)", message):
        return f"--config is not a YAML file of fields ({found[1]})"
    if found := re.match(r'Parser key "([^"]*)"[^:]*:\s*(.*)', message, re.DOTALL):
        key, why = found.groups()
        flag = next((f"--{name}" for name in (key, key.replace("_", "-")) if f"--{name}" in flags), f"--{key}")
        value = re.search(r"(?:Got|Given) value: (.*)", why)
        taken = _taken(why)
        if taken and value:
            return f"{flag} takes {taken}, not {re.sub(r'''[][']''', '', value[1])}"
    return " ".join(message.split())


def _near(word: str, known: Iterable[str]) -> str:
    """A hint at what may have been meant."""
    # Dashes and underscores are the same to the commands.
    near = difflib.get_close_matches(word.replace("_", "-"), [name.replace("_", "-") for name in known], n=1)
    there = {name.replace("_", "-"): name for name in known}
    return f"; did you mean {there[near[0]]}?" if near else ""


def _missing(parser: jsonargparse.ArgumentParser, names: list[str]) -> str:
    """What a command needs and has not been given; names are those of its arguments, the command's before them."""
    command = names[0].partition(".")[0] if "." in names[0] else ""
    commands = next((action.choices for action in parser._actions if isinstance(action.choices, dict)), {})
    flags = commands[command]._option_string_actions if command in commands else {}
    needed = [name.removeprefix(f"{command}.") for name in names]
    told = " and ".join(f"--{name}" if f"--{name}" in flags else name.upper() for name in needed)
    prog = f"{parser.prog} {command}".strip()
    return f"{prog} needs {told} (`{prog} --help`)"


def _taken(why: str) -> str:
    """What a flag takes, by what jsonargparse says that it expected."""
    if choices := re.search(r"typing\.Literal\[(.*?)\]", why):
        *others, last = choices[1].replace("'", "").split(", ")
        return f"{', '.join(others)} or {last}" if others else last
    if count := re.search(r"a tuple with (\d+) elements", why):
        return f"{count[1]} values"
    kind = re.search(r"Expected a <class '(\w+)'>", why)
    return TAKEN.get(kind[1], "") if kind else ""
