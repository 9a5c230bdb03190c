"""Flags made from dataclasses: a field is a flag, its docstring the help, its type what the flag takes.

A field without a default has to be given. The fields that `POSITIONAL` names are given without a flag, in that order.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object
from jsonargparse import ActionYesNo

from logpose.cli.parser import SUPPRESS, ArgumentParser
from logpose.cli.words import as_parsed
from logpose.core.errors import InputError
from logpose.core.options import Options

__all__ = [
    "dashed",
    "first_word",
    "flag_names",
    "help_text",
    "normalised",
    "parse_options",
    "refuse_unknown",
    "wants_help",
]

T = TypeVar("T", bound=Options)


def parse_options(options: type[T], words: Sequence[str], command: str, description: str) -> T:
    """The options that some words give. A wrong value ends the process with one sentence and exit code 2.

    Args:
        options: their dataclass.
        words: of the command line, after the command.
        command: its name.
        description: of the command, for its help.

    Raises:
        InputError: if there is no such flag.
    """
    words = normalised(words, [options])
    if wants_help(words):
        print(help_text(options, command, description), end="")
        sys.exit(0)
    refuse_unknown(words, [options], command)
    parsed = _parser(options, command, description).parse_args(list(words))
    values = {f.name: parsed[f.name] for f in fields(options)}
    return options(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def help_text(
    options: type[Options], command: str, description: str, groups: Iterable[tuple[str, type[Options]]] = ()
) -> str:
    """The help of a command.

    Args:
        options: what it takes in any case.
        command: its name.
        description: what it does.
        groups: headings, and dataclasses derived from `options` of which the further fields stand under them.
    """
    groups, common = list(groups), {f.name for f in fields(options)}
    shown = groups[0][1] if len(groups) == 1 else options  # a single one words the common options for itself
    text = _parser(shown, command, description, {f.name for f in fields(shown)} - common).format_help()
    for heading, further in groups:
        if {f.name for f in fields(further)} - common:
            text += "\n" + _group(further, heading, common).format_help()
    return text


def wants_help(words: Iterable[str]) -> bool:
    """Whether help is asked for."""
    return not {"-h", "--help"}.isdisjoint(words)


def normalised(words: Sequence[str], options: Iterable[type[Options]]) -> list[str]:
    """Words in the spelling that the parsers take: --save-json is --save_json, --size 64x48 is --size=[64,48]."""
    lists = {
        name: (0,) for each in options for name, hint in _flags(each).items() if _is_list(hint) and not _is_words(hint)
    }
    return as_parsed(words, lists)


def first_word(words: Sequence[str], options: Iterable[type[Options]]) -> str | None:
    """The first word that is neither a flag nor the value of one, in the spelling of `normalised`."""
    hints = {name: hint for each in options for name, hint in _flags(each).items()}
    taken = many = False
    for word in words:
        if word.startswith("--"):
            name, equals, _ = word[2:].partition("=")
            hint = hints.get(name, bool)
            many = not equals and _is_words(hint)
            taken = not equals and bool not in (hint, *get_args(hint))
        elif taken:
            taken = many
        else:
            return word
    return None


def flag_names(words: Iterable[str]) -> list[str]:
    """Names of the flags among words, as fields are spelled; --no_x is x, where there is such a switch."""
    return [word[2:].partition("=")[0] for word in words if word.startswith("--")]


def refuse_unknown(words: Iterable[str], options: Iterable[type[Options]], command: str) -> None:
    """Refuse flags that no dataclass has.

    Raises:
        InputError: naming the first, and the nearest that there is.
    """
    known = {name: name for each in options for name in _flags(each)}
    switches = {f"no_{name}" for each in options for name, hint in _flags(each).items() if _is_switch(hint)}
    for name in flag_names(words):
        if name not in known.keys() | switches:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {dashed(near[0])}?" if near else ""
            raise InputError(f"{dashed(name)}: unrecognized argument{hint} (`logpose {command} --help` lists them)")


def dashed(name: str) -> str:
    """A field's name as a flag: --save-json."""
    return f"--{name.replace('_', '-')}"


def _flags(options: type[Options]) -> dict[str, Any]:
    """The types of the fields that are flags, by name."""
    hints = get_type_hints(options)
    return {f.name: hints[f.name] for f in fields(options) if f.name not in options.POSITIONAL}


def _alternatives(hint: Any) -> list[Any]:
    """The types that a value may have, None left out."""
    parts = [hint] if get_origin(hint) is not None and NoneType not in get_args(hint) else (get_args(hint) or [hint])
    return [part for part in parts if part is not NoneType]


def _is_list(hint: Any) -> bool:
    return any(get_origin(part) is tuple for part in _alternatives(hint))


def _is_words(hint: Any) -> bool:
    """Whether a flag takes several words, each as it is."""
    return any(get_origin(part) is tuple and get_args(part)[0] in (str, Path) for part in _alternatives(hint))


def _is_switch(hint: Any) -> bool:
    return bool in _alternatives(hint)


def _parser(options: type[Options], command: str, description: str, skip: Iterable[str] = ()) -> ArgumentParser:
    """The parser of a command's words."""
    parser = ArgumentParser(prog=f"logpose {command}", description=description)
    _add(parser, options, frozenset(skip))
    return parser


def _group(options: type[Options], heading: str, skip: Iterable[str]) -> ArgumentParser:
    """A parser with nothing but one group, for its part of a help text."""
    parser = ArgumentParser(usage=SUPPRESS, add_help=False)
    _add(parser.add_argument_group(heading), options, frozenset(skip))
    return parser


def _add(parser: Any, options: type[Options], skip: frozenset[str]) -> None:
    """Add an argument for each field."""
    hints = get_type_hints(options)
    helps = {
        entry.arg_name: entry.description
        for base in reversed(options.__mro__[:-1])
        for entry in parse_from_object(base).params
    }
    for f in fields(options):
        if f.name in skip:
            continue
        hint = hints[f.name]
        settings: dict[str, Any] = {"help": " ".join((helps.get(f.name) or "").split())}
        required = f.default is MISSING and f.default_factory is MISSING
        if f.name in options.POSITIONAL:
            several = {"nargs": "+" if required else "*"} if _is_words(hint) else {}
            parser.add_argument(f.name, type=get_args(hint)[0] if several else hint, **several, **settings)
            continue
        settings |= {"required": True} if required else {"default": f.default}
        if _is_switch(hint):
            parser.add_argument(f"--{f.name}", action=ActionYesNo(no_prefix="no_"), **settings)
        elif _is_words(hint):
            parser.add_argument(f"--{f.name}", type=str, nargs="+", **settings)
        else:
            parser.add_argument(f"--{f.name}", type=hint, **settings)
