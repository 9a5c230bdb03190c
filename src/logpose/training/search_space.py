"""What a search varies: fields of a recipe, each with values to choose from or a range of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]

from logpose.core.config import as_tuples, plain
from logpose.core.errors import InputError
from logpose.core.files import whole_file
from logpose.core.messages import first_line
from logpose.training.recipe import TrainingRecipe, plain_fields, plain_recipe, same_setting

__all__ = [
    "BASE",
    "SPACE",
    "Range",
    "Space",
    "Values",
    "check_space",
    "default_space",
    "default_values",
    "described",
    "is_plain",
    "is_search",
    "label",
    "shown",
    "space_of",
    "stored_settings",
    "value_of",
    "with_values",
    "write_settings",
]

SPACE, BASE = "search.yaml", "recipe.yaml"
"""Files in the folder of a search: what is varied, and the recipe before that."""
MAY_DIFFER = ("recipe", "workers", "accelerator", "devices", "save_every", "loggers")
"""Fields of a recipe that may change when a search is continued."""

R = TypeVar("R", bound=TrainingRecipe)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones of a field of whole numbers.

    They are drawn on a logarithmic scale if `low` is above 0, else evenly.
    """

    low: float
    high: float

    @property
    def log(self) -> bool:
        """Whether it is searched on a logarithmic scale."""
        return self.low > 0

    def of_integers(self, own: Any) -> bool:
        """Whether its numbers are whole, for a field that has the value `own` in the recipe."""
        return not isinstance(own, float) and isinstance(self.low, int) and isinstance(self.high, int)

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


Values = Range | tuple[Any, ...]
"""A range, or the values to choose from."""
Space = Mapping[str, Values]
"""Values by the name of the field; of a field within a field with a dot: "augmentation.rotation"."""

DECAYS = {"adamw": (0.0, 1e-3, 1e-2, 1e-1)}
DECAYS_OF_GRADIENT = (0.0, 1e-5, 1e-4, 1e-3)
"""Weight decays for a recipe without one. AdamW subtracts lr × decay × weight (Loshchilov and Hutter 2019). The other
optimisers add decay × weight to the gradient, which Adam then divides by the gradient's own scale."""
SIZES = (0.5, 0.75, 1.0, 1.25, 1.5)
COARSEST = 32
"""The largest stride of the backbones, in pixels."""
LEAST = 32


def default_space(recipe: TrainingRecipe) -> dict[str, Values]:
    """What is varied unless something else is asked for: the learning rate, the weight decay and the size of crops.

    See `default_values`; what has no effect in the recipe is left out, and so are sizes if it has none, or one of which
    there is no like.
    """
    names = ["lr", "weight_decay", *(["size"] if hasattr(recipe, "size") and len(_sizes(recipe.size)) > 1 else [])]
    inapplicable = recipe.inapplicable()
    return {name: default_values(recipe, name) for name in names if name not in inapplicable}


def default_values(recipe: TrainingRecipe, name: str) -> Values:
    """The values of a field that is to be varied.

    * `lr`: from a tenth of the recipe's to ten times as much;
    * `weight_decay`: the same; of a recipe without one, three powers of ten and 0, larger ones for AdamW;
    * `size`: ½, ¾, 1, 1¼ and 1½ of the recipe's, as far as their sides are multiples of 32 (or of the largest power of
      two that divides the recipe's, if that is less).

    Raises:
        InputError: if it is another field, or the recipe has no other sizes.
    """
    if name == "lr":
        return Range(recipe.lr / 10, recipe.lr * 10)
    if name == "weight_decay":
        decay = recipe.weight_decay
        return Range(decay / 10, decay * 10) if decay else DECAYS.get(recipe.optimizer, DECAYS_OF_GRADIENT)
    if name == "size" and hasattr(recipe, "size") and len(sizes := _sizes(recipe.size)) > 1:
        return sizes
    raise InputError(f"--search-space {name}: has no usual values; give them: {name}=A,B,C or {name}=LOW..HIGH")


