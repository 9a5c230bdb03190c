"""Families of classes that are written with their kind: losses, densities."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from logpose.core.config import Configurable
from logpose.core.errors import UnknownKindError

__all__ = ["Family"]

Member = TypeVar("Member", bound="Family")


class Family(Configurable):
    """Base of a family of classes: the kind of each is its name, and `from_config` of a base class makes any of them.

    Only classes of this package can be named by a configuration: nothing that a file contains chooses other code.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.kind = cls.__name__

    @classmethod
    def members(cls: type[Member]) -> dict[str, type[Member]]:
        """Of this package, the classes below this one and itself, by kind, without abstract and private ones."""
        known = {kind: member for child in cls.__subclasses__() for kind, member in child.members().items()}
        own = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        return {cls.kind: cls, **known} if own and not inspect.isabstract(cls) and cls.kind[0] != "_" else known

    @classmethod
    def from_config(cls: type[Member], config: Mapping[str, Any]) -> Member:
        """The object that `config` described; arguments that are missing have their defaults.

        Args:
            config: plain values; the class is `config["kind"]`, or this one.

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
