"""Every public function that takes a path takes a string too."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

import logpose
from logpose.core.errors import InputError
from logpose.training import checkpoint, interop

NEEDS_EXTRAS = {"logpose.models.rcnn"}


PASSED_ON = {
    "logpose.data.files.test_file",
    "logpose.data.input_notes.list_notes",
    "logpose.data.images.most_found",
    "logpose.data.inputs.read_boxes",
    "logpose.tasks.boundaries.predict.boundary_arrays",
    "logpose.tasks.pose.suggest.candidates",
}
"""Functions that take the paths that other functions of the package return."""


def modules() -> Iterator[types.ModuleType]:
    for found in pkgutil.walk_packages(logpose.__path__, "logpose."):
        if not found.name.endswith("__main__") and found.name not in NEEDS_EXTRAS:
            yield importlib.import_module(found.name)


def public() -> dict[str, Callable[..., Any]]:
    """Every function that a module's `__all__` has, and the constructors and public methods of its classes."""
    found: dict[str, Callable[..., Any]] = {}
    for module in modules():
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing):
                # The fields of a dataclass are what its objects hold, and recipes' are parsed from flags.
                written = not dataclasses.is_dataclass(thing)
                own = {n: f for n, f in vars(thing).items() if inspect.isroutine(f) or isinstance(f, classmethod)}
                for method in own:
                    if not method.startswith("_") or method == "__call__" or (written and method == "__init__"):
                        found[f"{thing.__module__}.{name}.{method}"] = getattr(thing, method)
            elif inspect.isfunction(thing):
                found[f"{thing.__module__}.{name}"] = thing
    return found


def unions(hint: Any) -> Iterator[tuple[Any, ...]]:
    """The alternatives of a type, and those of what it holds: of an iterable's items, of a tuple's."""
    own = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    yield own
    for part in own:
        for inner in get_args(part):
            yield from unions(inner)


class Elsewhere:
    """Any type that is imported for type checkers only."""

    def __class_getitem__(cls, _: Any) -> type:
        return cls


class Names(dict[str, Any]):
    """Names of a function's module; those imported for type checkers only are `Elsewhere`."""

    def __missing__(self, name: str) -> Any:
        if name.startswith("__") or name in vars(builtins):
            raise KeyError(name)
        return Elsewhere


def refusing(function: Callable[..., Any]) -> list[str]:
    """Parameters that are a path and nothing like a string."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    if isinstance(plain, functools.cached_property):
        return []
    hints = get_type_hints(plain, localns=Names(getattr(plain, "__globals__", {})))
    hints.pop("return", None)
    return [name for name, hint in hints.items() if any(Path in own and str not in own for own in unions(hint))]


def test_paths_may_be_strings_everywhere() -> None:
    functions = public()
    assert len(functions) > 300
    assert "logpose.training.interop.load_released" in functions
    wrong = {name: parameters for name, function in functions.items() if (parameters := refusing(function))}
    assert wrong.keys() == PASSED_ON


@pytest.mark.parametrize("path", [Path("x"), "x"])
def test_the_walk_can_fail(path: object) -> None:
    def strict(file: Path | None) -> None: ...

    def either(file: str | Path | None, other: int = 0) -> None: ...

    def several(images: Iterable[tuple[int, Path | None]]) -> None: ...

    assert refusing(strict) == ["file"]
    assert refusing(several) == ["images"]
    assert not refusing(either)


@pytest.mark.parametrize(
    "read",
    [
        *(interop.load_released, interop.load_mmpose, interop.load_heatmaps, interop.load_weights),
        *(interop.from_pretrained, checkpoint.load, checkpoint.load_model, checkpoint.load_of_crops, checkpoint.read),
    ],
)
def test_a_missing_file_is_refused_by_its_name(read: Callable[[str], object], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.pth"):
        read(str(tmp_path / "gone.pth"))
