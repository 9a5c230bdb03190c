"""Python files of a user's own: recipes and tasks that are named as path/to/file.py:NAME. Such a file is run."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from logpose.core.errors import InputError

__all__ = ["attribute_of_file", "module_of_file"]

_loaded: set[str] = set()  # names of the modules that were loaded from such files


def module_of_file(path: str | Path) -> ModuleType:
    """The module that a Python file makes; it can be imported by the file's name from then on, as worker processes do.

    Raises:
        InputError: if there is no such file, it has the name of a library, or it fails.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stem in sys.stdlib_module_names or (path.stem in sys.modules and path.stem not in _loaded):
        raise InputError(f"{path}: give the file another name, {path.stem!r} is that of a library")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # so that worker processes can import what is defined in it
    _loaded.add(path.stem)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
    return module


def attribute_of_file(path: str | Path, name: str) -> Any:
    """What a Python file defines under a name.

    Raises:
        InputError: as `module_of_file`, and if it defines no such name.
    """
    defined = vars(module_of_file(path))
    if name not in defined:
        near = difflib.get_close_matches(name, [known for known in defined if not known.startswith("_")], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{path}: defines no {name!r}{hint}")
    return defined[name]