def _sizes(size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Sizes like this one, of the same aspect ratio."""
    step = min(COARSEST, math.gcd(*size) & -math.gcd(*size))
    scaled = [(size[0] * share, size[1] * share) for share in SIZES]
    return tuple((int(h), int(w)) for h, w in scaled if h % step == w % step == 0 and min(h, w) >= LEAST)


def value_of(recipe: TrainingRecipe, name: str) -> Any:
    """The recipe's own value of a field."""
    return reduce(getattr, name.split("."), recipe)


def with_values(recipe: R, values: Mapping[str, Any]) -> R:
    """The recipe with other values in these fields.

    Raises:
        InputError: if they cannot be.
    """
    own: dict[str, Any] = {}
    for name, value in values.items():
        field, _, inner = name.partition(".")
        own[field] = replace(own.get(field, getattr(recipe, field)), **{inner: value}) if inner else value
    return replace(recipe, **own)


def check_space(recipe: TrainingRecipe, space: Space) -> None:
    """Refuse what cannot be varied, or leads to figures that cannot be compared.

    Raises:
        InputError: naming the field and the value.
    """
    if not space:
        raise InputError("--search-space: nothing is varied")
    inapplicable = recipe.inapplicable()
    for name, values in space.items():
        if not is_plain(recipe, name):
            raise InputError(f"--search-space {name}: the recipe has no such field")
        if name in inapplicable:
            raise InputError(f"--search-space {name}: {inapplicable[name]}")
        own = value_of(recipe, name)
        if isinstance(values, Range):
            _check_range(name, values, own)
        elif len({str(label(value)) for value in values}) < max(2, len(values)):
            raise InputError(f"--search-space {name}: needs two different values or more, got {_text(values)}")
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            try:
                varied = with_values(recipe, {name: value})
            except InputError as error:
                raise InputError(f"--search-space {name}={label(value)}: {error}") from error
            if why := recipe.not_comparable(varied):
                raise InputError(f"--search-space {name}={label(value)}: {why}")


def is_plain(recipe: TrainingRecipe, name: str) -> bool:
    """Whether a recipe has a field of this name that can be varied."""
    field, _, inner = name.partition(".")
    value = plain_fields(recipe).get(field, NotImplemented)
    if is_dataclass(value):
        return inner in {f.name for f in fields(value)}
    return value is not NotImplemented and not inner


def _check_range(name: str, values: Range, own: Any) -> None:
    numbers = isinstance(own, int | float | None) and not isinstance(own, bool)
    if not (numbers and -math.inf < values.low < values.high < math.inf):
        raise InputError(
            f"--search-space {name}={_text(values)}: a range has two numbers, the lower one first, and is of a field "
            "with a number"
        )
    if isinstance(own, int) and not (isinstance(values.low, int) and isinstance(values.high, int)):
        raise InputError(f"--search-space {name}={_text(values)}: {name} takes whole numbers")


def label(value: Any) -> bool | int | float | str | None:
    """A value as it is stored and shown: "128x96" for a size."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value) if isinstance(value, Path) else value


def shown(values: Mapping[str, Any]) -> str:
    """Values of fields as a line of text."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {label(value)}" for name, value in values.items()
    )


def _text(values: Values) -> str:
    if isinstance(values, Range):
        return f"{values.low:g}..{values.high:g}"
    return ",".join(str(label(value)) for value in values)


def described(space: Space) -> dict[str, Any]:
    """A space as plain values, from which `space_of` makes it again: {"low": …, "high": …}, or a list of values."""
    return {
        name: asdict(values)
        if isinstance(values, Range)
        else [str(v) if isinstance(v, Path) else plain(v) for v in values]
        for name, values in space.items()
    }


def space_of(description: Mapping[str, Any]) -> dict[str, Values]:
    """The space that `described` wrote.

    Raises:
        InputError: if it is none.
    """
    try:
        return {
            name: Range(**values) if isinstance(values, dict) else as_tuples(values)
            for name, values in description.items()
        }
    except (AttributeError, TypeError) as error:
        raise InputError(f"is not the description of a search ({error})") from error


def is_search(folder: str | Path) -> bool:
    """Whether a search has been started in a folder."""
    return (Path(folder) / SPACE).is_file()


def write_settings(recipe: TrainingRecipe, folder: str | Path, space: Space, trials: int) -> None:
    """Write the recipe, and what is searched. The latter comes last: with it the folder is that of a search."""
    from logpose.training.resume import data_files  # torch, which the flags' help does not need

    settings = {"trials": trials, "space": described(space), "files": data_files(recipe)}
    for name, values in ((BASE, plain_recipe(recipe)), (SPACE, settings)):
        with whole_file(Path(folder) / name, durable=True) as file:
            file.write(yaml.safe_dump(values, sort_keys=False).encode())


def stored_settings(recipe: TrainingRecipe, folder: str | Path, space: Space | None) -> tuple[Space, int]:
    """Space and number of trials of the search in a folder.

    Raises:
        InputError: if it is of another recipe, other labels or another space, or has no settings that can be read.
    """
    from logpose.training.resume import data_files

    folder = Path(folder)
    path = folder / SPACE
    try:
        before = dict(yaml.safe_load((folder / BASE).read_text(encoding="utf-8")))
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        stored, trials, files = space_of(settings["space"]), int(settings["trials"]), dict(settings["files"])
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no settings of a search ({first_line(error):.120})") from error
    for name, value in plain_recipe(recipe).items():
        if name in before and name not in MAY_DIFFER and not same_setting(before[name], value):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{folder}: is a search with {flag} {before[name]}, not {value}")
    if data_files(recipe) != files:
        raise InputError(f"{folder}: is a search on other labels than those of {getattr(recipe, 'data', '')}")
    if space is not None and described(space) != described(stored):
        raise InputError(f"{folder}: --search-space differs from that of the search ({path})")
    check_space(recipe, stored)
    return stored, trials
