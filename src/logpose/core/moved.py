"""Module paths, and arguments of public functions, of version 0.1: they work once more, with a DeprecationWarning."""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

__all__ = [
    "ATTRIBUTES",
    "MODULES",
    "NAMES",
    "install",
    "moved_name",
    "names_of_module",
    "old_attributes",
    "renamed_arguments",
]

P = ParamSpec("P")
T = TypeVar("T")
AnyClass = TypeVar("AnyClass", bound=type)

MODULES = {
    **{name: f"core.{name}" for name in ("structures", "skeletons", "geometry")},
    **{name: f"training.{name}" for name in ("checkpoint", "interop")},
    **{"recipe": "tasks.pose.recipe", "evaluation": "tasks.pose.evaluate", "predict": "tasks.pose.predict"},
    **{"placement": "core.placement", "drawing": "report.draw", "losses.likelihood": "losses.base"},
    # Packages have these names now: their `__getattr__` calls `moved_name`.
    **{"training": "training.run", "report": "report.page"},
}
"""Old path -> new path, both within `logpose`."""
PACKAGES = ("training", "report")
"""Old paths that are packages now."""
NAMES = {
    ("structures", "InputError"): ("core.errors", "InputError"),
    ("structures", "ErrorLaw"): ("core.structures", "ErrorDistribution"),
    ("structures", "Lesson"): ("core.structures", "LossDict"),
    ("structures", "Measuring"): ("core.structures", "Evaluator"),
    ("structures", "Material"): ("core.structures", "OutputType"),
    ("recipe", "TrainingRecipe"): ("training.recipe", "TrainingRecipe"),
    ("report", "save_picture"): ("report.page", "save_image"),
}
"""(old path, old name) -> (new path, new name), where they are not those of `MODULES`."""

ATTRIBUTES = {
    "PoseLoss": {"law": "error_distribution"},
    "Model": {"law": "error_distribution", "set_law": "set_error_distribution", "blank": "example_input"},
}
"""class -> old name of an attribute -> new name."""


def moved_name(old: str, name: str) -> Any:
    """A name of a module of version 0.1 (its path within `logpose`), with a DeprecationWarning.

    Raises:
        AttributeError: if the new module has no such name.
    """
    path, new = NAMES.get((old, name), (MODULES[old], name))
    found = getattr(importlib.import_module(f"logpose.{path}"), new)
    if not name.startswith("__"):
        message = f"logpose.{old}.{name} is now logpose.{path}.{new}; the old name is removed in the next version"
        warnings.warn(message, DeprecationWarning, stacklevel=3)
    return found


def names_of_module(old: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package that has the name of a module of version 0.1 (its path within `logpose`)."""

    def getattribute(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return moved_name(old, name)

    return getattribute


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives each old path a module whose names are looked up at the new one."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        package, _, old = name.partition(".")
        return importlib.util.spec_from_loader(name, self) if package == "logpose" and old in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.partition(".")[2]
        module.__getattr__ = lambda name: moved_name(old, name)  # type: ignore[method-assign]


def install() -> None:
    """Let imports of old paths work in this process; calling it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())  # last, so that modules that exist come first


def renamed_arguments(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: the old names of arguments, as keys, are accepted for one version with a DeprecationWarning."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def renamed(*args: P.args, **options: P.kwargs) -> T:
            for old, new in names.items():
                if old in options:
                    if new in options:
                        raise TypeError(f"{new!r} is given twice, once by its old name {old!r}")
                    warnings.warn(f"the argument {old!r} is now {new!r}", DeprecationWarning, stacklevel=2)
                    options[new] = options.pop(old)
            return function(*args, **options)

        return renamed

    return decorate


def old_attributes(cls: AnyClass) -> AnyClass:
    """A class decorator: the attributes that `ATTRIBUTES` lists have their old names too, with a DeprecationWarning."""

    def alias(old: str, new: str) -> property:
        def get(self: Any) -> Any:
            warnings.warn(f"{cls.__name__}.{old} is now {new}", DeprecationWarning, stacklevel=2)
            return getattr(self, new)

        return property(get)

    for old, new in ATTRIBUTES[cls.__name__].items():
        setattr(cls, old, alias(old, new))
    return cls
