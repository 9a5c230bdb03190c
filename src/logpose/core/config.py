"""Objects that can be written as plain values and made again: models, losses, densities, options of commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from logpose.core.errors import InputError, UnknownKindError
from logpose.core.lazy import import_all

__all__ = ["Configurable", "Family", "Options"]

Object = TypeVar("Object", bound="Configurable")
Member = TypeVar("Member", bound="Family")


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
        """The object that `config`, plain values or objects, described; missing arguments have their defaults.

        Raises:
            InputError: if it is of another kind, or has a key that is no argument.
        """
        values = dict(config)
        if cls.kind and values.pop("kind", cls.kind) != cls.kind:
            raise InputError(f"{cls.__name__} is of kind {cls.kind!r}, not {config['kind']!r}")
        for name in values.keys() - set(cls.arguments()):
            raise InputError(f"{cls.__name__} has no argument {name!r}")
        for name, value in values.items():
            nested = name in cls.nested and isinstance(value, Mapping)
            values[name] = cls.nested[name](value) if nested else as_tuples(value)
        return cls(**values)


class Family(Configurable):
    """Base of a family of classes: the kind of each is its name, and `from_config` of a base class makes any of them.

    The name of a class of another package has its module before it.
    Only classes of this package can be named by a configuration: nothing that a file contains chooses other code.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A class of a user's own is not taken for one of this package with the same name.
        cls.kind = cls.__name__ if cls.is_own() else f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def is_own(cls) -> bool:
        """Whether this is a class of this package."""
        return cls.__module__.partition(".")[0] == __name__.partition(".")[0]

    @classmethod
    def members(cls: type[Member]) -> dict[str, type[Member]]:
        """Of this package, the classes below this one and itself, by kind, without abstract and private ones."""
        if own := cls.is_own():
            import_all(cls.__module__.rpartition(".")[0])  # a class that was never used is not imported yet
        known = {kind: member for child in cls.__subclasses__() for kind, member in child.members().items()}
        made = own and not inspect.isabstract(cls) and cls.kind[0] != "_"
        return {cls.kind: cls, **known} if made else known

    @classmethod
    def from_config(cls: type[Member], config: Mapping[str, Any]) -> Member:
        """The object that `config` described, of the class `config["kind"]`, or of this one.

        Raises:
            UnknownKindError: if the kind is no class of this family.
            InputError: if a key is no argument.
        """
        kind = config.get("kind", cls.kind)
        made = cls.members().get(kind)
        if made is None:
            raise UnknownKindError(f"{kind!s:.60} is no {cls.__name__} of this package")
        return made.make(config)

    @classmethod
    def make(cls: type[Member], config: Mapping[str, Any]) -> Member:
        """An object of this very class; overridden where arguments have had other names."""
        return super().from_config(config)


@dataclass(kw_only=True)
class Options:
    """A command's options: each field is a flag, the docstring under it the help; one without a default is required."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are given without a flag."""


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
