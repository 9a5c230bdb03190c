"""Poses drawn into their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from logpose.core.structures import Image
from logpose.report.draw import contact_sheet, draw_pose, enlarged
from logpose.report.page import save_image
from logpose.tasks.pose.predict import Poses

__all__ = ["overlay", "overlay_files", "plot_poses"]


def plot_poses(images: Sequence[tuple[Image, Poses]], path: str | Path, columns: int = 6, side: int = 300) -> None:
    """People on their images, each joint with the ellipse that is as likely to hold it as not (50 %).

    Args:
        images: image and the people detected in it.
        path: PNG or JPEG to write.
        columns: images in a row.
        side: longer side of each image, pixels.
    """
    drawn = [overlay(image, poses, side) for image, poses in images]
    tile = (max(d.shape[0] for d in drawn) + 4, max(d.shape[1] for d in drawn) + 4)
    save_image(contact_sheet(drawn, columns, tile), path)


def overlay(image: Image, poses: Poses, least_side: int = 384) -> Image:
    """A copy of an image, scaled up where it is small, with its people drawn in."""
    image, factor = enlarged(image, least_side)
    for person in range(len(poses)):
        # Pixel centres are whole numbers: scaling an image moves them by half a pixel of either size.
        placed = (poses.keypoints[person] + 0.5) * factor - 0.5
        draw_pose(image, poses.skeleton, placed, poses.sigma[person] * poses.radius * factor)
    return image


def overlay_files(images: Sequence[Path], folder: str | Path) -> dict[Path, Path]:
    """Where each image's overlay goes: NAME-poses.jpg, with a number where two images have the same name."""
    folder, originals = Path(folder), {image.resolve() for image in images}
    places: dict[Path, Path] = {}
    taken: set[str] = set()
    for image in images:
        name, number = f"{image.stem}-poses.jpg", 1
        while name in taken or (folder / name).resolve() in originals:
            number += 1
            name = f"{image.stem}-poses-{number}.jpg"
        taken.add(name)
        places[image] = folder / name
    return places
