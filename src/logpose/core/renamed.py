"""Arguments of public functions that have had another name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["renamed_arguments"]

P = ParamSpec("P")
T = TypeVar("T")


def renamed_arguments(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: the old names of arguments, as keys, are accepted for one version with a DeprecationWarning."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def renamed(*args: P.args, **options: P.kwargs) -> T:
            for old, new in names.items():
                if old in options:
                    warnings.warn(f"the argument {old!r} is now {new!r}", DeprecationWarning, stacklevel=2)
                    options[new] = options.pop(old)
            return function(*args, **options)

        return renamed

    return decorate
