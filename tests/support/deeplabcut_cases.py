"""DeepLabCut's projects, as its own code (pandas' `to_csv`) writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

SIZE = (64, 48)
Points = Mapping[tuple[str, str], Sequence[Sequence[float | None]]]
"""Of individual and body part, x and y in each image."""


def table(
    points: Points, images: Sequence[str], scorer: str = "ann", split: bool = True, coords: Sequence[str] = ("x", "y")
) -> str:
    """The text of a CSV file; `split` has the image's path in three columns, as newer versions write it."""
    several = any(individual for individual, _ in points)
    columns = [(scorer, individual, part, coordinate) for individual, part in points for coordinate in coords]
    first = [""] * (3 if split else 1)
    lines = [
        [level, *first[1:], *(column[i] for column in columns)]
        for i, level in enumerate(("scorer", "individuals", "bodyparts", "coords"))
        if several or level != "individuals"
    ]
    for i, image in enumerate(images):
        cells = ["" if value is None else str(value) for rows in points.values() for value in rows[i]]
        lines.append([*(image.split("/") if split else [image]), *cells])
    return "".join(",".join(line) + "\n" for line in lines)


def project(folder: Path, text: str, video: str = "v", scorer: str = "ann", images: int = 3) -> Path:
    """A project with the labels of a video, and its images img0.png and so on."""
    place = folder / "labeled-data" / video
    place.mkdir(parents=True, exist_ok=True)
    for i in range(images):
        cv2.imwrite(str(place / f"img{i}.png"), np.full((SIZE[1], SIZE[0], 3), 9 * i % 256, np.uint8))
    file = place / f"CollectedData_{scorer}.csv"
    file.write_text(text)
    return file


def names(count: int, video: str = "v") -> list[str]:
    return [f"labeled-data/{video}/img{i}.png" for i in range(count)]
