"""Flags made from dataclasses: a field is a flag, its docstring the help, its type what the flag takes.

A field without a default has to be given. The fields that `POSITIONAL` names are given without a flag, in that order;
those of a nested dataclass are flags with a dot: --augmentation.scale. Parsers spell flags with underscores, as the
fields; people read and write dashes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object
from jsonargparse import ActionYesNo, Namespace

from logpose.cli.parser import SUPPRESS, ArgumentParser
from logpose.cli.spelling import DATA, RENAMED
from logpose.core.config import Options

__all__ = [
    "add_flags",
    "by_position",
    "field_type",
    "first_word",
    "flag_names",
    "free_words",
    "help_text",
    "normalised",
    "parse_options",
    "values_of",
]

T = TypeVar("T", bound=Options)

ITEM = re.compile(r"(?=.*[\d\[\]])[\[\]\d,x.+\- ]*")  # numbers and sizes: what a list that is not of words takes
OTHER_NAMES = {"backbone_from": ("weights", "--weights_of=backbone")}
"""Flags that set a field by another name, and a flag that goes with it."""


def parse_options(options: type[T], words: Sequence[str], command: str, description: str = "") -> T:
    """The options that the words after a command give; its description is the dataclass's unless another is given.

    A wrong flag or value ends the process with one sentence and exit code 2, --help with the help and 0.
    """
    parser = _parser(options, command, description or options.__doc__ or "")
    return options(**values_of(options, parser.parse_args(by_position(normalised(words, [options]), options))))


def help_text(
    options: type[Options], command: str, description: str, groups: Sequence[tuple[str, type[Options]]] = ()
) -> str:
    """The help of a command.

    Args:
        options: what it takes in any case.
        command: its name.
        description: what it does.
        groups: headings, and dataclasses derived from `options` whose further fields stand under them.
    """
    common = {f.name for f in fields(options)}
    shown = groups[0][1] if len(groups) == 1 else options  # a single one words the common options for itself
    text = _parser(shown, command, description, {f.name for f in fields(shown)} - common).format_help()
    for heading, further in groups:
        if {f.name for f in fields(further)} - common:
            group = ArgumentParser(usage=SUPPRESS, add_help=False)
            add_flags(group.add_argument_group(heading), further, common)
            text += "\n" + group.format_help()
    return text


def normalised(words: Sequence[str], options: Iterable[type[Any]]) -> list[str]:
    """Words in the one spelling that the parsers take.

    --batch-size is --batch_size; a switch may have a word (--strict false is --no_strict); a list may be words
    (--size 256 192) or a size (--size 256x192), which is --size=[256,192]. What follows a list of numbers and is none
    is a word by itself.

    Args:
        words: the arguments after the command's name.
        options: the dataclasses whose fields are the flags.
    """
    spelled, rest = [], list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            spelled.append(flag + equals + value)
            continue
        name = flag[2:].replace("-", "_")
        name = RENAMED.get(name, name)
        if name in OTHER_NAMES:
            name, beside = OTHER_NAMES[name]
            spelled.append(beside)
        hint = _flag_type(name, options)
        if _is_switch(hint):
            if not equals and rest and rest[0] in ("true", "false"):
                value = rest.pop(0)
            spelled.append({"false": f"--no_{name}", "true": f"--{name}"}.get(value, f"--{name}{equals}{value}"))
        elif _is_list(hint):
            items = [value] if equals else []
            while not equals and rest and not rest[0].startswith("--") and _numbers(items) < _most(hint):
                if not (_is_words(hint) or ITEM.fullmatch(rest[0])):
                    break
                items.append(rest.pop(0))
            each = [item.strip(" '\"") for text in items for item in text.strip("[]").split(",") if item]
            if _is_words(hint):
                each = [json.dumps(item) for item in each]
            else:  # 256x192, and 1-4, are two numbers
                each = [re.sub("[x-]", ",", item) if re.fullmatch(r"\d+[x-]\d+", item) else item for item in each]
            spelled.append(f"--{name}=[{','.join(each)}]" if items else f"--{name}")
        elif name == DATA and not equals and rest and not rest[0].startswith("--"):
            spelled.append(f"--{name}={rest.pop(0)}")
        else:
            spelled.append(f"--{name}{equals}{value}")
    return spelled


def free_words(words: Sequence[str], options: Iterable[type[Any]]) -> list[int]:
    """Where words stand that are neither flags nor values of one, in the spelling of `normalised`."""
    places, takes_next = [], False
    for place, word in enumerate(words):
        if word.startswith("--"):
            hint = _flag_type(word[2:], options)
            takes_next = hint is not None and not _is_switch(hint)
        elif takes_next or word == "-h":
            takes_next = False
        else:
            places.append(place)
    return places


def first_word(words: Sequence[str], options: Iterable[type[Any]]) -> str | None:
    """The first of the words that are neither flags nor values of one."""
    places = free_words(words, options)
    return words[places[0]] if places else None


def by_position(words: Sequence[str], options: type[Options]) -> list[str]:
    """Words, in the spelling of `normalised`, with DATA by its position where it has the flag of the version before."""
    given = [word for word in words if word.startswith(f"--{DATA}=")]
    if not given or DATA not in options.POSITIONAL:
        return list(words)
    others = [word for word in words if word not in given]
    before = options.POSITIONAL.index(DATA)
    if len(free_words(others, [options])) < before:
        return others  # the parser reports what is missing
    return [*others, *(word.partition("=")[2] for word in given)]


def flag_names(words: Iterable[str]) -> list[str]:
    """Names of the flags among words, as fields are spelled."""
    return [word[2:].partition("=")[0] for word in words if word.startswith("--")]


def add_flags(
    parser: Any,
    options: type[Any],
    skip: Iterable[str] = (),
    types: Mapping[str, Any] | None = None,
    positional: Iterable[str] = (),
    **defaults: Any,
) -> None:
    """Add an argument for each field of a dataclass.

    Args:
        parser: a parser, or a group of one.
        options: the dataclass.
        skip: names of fields that get none.
        types: in place of the fields' own.
        positional: names of fields that are words without a flag, beside the dataclass's own.
        defaults: in place of the fields' own.
    """
    helps, positional = _helps(options), (*getattr(options, "POSITIONAL", ()), *positional)
    for f in fields(options):
        if f.name in skip:
            continue
        hint = types[f.name] if types and f.name in types else field_type(options, f.name)
        required = f.default is MISSING and f.name not in defaults
        settings: dict[str, Any] = {"help": helps.get(f.name, "")}
        if f.name in positional:
            several = _is_words(hint)
            if several or not required:
                settings["nargs"] = "+" if required else "*" if several else "?"
            parser.add_argument(f.name, type=get_args(hint)[0] if several else hint, **settings)
        elif isinstance(hint, type) and is_dataclass(hint):
            group, inner = parser.add_argument_group(helps.get(f.name, f.name)), get_type_hints(hint)
            for name, text in _helps(hint).items():
                default = defaults[f.name][name]
                group.add_argument(f"--{f.name}.{name}", type=inner[name], help=text, default=default)
        else:
            settings |= {"required": True} if required else {"default": defaults.get(f.name, f.default)}
            settings |= {"action": ActionYesNo(no_prefix="no_")} if _is_switch(hint) else {"type": hint}
            parser.add_argument(f"--{f.name}", **settings)


def values_of(options: type[Any], parsed: Namespace) -> dict[str, Any]:
    """The values of a dataclass's fields that a parser returned."""
    values = {f.name: parsed[f.name] for f in fields(options) if f.name in parsed}
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        elif isinstance(value, Namespace):
            values[name] = field_type(options, name)(**vars(value))
    return values


