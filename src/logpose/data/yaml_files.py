"""YAML files from outside, of other tools' settings: small, and nothing in them is repeated without bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from logpose.core.errors import InputError

__all__ = ["LARGEST", "YAML", "yaml_table"]

YAML = (".yaml", ".yml")
"""Suffixes of YAML files."""
LARGEST = 1 << 20
"""Bytes of a file; a data.yaml of 1,000 classes has 30,000."""
DEEPEST = 20  # levels; settings have three or four
MERGE = "<<"  # the key that takes over a table's entries: of aliases of aliases, twice as many at each step


def yaml_table(file: str | Path, expected: str, aliases: bool = False) -> dict[str, Any]:
    """The table that a file holds.

    Args:
        file: the file.
        expected: what it should be, for messages.
        aliases: whether values may be repeated by name, other than in merged tables. What takes such values must not
            go through all of them: a short file may repeat them billions of times.

    Raises:
        InputError: if it is no plain YAML, no table, too large, or has aliases.
    """
    file = Path(file)
    try:
        size = file.stat().st_size
        text = file.read_bytes().decode("utf-8-sig") if size <= LARGEST else ""
        is_plain = _is_plain(text, aliases)
        table = yaml.safe_load(text) if is_plain else {}
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f": line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{file}{line}: not YAML ({getattr(error, 'problem', None) or 'wrong character'})") from error
    except (ValueError, RecursionError) as error:  # a date that cannot be, thousands of brackets
        raise InputError(f"{file}: unreadable YAML ({error})") from error
    if size > LARGEST:
        raise InputError(f"{file}: has more than {LARGEST} bytes, and is no {expected}")
    if not is_plain:
        raise InputError(
            f"{file}: has aliases (*name), or is nested more than {DEEPEST} levels deep; write the values out"
        )
    if not isinstance(table, dict):
        raise InputError(f"{file}: not a table of fields: expected {expected}")
    return table


def _is_plain(text: str, aliases: bool) -> bool:
    """Whether nothing is repeated that must not be, or nested without end, which the parser takes hours for."""
    depth, named, merged = 0, False, False
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        named |= isinstance(event, yaml.AliasEvent)
        merged |= isinstance(event, yaml.ScalarEvent) and event.value == MERGE
        if depth > DEEPEST or (named and (merged or not aliases)):
            return False
    return True
