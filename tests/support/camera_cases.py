"""A camera with a lens, people before it, and their pixels by hand."""

from __future__ import annotations

import numpy as np

from logpose.core.cameras import Camera

__all__ = ["LENS", "by_hand", "camera", "people", "turned"]

LENS = np.array([-0.29, 0.11, -0.0014, 0.0011, 0.01])
"""About that of HumanEva's first camera."""


def turned(x: float, z: float) -> np.ndarray:
    """A turn about the x axis, then the z axis, radians."""
    cx, sx, cz, sz = np.cos(x), np.sin(x), np.cos(z), np.sin(z)
    return np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])


def camera(lens: np.ndarray = LENS) -> Camera:
    """Four metres from the origin of a world whose z axis points up."""
    return Camera(
        np.array([766.0, 765.0]), np.array([300.0, 232.0]), turned(np.pi / 2, 0.1), np.array([0.1, 0.8, 4.0]), lens
    )


def people(frames: int = 60, seed: int = 0) -> np.ndarray:
    """(N, 3): joints of 15 in each frame, a metre apart, of somebody who walks about."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform([-1, -1, 0.7], [1, 1, 1.1], (frames, 1, 3))
    return (middles + rng.uniform(-0.5, 0.5, (frames, 15, 3))).reshape(-1, 3)


def by_hand(camera: Camera, world: np.ndarray) -> np.ndarray:
    """Pixels by Brown's formula, point by point (OpenCV's documentation of `projectPoints`)."""
    k1, k2, p1, p2, k3 = camera.distortion
    pixels = []
    for point in world:
        x, y, z = camera.rotation @ point + camera.translation
        a, b = x / z, y / z
        r2 = a * a + b * b
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        u = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)
        v = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b
        pixels.append([camera.focal[0] * u + camera.centre[0], camera.focal[1] * v + camera.centre[1]])
    return np.array(pixels)
