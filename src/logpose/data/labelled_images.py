"""The images of labels or predictions, and which of them the name of a file means that another program wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from logpose.core.errors import InputError
from logpose.core.json_files import whole
from logpose.core.skeletons import Skeleton
from logpose.data.images import SUFFIXES, image_size

__all__ = ["AnyImages", "LabelledImages", "parts_of_path"]


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

    def image_of(self, row: Mapping[str, Any], where: str) -> int | None:
        """The id of the image of a row of predictions; None if it is not labelled.

        It is the row's own `image_id` if that is known, else that of its `file_name`.

        Raises:
            InputError: if there is neither, or they mean two images.
        """
        name, number = row.get("file_name"), row.get("image_id")
        known = whole(number)
        if isinstance(number, str):  # Ultralytics has the name of the file without its suffix
            known = self.find(number) if self.find(number) is not None else self.find_stem(number)
        elif known is None and (number is not None or not isinstance(name, str)):
            got = "none" if number is None else f"{number!r:.40}"
            raise InputError(f"{where}: needs file_name, or image_id as a number or name; got {got}")
        if known is not None and known in self.names:
            listed = self.names[known]
            if isinstance(name, str) and name and parts_of_path(name)[-1:] != parts_of_path(listed)[-1:]:
                raise InputError(f"{where}: file_name is {name}, and image_id {known} is {listed} in {self.file}")
            return known
        return self.find(name) if isinstance(name, str) else None

    def size_of(self, image: int, where: str) -> tuple[float, float]:
        """Width and height of an image, that the predictions `where` need.

        Raises:
            InputError: if they are not known.
        """
        width, height = self.sizes.get(image, (None, None))
        if not all(isinstance(side, int | float) and side > 0 for side in (width, height)):
            raise InputError(f"{self.file}: image {self.names[image]} has no width and height, which {where} needs")
        return float(width), float(height)


def parts_of_path(name: str) -> tuple[str, ...]:
    """The parts of a path of any system."""
    return tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in (".", "/"))


@dataclass(frozen=True)
class AnyImages(LabelledImages):
    """Images of predictions without labels: every one counts, by its id or the name of its file.

    `file` is what has the joints, for messages; `names` and `sizes` are filled as images are met.
    """

    names: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    folder: Path | None = None
    """Of the images, for predictions that depend on their sizes."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The number of each name; below 0, as ids are not."""

    def find(self, name: str) -> int:
        """The number of a name, a new one at the first time."""
        number = self.numbers.setdefault(name, -1 - len(self.numbers))
        self.names[number] = name
        return number

    def find_stem(self, stem: str) -> int:
        """The number of the image whose file has this name, without its suffix."""
        return self.find(stem)

    def image_of(self, row: Mapping[str, Any], where: str) -> int:
        """The number of the image of a row of predictions: its `image_id`, else that of its `file_name`.

        Raises:
            InputError: if there is neither.
        """
        name, number = row.get("file_name"), row.get("image_id")
        known = whole(number)
        if known is not None:
            self.names.setdefault(known, name if isinstance(name, str) else "")
            if isinstance(name, str):
                self.numbers.setdefault(name, known)
            return known
        text = number if isinstance(number, str) else name if number is None else None
        if not isinstance(text, str):
            raise InputError(f"{where}: needs file_name, or image_id as a number or name; got {number!r:.40}")
        return self.find(text)

    def size_of(self, image: int, where: str) -> tuple[float, float]:
        """Width and height of an image, from its file.

        Raises:
            InputError: if there is no folder of images, or no such file in it.
        """
        if self.folder is None:
            raise InputError(f"{where}: has shares of its image; name the folder of the images with --images")
        if image not in self.sizes:
            stem = self.names[image]
            files = [path for suffix in SUFFIXES if (path := self.folder / f"{stem}{suffix}").is_file()]
            if len(files) != 1:
                raise InputError(f"{where}: {len(files)} images named {stem} in {self.folder}")
            self.sizes[image] = image_size(files[0])
        return self.sizes[image]
