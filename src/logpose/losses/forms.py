"""The forms of RLE: the options that choose one, and the configuration that describes it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal, TypeVar, get_args

from logpose.core.errors import UnknownKindError
from logpose.flows import Density, NamedDensity, density_from_config
from logpose.flows.simple import Base
from logpose.losses.base import LikelihoodLoss

__all__ = ["Base", "Convention", "FormOfRLE", "Mode"]

Convention = Literal["normalized", "paper", "released", "mmpose"]
"""Which formula of the loss exactly, see `RLELoss`."""
Mode = Literal["rle", "dle", "basic"]
"""Which of the paper's designs, see `RLELoss`."""
Form = TypeVar("Form", bound="FormOfRLE")

RENAMED = {"balance": "gradient_reweighting"}
"""Arguments in checkpoints of version 0.1, and their names today."""


class FormOfRLE(LikelihoodLoss):
    """Base of `RLELoss`, whose arguments these are.

    Attributes:
        forms: the conventions whose formula a class has, and their modes.
    """

    nested: ClassVar = {"flow": density_from_config}
    forms: ClassVar[Mapping[str, tuple[str, ...]]]

    __signature__: ClassVar[inspect.Signature]
    """For `help`, which would show that of `__new__`."""
    flow: Density
    base: Base
    convention: Convention
    mode: Mode

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__signature__ = inspect.signature(partial(cls.__init__, None))  # type: ignore[arg-type]

    def __new__(cls, *arguments: Any, **options: Any) -> FormOfRLE:
        """Of `RLELoss`, an object of the subclass with the formula of the convention and mode, where there is one."""
        from logpose.losses.conventions import form  # its classes derive from this one

        named = dict(zip(cls.arguments(), arguments, strict=False)) | options
        return super().__new__(form(cls, named.get("convention", "normalized"), named.get("mode", "rle")))

    @property
    def error_flow(self) -> Density:
        """The flow as a density of errors."""
        return self.flow

    def check_options(self, with_s: bool | None, reweighting: float | None, symmetric: bool | None) -> None:
        """Refuse combinations without a formula. Options may come from a file, so types do not exclude misspelt words.

        Raises:
            ValueError: naming the option.
        """
        for name, choice in (("base", Base), ("convention", Convention), ("mode", Mode)):
            if (word := getattr(self, name)) not in get_args(choice):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choice))}, got {word!r}")
        if self.mode not in self.forms.get(self.convention, ()):
            raise ValueError(f"{type(self).__name__} has no {self.mode} mode in the {self.convention} convention")
        choices = {("normalized", "rle"): (None, True), ("paper", "rle"): (None, False, True)}
        if with_s not in choices.get((self.convention, self.mode), (None, False)):
            raise ValueError(f"with_s={with_s}: s is part of Eq. 8 (convention paper or normalized, mode rle) only")
        if not 0 <= (reweighting or 0.0) < math.inf:
            raise ValueError(f"gradient_reweighting must be a finite power, 0 or more, got {reweighting}")
        normal = (self.convention, self.mode) == ("normalized", "rle")
        for name, value in (("gradient_reweighting", reweighting), ("symmetric", symmetric)):
            if value and not normal:
                raise ValueError(f"{name}={value} applies to the convention normalized in mode rle only")

    def argument(self, name: str) -> Any:
        """The value of a constructor argument; None for a flow of the user's own, which has no `config`."""
        value = getattr(self, name)
        return None if name == "flow" and not isinstance(value, NamedDensity) else value

    @classmethod
    def make(cls: type[Form], config: Mapping[str, Any]) -> Form:
        """The loss of a `config`, also of version 0.1.

        Raises:
            UnknownKindError: if the flow was of the user's own class.
        """
        if "flow" in config and config["flow"] is None:
            raise UnknownKindError(f"the flow of this {cls.__name__} is of a class that is not of this package")
        return super().make({RENAMED.get(name, name): value for name, value in config.items()})
