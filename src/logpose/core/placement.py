"""Where people are in the camera's frame, from their joints in the image and depths relative to the root.

This needs the camera and the root's distance from it. Where they are not given, they are assumed:

* The focal length is the image's diagonal, so the image is 53 degrees wide from corner to corner, as a normal lens
  shows it (Kissos et al. 2020; Li et al. 2022, CLIFF). The principal point is the image's middle.
* The root is where the limbs have the size of an adult's of 1,700 mm (`adult_root_depth`). A child is placed too far
  away by its size, and a focal length that is wrong by some factor scales all distances by the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from logpose.core.cameras import Camera
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.space import lifted, middle_depth

__all__ = ["STATURE", "Assumable", "Placement", "Viewpoint", "adult_root_depth", "refuse_diverged"]

Assumable = Literal["focal", "centre", "root_depth"]
"""What is assumed where it is not given."""

STATURE = 1700.0
"""Millimetres: the stature that is assumed for all people, an adult's."""
LIMBS = {
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
    ("shoulder", "elbow"): 0.186,
    ("elbow", "wrist"): 0.146,
}
"""Length of limbs relative to stature (Drillis and Contini 1966; Winter, Biomechanics and Motor Control, Fig. 4.1).

By these HumanEva-I's subjects are 1,570 to 1,780 mm tall."""
NEAREST, FARTHEST = 100.0, 1e5
"""Millimetres: least depth of a joint where the root's is estimated, and most of the root's."""


@dataclass(frozen=True)
class Viewpoint:
    """What is known of the camera and of the distance to the people, of all images alike; None where it is not.

    Attributes:
        focal: focal lengths along x and y, in pixels; one number for both.
        centre: principal point (x, y), in pixels.
        root_depth: how far the root of each person is from the camera along its axis, in millimetres.

    Raises:
        InputError: if no camera is like that.
    """

    focal: Sequence[float] | float | None = None
    centre: tuple[float, float] | None = None
    root_depth: float | None = None

    def __post_init__(self) -> None:
        if self.focal is not None and not all(0 < side < np.inf for side in self._focal(self.focal)):
            raise InputError(f"focal length must be > 0 pixels, got {min(self._focal(self.focal)):g}")
        if self.centre is not None and not np.isfinite(self.centre).all():
            raise InputError(f"principal point must be x and y in pixels, got {self.centre}")
        if self.root_depth is not None and not NEAREST < self.root_depth < np.inf:
            raise InputError(f"root depth must be > {NEAREST:g} millimetres, got {self.root_depth:g}")

    @staticmethod
    def _focal(given: Sequence[float] | float) -> tuple[float, float]:
        """Along x and y."""
        try:
            x, y = np.broadcast_to(np.asarray(given, dtype=np.float64), 2).tolist()
        except (TypeError, ValueError) as error:
            raise InputError(f"focal length must be one or two numbers of pixels, got {given}") from error
        return x, y

    @property
    def assumed(self) -> tuple[Assumable, ...]:
        """What is not known."""
        names: tuple[Assumable, ...] = ("focal", "centre", "root_depth")
        return tuple(name for name in names if getattr(self, name) is None)

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of an image of (H, W) pixels."""
        height, width = size
        focal = self._focal(float(np.hypot(height, width)) if self.focal is None else self.focal)
        centre = self.centre or ((width - 1) / 2, (height - 1) / 2)
        return Camera(np.array(focal, dtype=np.float64), np.array(centre, dtype=np.float64))

    def place(
        self,
        keypoints: Float[np.ndarray, "N K 3"],
        sigma: Float[np.ndarray, "N K 3"],
        size: tuple[int, int],
        skeleton: Skeleton,
    ) -> Placement | None:
        """The people of one image in the camera's frame; None if the distance of such an object is unknown.

        Standard deviations are carried over to first order, with the camera and the root's depth taken as exact.

        Args:
            keypoints: pixels of the image, and depths in millimetres relative to the root.
            sigma: standard deviations of these; may be NaN.
            size: (H, W) of the image.
            skeleton: whose joints they are.

        Raises:
            InputError: if joints lie behind the camera where the root is.
        """
        camera, root = self.camera(size), skeleton.root
        depths = []
        for person in keypoints:
            depth = self.root_depth if self.root_depth is not None else adult_root_depth(person, camera, skeleton)
            if depth is None:
                return None
            depths.append(depth)
        people = zip(keypoints, depths, strict=True)
        joints = np.array([lifted(person, camera, depth, root) for person, depth in people]).reshape(keypoints.shape)
        if (behind := (joints[..., 2] <= 0).any(axis=1)).any():
            depth = depths[int(behind.argmax())]
            raise InputError(f"with the root {depth:g} mm away, some joints would lie behind the camera")
        along = _relative_spread(sigma[..., 2], root)[..., None]
        slope = joints[..., :2] / joints[..., 2:]
        across = np.hypot(sigma[..., :2] * joints[..., 2:] / camera.focal, slope * along)
        return Placement(joints, np.concatenate([across, along], axis=-1), camera, np.array(depths, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the people of one image are."""

    joints: Float[np.ndarray, "N K 3"]
    """Millimetres in the camera's frame: x to the right, y down, z away from it."""
    sigma: Float[np.ndarray, "N K 3"]
    """Standard deviations along its axes, millimetres; NaN from a model that knows none."""
    camera: Camera
    root_depth: Float[np.ndarray, "N"]
    """Of each person's root, millimetres."""