def _helps(options: type[Any]) -> dict[str, str]:
    """The docstrings of the fields, by name."""
    entries = [entry for base in reversed(options.__mro__[:-1]) for entry in parse_from_object(base).params]
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in entries}


def field_type(options: type[Any], name: str) -> Any:
    """The type of a field, by itself: types of other fields, which are no flags, may take torch to look up."""
    base = next(base for base in options.__mro__ if name in vars(base).get("__annotations__", {}))
    alone = {"__annotations__": {name: base.__annotations__[name]}, "__module__": base.__module__}
    return get_type_hints(type(base.__name__, (), alone))[name]


def _flag_type(flag: str, options: Iterable[type[Any]]) -> Any:
    """The type of the field that a flag gives; None if there is no such flag."""
    outer, dot, inner = flag.partition(".")
    if dot:
        nested = _flag_type(outer, options)
        return _flag_type(inner, [nested]) if isinstance(nested, type) and is_dataclass(nested) else None
    for each in options:
        others = (*getattr(each, "POSITIONAL", ()), *getattr(each, "OBJECTS", ()))
        if flag in {f.name for f in fields(each)}.difference(others):
            return field_type(each, flag)
    return None


def _alternatives(hint: Any) -> list[Any]:
    """The types that a value may have, None left out."""
    parts = [hint] if get_origin(hint) is not None and NoneType not in get_args(hint) else (get_args(hint) or [hint])
    return [part for part in parts if part is not NoneType]


def _is_list(hint: Any) -> bool:
    return any(get_origin(part) is tuple for part in _alternatives(hint))


def _is_words(hint: Any) -> bool:
    """Whether a flag takes several words, each as it is."""
    return any(get_origin(part) is tuple and get_args(part)[0] not in (int, float) for part in _alternatives(hint))


def _is_switch(hint: Any) -> bool:
    return bool in _alternatives(hint)


def _numbers(items: Iterable[str]) -> int:
    """How many numbers words have: 256x192 has two."""
    return sum(len(re.findall(r"[\d.]+", item)) for item in items)


def _most(hint: Any) -> float:
    """How many items a list's flag takes at most, by the longest of its types."""
    lists = [get_args(part) for part in _alternatives(hint) if get_origin(part) is tuple]
    return max(math.inf if Ellipsis in items else len(items) for items in lists)


def _parser(options: type[Options], command: str, description: str, skip: Iterable[str] = ()) -> ArgumentParser:
    """The parser of a command's words."""
    parser = ArgumentParser(prog=f"logpose {command}", description=description)
    add_flags(parser, options, frozenset(skip))
    return parser
