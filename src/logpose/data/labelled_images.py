"""The images of labels, and which of them the name of a file means that another program wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from logpose.core.skeletons import Skeleton

__all__ = ["LabelledImages", "parts_of_path"]


@dataclass(frozen=True)
class LabelledImages:
    """The images that predictions may be of."""

    file: Path
    """Of the labels, for messages."""
    skeleton: Skeleton
    names: Mapping[int, str]
    """Path of each image's file, by id; the file may be missing."""
    sizes: Mapping[int, tuple[Any, Any]]
    """(width, height) of each image by id, as given in the file; missing where it gives none."""
    categories: tuple[int, ...] = ()
    """Ids of the labelled categories, where the format has ids."""

    @cached_property
    def _ends(self) -> dict[str, int | None]:
        """Ids by the last parts of the paths: "b/0.jpg", "a/b/0.jpg"; None where several images end so."""
        found: dict[str, int | None] = {}
        for number, name in self.names.items():
            parts = parts_of_path(name)
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                found[end] = number if end not in found else None
        return found

    @cached_property
    def _stems(self) -> dict[str, int | None]:
        """Ids by the names of files without folder and suffix; None where several images have it."""
        found: dict[str, int | None] = {}
        for number, name in self.names.items():
            stem = PurePosixPath(parts_of_path(name)[-1]).stem
            found[stem] = number if stem not in found else None
        return found

    def find(self, name: str) -> int | None:
        """The id of the image that a name means: its path, or the last parts of it.

        Of paths that agree in the file's name alone, and not in its folder, the images are others, unless the labelled
        image is not there, so that nobody knows its folder.
        """
        parts = parts_of_path(name)
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if end in self._ends:
                number = self._ends[end]
                alike = start == 0 or len(parts) - start > 1
                return number if number is not None and (alike or not Path(self.names[number]).is_file()) else None
        return None

    def find_stem(self, stem: str) -> int | None:
        """The id of the image whose file has this name, without its suffix; None if there are several."""
        return self._stems.get(stem)


def parts_of_path(name: str) -> tuple[str, ...]:
    """The parts of a path of any system."""
    return tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in (".", "/"))
