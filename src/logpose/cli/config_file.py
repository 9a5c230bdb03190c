"""YAML files of `--config`, checked before they are read: small, plain, and a table of fields."""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from logpose.core.errors import InputError

__all__ = ["check_config", "named_recipe"]

LARGEST = 1 << 20  # bytes; a recipe's fields take about a thousand
DEEPEST = 20  # levels; a recipe's fields have three


def check_config(path: str | Path) -> None:
    """Refuse a file that is no table of fields. It is scanned as events, so that nothing in it is built or repeated.

    Raises:
        InputError: naming the file, and the line where there is one.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: has more than {LARGEST} bytes, and is no file of fields")
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        _check_events(path, text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise InputError(
            f"{path}{where}: is not YAML ({getattr(error, 'problem', None) or 'wrong character'})"
        ) from error


def named_recipe(path: str | Path) -> str | None:
    """The name of the recipe in a file that `check_config` accepts; None where it has none."""
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    name = content.get("recipe") if isinstance(content, dict) else None
    return name if isinstance(name, str) else None


def _check_events(path: Path, text: str) -> None:
    depth, tables = 0, 0
    for event in yaml.parse(text, yaml.SafeLoader):
        where = f"{path}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"{where}: has an alias (*{event.anchor}); write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            tables += depth == 1 and isinstance(event, yaml.MappingStartEvent)
            if depth > DEEPEST:
                raise InputError(f"{where}: is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth and not tables:
            break
    if tables != 1:
        raise InputError(f"{path}: is not a table of fields (field: value)")
