"""Packages whose names are imported on first use: what needs no torch does not wait for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["import_all", "lazy"]


def lazy(
    package: str, names: Mapping[str, Sequence[str]], packages: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package (PEP 562) whose names are imported on first use.

    Args:
        package: its `__name__`.
        names: for each of its modules, the public names that the package has from there. Type checkers know them by
            the same imports under `if TYPE_CHECKING`.
        packages: further modules that are attributes of the package, as those of `names` are.
    """
    modules = {name: f"{package}.{module}" for module, own in names.items() for name in own}
    inner = {*packages, *(module for module in names if "." not in module)}

    def getattribute(name: str) -> Any:
        if name in inner:
            return importlib.import_module(f"{package}.{name}")
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattribute, lambda: sorted({*vars(sys.modules[package]), *modules, *inner})


def import_all(package: str) -> None:
    """Import every public name of a package."""
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        getattr(module, name)
