"""Objects that can be written as plain values and made again from them: models, backbones, options, skeletons."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from logpose.core.errors import InputError

__all__ = ["Configurable"]

Object = TypeVar("Object", bound="Configurable")


class Configurable:
    """Base of classes whose objects are described by their constructor's arguments.

    As in scikit-learn, every argument is kept as an attribute of the same name, and the signature is the only list of
    them. A class whose attribute holds something else (a module, a buffer) overrides `argument`.

    Attributes:
        kind: name of the class in a `config`; those of a class without one do not contain it.
        nested: arguments that are objects with a `config` of their own, and what makes each from that.
    """

    kind: ClassVar[str] = ""
    nested: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    @classmethod
    def arguments(cls) -> list[str]:
        """Names of the constructor's arguments."""
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def argument(self, name: str) -> Any:
        """The value of a constructor argument of this object."""
        return getattr(self, name)

    def config(self) -> dict[str, Any]:
        """Plain values (for JSON) from which `from_config` makes the object again."""
        values = {name: plain(self.argument(name)) for name in self.arguments()}
        return {"kind": self.kind, **values} if self.kind else values

    @classmethod
    def from_config(cls: type[Object], config: Mapping[str, Any]) -> Object:
        """The object that `config` described; arguments that are missing have their defaults.

        Args:
            config: plain values, or the objects that they stand for.

        Raises:
            InputError: if it is of another kind, or has a key that is no argument.
        """
        values = dict(config)
        if cls.kind and values.pop("kind", cls.kind) != cls.kind:
            raise InputError(f"{cls.__name__} is of kind {cls.kind!r}, not {config['kind']!r}")
        known = cls.arguments()
        for name in values:
            if name not in known:
                raise InputError(f"{cls.__name__} has no argument {name!r}")
        return cls(**{name: cls._made(name, value) for name, value in values.items()})

    @classmethod
    def _made(cls, name: str, value: Any) -> Any:
        return cls.nested[name](value) if name in cls.nested and isinstance(value, Mapping) else as_tuples(value)


def plain(value: Any) -> Any:
    """A value as JSON has it: objects by their `config`, sequences as lists."""
    if isinstance(value, Configurable):
        return value.config()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def as_tuples(value: Any) -> Any:
    """A value of JSON with tuples for its lists, also within."""
    if isinstance(value, dict):
        return {name: as_tuples(inner) for name, inner in value.items()}
    return tuple(as_tuples(inner) for inner in value) if isinstance(value, list | tuple) else value