def _relative_spread(sigma: Float[np.ndarray, "N K"], root: Sequence[int]) -> Float[np.ndarray, "N K"]:
    """Standard deviations of depths less the mean of the root joints' (of all, without any), as `lifted` takes them."""
    chosen = np.isin(np.arange(sigma.shape[-1]), list(root) or list(range(sigma.shape[-1])))
    count = chosen.sum()
    of_root = (sigma[:, chosen] ** 2).sum(axis=1, keepdims=True) / count**2
    # A root joint is in its own mean: of one alone nothing is left.
    return np.asarray(np.sqrt((1 - 2 * chosen / count) * sigma**2 + of_root))


def refuse_diverged(position: np.ndarray, confidence: np.ndarray) -> None:
    """Refuse predictions that are not finite; sigma may be unknown.

    Raises:
        InputError: if it is not.
    """
    if not (np.isfinite(position).all() and np.isfinite(confidence).all()):
        raise InputError("the model's predictions are not finite; its training has diverged")


def adult_root_depth(keypoints: Float[np.ndarray, "K 3"], camera: Camera, skeleton: Skeleton) -> float | None:
    """How far a person's root is from the camera if the limbs are of an adult's size, in millimetres.

    A joint that is seen along the ray r (r_z = 1), d behind the root, lies at r (Z + d), Z being the root's depth. A
    limb between two joints is then A Z + B with A = r_1 - r_2 and B = r_1 d_1 - r_2 d_2. The sum of the squared lengths
    of all limbs, Z² ΣA² + 2 Z ΣA·B + ΣB², is set to an adult's: Z is the greater root of this equation, and where there
    is none, because the depths alone are longer than limbs, where the sum is least.

    Args:
        keypoints: pixels of the image, and depths in millimetres relative to the root.
        camera: that took it.
        skeleton: by its names the limbs are known: thighs, shanks, upper arms and forearms.

    Returns:
        at most `FARTHEST`, but at least so that every joint is `NEAREST` away; None without limbs or finite numbers.
    """
    if not np.isfinite(keypoints).all():
        return None
    limbs = [
        (start[0], end[0], share)
        for side in ("left", "right")
        for (upper, lower), share in LIMBS.items()
        if (start := skeleton.joints_of(side, [upper])) and (end := skeleton.joints_of(side, [lower]))
    ]
    if not limbs:
        return None
    first, last, share = (np.array(column) for column in zip(*limbs, strict=True))
    depth = keypoints[:, 2] - middle_depth(keypoints, skeleton.root)
    least = float(NEAREST - depth.min())
    rays = camera.back_project(keypoints[:, :2], np.ones(len(keypoints)))
    a = rays[first] - rays[last]
    b = (rays * depth[:, None])[first] - (rays * depth[:, None])[last]
    square, mixed = float((a**2).sum()), float((a * b).sum())
    if not square > 0:  # all limbs are seen in one point
        return max(least, FARTHEST)
    rest = float((b**2).sum()) - float(((STATURE * share) ** 2).sum())
    found = (-mixed + np.sqrt(max(mixed**2 - square * rest, 0.0))) / square
    return max(least, min(float(found), FARTHEST))
