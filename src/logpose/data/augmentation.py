"""How training crops, and whole images, are varied. Recipes have these objects, so this module imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton

if TYPE_CHECKING:
    from logpose.core.samples import Sample

__all__ = ["Augmentation", "SceneTransform", "ShortSide", "SquareCrop", "flip_share"]

SHARES = ("rotation_probability", "half_body_probability", "half_body_upper", "flip_probability", "shift_probability")
"""Fields of `Augmentation` that are probabilities."""

USUAL_FLIPS = 0.5


def flip_share(given: float | None, skeleton: Skeleton) -> float:
    """How often training images are mirrored: as given, else half of them, or none if pairs of joints are not known."""
    if given is not None:
        return given
    return USUAL_FLIPS if skeleton.mirrors else 0.0


@dataclass(frozen=True)
class Augmentation:
    """How training crops are varied. The defaults are those of the released COCO configuration.

    Attributes:
        scale: the region's extent is multiplied by a draw from 1 ± scale.
        rotation: turned by a draw from ± rotation degrees …
        rotation_probability: … this often.
        half_body_probability: how often a person with enough labelled joints is cropped to one half of the body.
        flip_probability: how often the image is mirrored; unless given, half of the time where left and right joints
            are known, else never.
        shift: the region's centre is moved by a draw from ± shift times its padded extent, along x and along y …
        shift_probability: … this often.
        half_body_least: how many labelled joints are enough for half a body.
        half_body_upper: share of upper halves; the released code asks whether a normal draw is below 0.5.
        draws: from what those draws are: uniform; "normal", a standard normal drawn again beyond ±1 (mmpose's); or
            "clipped", a normal moved to ±1 from beyond, standard but for the rotation's, half as wide (HRNet's).
        occlusion: largest share of the box's area that a rectangle of noise hides; its size is drawn each time.
        colour: each channel is multiplied by a draw from 1 ± colour, which is uniform always.
    """

    scale: float = 0.25
    rotation: float = 45.0
    rotation_probability: float = 0.5
    half_body_probability: float = 0.3
    flip_probability: float | None = None
    shift: float = 0.0
    shift_probability: float = 0.0
    half_body_least: int = 4
    half_body_upper: float = 0.69
    draws: Literal["uniform", "normal", "clipped"] = "uniform"
    occlusion: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "rotation", "shift", "occlusion", "colour", *SHARES):
            value, most, below = getattr(self, name), 180 if name == "rotation" else 1, name in ("scale", "colour")
            if name == "flip_probability" and value is None:
                continue
            if not 0 <= value <= most or (below and value == most):
                raise InputError(f"{name} must lie in [0, {most}{')' if below else ']'}, got {value:g}")

    def draw(self, rng: np.random.Generator, spread: float = 1.0) -> float:
        """A number from [-1, 1]; `spread` is the standard deviation of "clipped" draws."""
        if self.draws == "clipped":
            return float(np.clip(spread * rng.standard_normal(), -1, 1))
        value = rng.uniform(-1, 1)
        if self.draws == "normal":
            while abs(value := rng.standard_normal()) > 1:
                pass
        return float(value)


Matrix = Float[np.ndarray, "2 3"]


@dataclass(frozen=True)
class ShortSide:
    """The whole image, its short side resized to a drawn length, unless its long side would be too long (detectron2's).

    Attributes:
        short: lengths in pixels, one of which is drawn; evaluation takes the first.
        longest: of the long side, pixels.
        flip: how often it is mirrored, see `flip_share`.
    """

    short: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    longest: int = 1333
    flip: float | None = None

    def __post_init__(self) -> None:
        if not (self.short and min(self.short) >= 1 and max(self.short) <= self.longest and 0 <= (self.flip or 0) <= 1):
            raise InputError(f"expected 1 <= short <= longest and 0 <= flip <= 1, got {self}")

    def place(
        self, size: tuple[int, int], _: Sequence[Sample], rng: np.random.Generator | None
    ) -> tuple[Matrix, tuple[int, int]]:
        """The map from image coordinates to pixels of the input, and the input's (H, W).

        Args:
            size: (W, H) of the image.
            rng: source of what is drawn; None takes what evaluation takes.
        """
        short = self.short[0] if rng is None else self.short[int(rng.integers(len(self.short)))]
        factor = self.factor(size, short)
        width, height = (max(1, int(side * factor + 0.5)) for side in size)
        # The corners of the image, half a pixel outside the centres of its outer pixels, stay its corners.
        x, y = width / size[0], height / size[1]
        return np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2]]), (height, width)

    def factor(self, size: tuple[int, int], short: int | None = None) -> float:
        """By what an image of (W, H) is enlarged, for a short side of evaluation's length unless another is given."""
        return min((self.short[0] if short is None else short) / min(size), self.longest / max(size))


@dataclass(frozen=True)
class SquareCrop:
    """A square around a person, at a drawn scale (Point-Set Anchors'); black where there is no image.

    Attributes:
        side: of the square, pixels of the input.
        scale: least and greatest factor by which the image is enlarged.
        flip: how often it is mirrored, see `flip_share`.
        after: how images are resized before, as in evaluation, so that people are as large there as in training; None,
            published, takes them as they are.
    """

    side: int = 640
    scale: tuple[float, float] = (0.5, 1.5)
    flip: float | None = None
    after: ShortSide | None = None

    def __post_init__(self) -> None:
        if not (self.side >= 1 and 0 < self.scale[0] <= self.scale[1] and 0 <= (self.flip or 0) <= 1):
            raise InputError(f"expected side >= 1, 0 < scale[0] <= scale[1] and 0 <= flip <= 1, got {self}")

    def place(
        self, size: tuple[int, int], people: Sequence[Sample], rng: np.random.Generator | None
    ) -> tuple[Matrix, tuple[int, int]]:
        """As `ShortSide.place`; without people, and in evaluation, the square is around the image's middle."""
        usual = 1.0 if self.after is None else self.after.factor(size)
        factor, centre = usual * float(np.mean(self.scale)), np.array(size) / 2 - 0.5
        if rng is not None:
            factor = usual * float(rng.uniform(*self.scale))
            if people:
                box = people[int(rng.integers(len(people)))].box
                centre = box[:2] + box[2:] / 2
        shift = self.side / 2 - 0.5 - factor * centre
        return np.array([[factor, 0.0, shift[0]], [0.0, factor, shift[1]]]), (self.side, self.side)


SceneTransform = ShortSide | SquareCrop
"""How an image becomes an input."""
