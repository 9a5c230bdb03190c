"""COCO keypoint files: labelled people with any skeleton, checked row by row before training.

The format is that of https://cocodataset.org (`images`, `annotations`, `categories`; keypoints as x, y, v triplets).
Which rows are trained on is decided as in the paper's released code (see `_box`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Sample
from logpose.data.areas import COVERED, segment_area
from logpose.data.image_sets import ImageList, ImageSet, LabelledImage
from logpose.data.images import check_image, coco_folder, coco_folders, image_size, located
from logpose.data.inputs import lies_outside
from logpose.data.json_files import numbers, read_json, whole
from logpose.data.label_content import LabelContent
from logpose.data.label_faults import are_relative, at_corner
from logpose.data.problems import FARTHEST, PeopleFile, Problem, in_part, of_part, refuse

__all__ = ["CocoKeypoints", "chosen_categories", "with_last_pixel"]

LAST_PIXEL = 1
"""Pixels by which a sample's box is narrower and lower than the file's: it ends at the centre of its last pixel, as in
the released code (`_box`; `with_last_pixel` gives the file's extent)."""


LABELLED = "every tenth image with labels"
"""What is held out of a file that serves as both parts."""


class CocoKeypoints(PeopleFile):
    """The people of a COCO keypoint file who have labels.

    `labels` are those of another format, in place of the file's content. Crowds and people without a labelled joint are
    passed over; rows that are wrong are left out, and in `problems`. Other arguments, and errors, as of `open_people`;
    the part "val" of a single file has every tenth image with labels, unless its format has parts.

    Attributes:
        category: id of the category, the first of several; `category_ids` has all.
        images: files of the images with labelled people, by id; `unlabelled` has those of images without annotations.
        sizes: (width, height) of every image, as the file has them.
        passed_over: crowds and people without labelled joints, as COCO annotations.
        unusable: of `problems` the boxes that can be read, as crowds: people whose labels cannot be used.
    """

    def __init__(
        self,
        file: str | Path,
        images: str | Path | None = None,
        strict: bool = False,
        part: str | None = None,
        category: str | None = None,
        labels: LabelContent | None = None,
    ) -> None:
        file = Path(file)
        content = vars(labels) if labels else _coco_content(file)  # not kept: that of COCO fills more than a gigabyte
        self._places, self._parts = (labels.places, labels.parts) if labels else ([], {})
        named = chosen_categories(file, content["categories"], category)
        for row in named:
            if whole(row.get("id")) is None:
                raise InputError(f"{file}: category id must be an integer, got {row.get('id')!r:.40}")
        try:
            skeleton = Skeleton.from_category(named[0])
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
        folder = images or (labels.folder if labels else coco_folder(file, content["images"]))
        super().__init__(file, skeleton, folder)
        if labels:
            self.problems += labels.problems
            self.notes += labels.notes
            self.counts += labels.counts
        self.category_ids: tuple[int, ...] = tuple(row["id"] for row in named)
        self.category = self.category_ids[0]
        self.unusable: list[dict[str, Any]] = []
        self.passed_over: list[dict[str, Any]] = []
        self.without_area: list[str] = []
        self.at_corner, self.ambiguous = 0, _ambiguous(content["images"])
        self.images = self._checked_images(content, part, images is not None)
        self._read_people(content["annotations"])
        refuse(
            self.samples, self.problems, strict, f"{file}: no labelled {self.skeleton.name}{of_part(part, LABELLED)}"
        )
        self._read_more(content)

    def _read_more(self, content: dict[str, Any]) -> None:
        """Read what a subclass's files hold beside the people."""

    def ground_truth(self) -> dict[str, Any]:
        """This part's images and people as the COCO evaluation reads them.

        Crowds, people without labels and wrong rows are among them; detecting these is neither right nor wrong.
        """
        rows = [self._truth(s.image_id, np.column_stack([s.keypoints, s.visible]), s.box, s.area) for s in self.samples]
        rows = [{"id": i, **row} for i, row in enumerate([*rows, *self.passed_over, *self.unusable], start=1)]
        every = {**self.images, **self.unlabelled}  # a detection in an image without people is a false positive
        images = [{"id": image, "file_name": path.name} for image, path in every.items()]
        return {"images": images, "annotations": rows, "categories": [{"id": self.category, "name": "object"}]}

    def whole_images(self) -> ImageSet:
        """All images of this part, also those without people, each with all its people and crowds."""
        problems = list(self.problems)
        images: dict[int, tuple[Path, list[Sample], list[Sample]]] = {}
        for number, path in (self.images | self.unlabelled).items():
            # The reader checks only the files of labelled people.
            if number in self.unlabelled and (fault := check_image(path)):
                problems.append(Problem(f"{self.file}: image id {number}", fault, str(path)))
            else:
                images[number] = path, [], []
        for sample in self.samples:  # boxes of crops end with their last pixel's centre
            images[sample.image_id][1].append(replace(sample, box=with_last_pixel(sample.box)))
        nothing = np.zeros((len(self.skeleton), 2)), np.zeros(len(self.skeleton), dtype=np.int64)
        for row in (*self.passed_over, *self.unusable):
            number, size = row["image_id"], self.sizes[row["image_id"]]
            image, people, ignored = images[number]
            box = np.array(row["bbox"], dtype=np.float64)
            sample = Sample(image, box, *nothing, float(row["area"]), number, 0)
            is_box = np.isfinite(box).all() and np.abs(box).max() <= FARTHEST and box[2:].min() > 0
            known = all(isinstance(side, int | float) and side > 0 for side in size)
            if row["iscrowd"]:
                ignored.append(sample)
            elif is_box and not (known and lies_outside(box.tolist(), size)):
                people.append(sample)
            else:
                where = f"{self.file}: image id {number}"
                problems.append(Problem(where, "bbox of a person without labels is not valid", f"{row['bbox']}"))
        listed = [LabelledImage(path, number, tuple(own), tuple(rest)) for number, (path, own, rest) in images.items()]
        return ImageList(self.skeleton, listed, problems, self.notes)

    def _truth(
        self, image: int, triplets: np.ndarray, box: Float[np.ndarray, "4"], area: float, crowd: bool = False
    ) -> dict[str, Any]:
        """What the evaluation reads of an annotation."""
        return {
            "image_id": image,
            "category_id": self.category,
            "iscrowd": int(crowd),
            "keypoints": triplets.ravel().tolist(),
            "num_keypoints": int((triplets.reshape(-1, 3)[:, 2] > 0).sum()),
            "bbox": box.tolist(),
            "area": area,
        }

    def _pass_over(self, row: dict[str, Any], reason: str) -> None:
        """Count a crowd or a person without labelled joints; the evaluation reads it if its image is of this part."""
        self.counts[reason] += 1
        if whole(row.get("image_id")) not in self.images:
            return
        box, keypoints = numbers(row.get("bbox"), 4), numbers(row.get("keypoints"), 3 * len(self.skeleton))
        box = np.zeros(4) if box is None else box
        keypoints = np.zeros(3 * len(self.skeleton)) if keypoints is None else np.nan_to_num(keypoints)
        area = numbers([row.get("area")], 1)
        size = float(box[2] * box[3] if area is None else area[0])
        self.passed_over.append(self._truth(row["image_id"], keypoints, box, size, bool(row.get("iscrowd"))))

    def _checked_images(self, content: dict[str, Any], part: str | None, named: bool) -> dict[int, Path]:
        """Files of the images that can be used, by id; others become problems if they have annotations."""
        wanted = {whole(row.get("image_id")) for row in content["annotations"] if isinstance(row, dict)}
        places = {name: located(self.image_folder, name, named) for name in map(_file_name, content["images"]) if name}
        sharing = Counter(path for name, path in places.items() if path != self.image_folder / name)
        elsewhere = self._of_other_parts(content, part)
        used: dict[int, Path] = {}
        self.unlabelled: dict[int, Path] = {}  # images of this part without an annotation; their files are not checked
        self.sizes: dict[int, tuple[Any, Any]] = {}  # (width, height) of every image in the file, as given there
        self.counts["images"] = len(content["images"])
        for i, row in enumerate(content["images"]):
            where = f"{self.file}: image {i}"
            number = whole(row.get("id")) if isinstance(row, dict) else None
            if number is None or not isinstance(row.get("file_name"), str):
                self.problems.append(Problem(where, "needs an integer id and a file_name"))
                continue
            if number in self.ambiguous:
                self.problems.append(Problem(where, "id of several images", f"id {number}"))
                continue
            if number in self.sizes:
                self.problems.append(Problem(where, "duplicate id", f"id {number}"))
                continue
            self.sizes[number] = row.get("width"), row.get("height")
            if i in elsewhere:
                continue
            path = places[row["file_name"]]
            if sharing[path] > 1:
                self.problems.append(Problem(where, "file_name fits the file of another image", row["file_name"]))
                continue
            if number not in wanted:
                self.unlabelled[number] = path
                continue
            if fault := check_image(path):
                self.problems.append(Problem(f"{where} (id {number})", fault, str(path)))
            elif fault := _size_fault(path, self.sizes[number]):
                self.problems.append(Problem(f"{where} (id {number})", "width and height are not the image's", fault))
            else:
                used[number] = path
        self.counts["images used"] = len(used)
        gone = [problem for problem in self.problems if problem.kind == "no such file"]
        if gone and not used:
            folders = [self.image_folder] if named else coco_folders(self.file)
            tried = ", ".join(str(folder) for folder in folders)
            raise InputError(f"{gone[0]}: none of the images is in {tried}; --images names another folder")
        return used

    def _of_other_parts(self, content: dict[str, Any], part: str | None) -> set[int]:
        """The rows of images of another part; in a file without parts every tenth with labels is held out."""
        if part is None:
            return set()
        numbers_of = [whole(row.get("id")) if isinstance(row, dict) else None for row in content["images"]]
        if self._parts:
            return {i for i, number in enumerate(numbers_of) if number is not None and self._parts.get(number) != part}
        rows = (row for row in content["annotations"] if isinstance(row, dict))
        labelled = {
            whole(row.get("image_id"))
            for row in rows
            if row.get("category_id") in self.category_ids and any(_flags(row.get("keypoints")))
        }
        first = [i for i, number in enumerate(numbers_of) if number in labelled]
        others = [i for i, number in enumerate(numbers_of) if number not in labelled]
        return {i for rows in (first, others) for at, i in enumerate(rows) if not in_part(at, part)}

    def _read_people(self, rows: list[Any]) -> None:
        """Sort the annotations into people, problems, and crowds and people without labels."""
        self.counts["annotations"], wanted = len(rows), 3 * len(self.skeleton)
        for i, row in enumerate(rows):
            if not isinstance(row, dict):
                self.problems.append(Problem(f"{self.file}: annotation {i}", "not a JSON object"))
                continue
            where = f"{self.file}: annotation {i}" + (f" (id {row['id']})" if "id" in row else "")
            where = self._places[i] if self._places else where
            image = whole(row.get("image_id"))
            if row.get("category_id") not in self.category_ids:
                self.counts["of other categories"] += 1
            elif row.get("iscrowd", 0) not in (0, 1):  # true and false are these too
                self.problems.append(Problem(where, "iscrowd must be 0 or 1", f"got {row['iscrowd']!r:.40}"))
            elif row.get("iscrowd"):
                self._pass_over(row, "crowds")
            elif image in self.ambiguous:
                self.problems.append(Problem(where, "image_id of several images", f"image_id {image}"))
            elif image not in self.sizes:
                got = f"image_id {row.get('image_id')}"
                self.problems.append(Problem(where, "no image with this image_id", got))
            elif image not in self.images:
                continue  # the image is of the other part, or among the problems already
            elif (values := numbers(row.get("keypoints"), wanted)) is not None and not values[2::3].any():
                self._pass_over(row, "without labelled joints")  # its box may be anything
            elif isinstance(person := self._person(i, row, where, self.sizes[image]), Problem):
                self.problems.append(person)
                box = numbers(row.get("bbox"), 4)
                if box is not None and np.abs(box).max() <= FARTHEST and box[2:].min() > 0:
                    nothing = np.zeros((len(self.skeleton), 3))
                    self.unusable.append(self._truth(row["image_id"], nothing, box, float(box[2:].prod()), crowd=True))
            else:
                self.samples.append(person)
        self.counts["people"] = len(self.samples)
        if self.at_corner:
            joints = f"{self.at_corner} joints at exactly 0, 0, outside their box, with v > 0"
            self.notes.append(f"{self.file}: {joints}: taken as not labelled")
        if self.without_area:
            what = f"{len(self.without_area)} people whose area is missing, or not possible for a segment in their box"
            self.notes.append(f"{what}; OKS takes {COVERED:g} of the box; the first: {self.without_area[0]}")

    def _person(self, i: int, row: dict[str, Any], where: str, size: tuple[Any, Any]) -> Sample | Problem:
        triplets, wanted = row.get("keypoints"), 3 * len(self.skeleton)
        if not isinstance(triplets, list):
            return Problem(where, "no keypoints")
        if len(triplets) != wanted:
            kind = f"keypoints must have {wanted} numbers ({wanted // 3} joints × 3)"
            return Problem(where, kind, f"got {len(triplets)}")
        values, box = numbers(triplets, wanted), numbers(row.get("bbox"), 4)
        if values is None:
            return Problem(where, "keypoints must be numbers")
        joints = values.reshape(-1, 3)
        visible = joints[:, 2]
        if not np.isfinite(joints[(visible != 0)]).all():
            return Problem(where, "keypoints must be finite")
        if np.abs(joints[visible != 0]).max(initial=0) > FARTHEST:
            return Problem(where, f"keypoints beyond ±{FARTHEST:g} pixels")
        if not np.isin(visible, (0, 1, 2)).all():
            return Problem(where, "visibility flags must be 0, 1 or 2", f"got {sorted(set(visible) - {0, 1, 2})[0]:g}")
        if box is None or not np.isfinite(box).all() or np.abs(box).max() > FARTHEST:
            return Problem(where, "bbox must be four finite numbers x, y, width, height")
        if box[2] <= 0 or box[3] <= 0:
            return Problem(where, "bbox has no area", f"{[round(float(v), 2) for v in box]}")
        cleaned = _box(box, size)
        if cleaned is None:
            kind = "bbox of a pixel or less" if min(box[2:]) <= 1 else "bbox outside the image"
            hint = " (relative coordinates? expected pixels)" if np.abs(box).max() <= 1 else ""
            return Problem(where, kind + hint, f"{[round(float(v), 2) for v in box]}")
        if are_relative(joints[visible > 0, :2], box):
            kind = "keypoints within a pixel of the corner (relative coordinates? expected pixels)"
            return Problem(where, kind, f"the first labelled {joints[visible > 0, :2][0].tolist()}")
        if (corner := at_corner(joints, box)).any():
            visible = np.where(corner, 0, visible)
            if not visible.any():
                return Problem(where, "the only labelled joint is at 0, 0, outside its box")
            self.at_corner += int(corner.sum())
        area, is_given = segment_area(row.get("area"), with_last_pixel(cleaned))
        if not is_given:
            self.without_area.append(f"{where}: area {row.get('area', 'is missing')!s:.40}")
        return Sample(
            image=self.images[row["image_id"]],
            box=cleaned,
            keypoints=np.where(visible[:, None] > 0, joints[:, :2], 0),
            visible=visible.astype(np.int64),
            area=area,
            image_id=row["image_id"],
            id=i if (number := whole(row.get("id"))) is None else number,
            category_id=row["category_id"],
        )


def _file_name(row: Any) -> str | None:
    """The file of an image's row, if it has one."""
    name = row.get("file_name") if isinstance(row, dict) else None
    return name if isinstance(name, str) else None


def _flags(keypoints: Any) -> list[Any]:
    """The visibility flags of triplets."""
    return keypoints[2::3] if isinstance(keypoints, list) else []


def _ambiguous(rows: Sequence[Any]) -> set[int]:
    """Ids that several images have."""
    names: dict[int, set[str]] = {}
    for row in rows:
        name, number = _file_name(row), whole(row.get("id")) if isinstance(row, dict) else None
        if name is not None and number is not None:
            names.setdefault(number, set()).add(name)
    return {number for number, own in names.items() if len(own) > 1}


def _box(box: Float[np.ndarray, "4"], size: tuple[Any, Any]) -> Float[np.ndarray, "4"] | None:
    """The box clipped to an image of (width, height), where known; None if nothing is left.

    Its far corner is x + w - 1, as in the released code.
    """
    x, y = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = box[0] + max(box[2] - LAST_PIXEL, 0), box[1] + max(box[3] - LAST_PIXEL, 0)
    if all(isinstance(side, int | float) and side > 0 for side in size):
        right, bottom = min(size[0] - 1, right), min(size[1] - 1, bottom)
    return np.array([x, y, right - x, bottom - y]) if right > x and bottom > y else None


def with_last_pixel(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """The whole extent of a person, of the box of a `CocoKeypoints` sample, which ends at its last pixel's centre."""
    return np.asarray(box + np.array([0, 0, LAST_PIXEL, LAST_PIXEL]))


def _size_fault(path: Path, given: tuple[Any, Any]) -> str | None:
    """How the size of an upright image differs from the (width, height) of its row; None if it does not."""
    size = image_size(path)
    if given == size or not all(isinstance(side, int | float) and side > 0 for side in given):
        return None
    turned = "; its EXIF data rotate it, so labels made before the rotation do not fit" if given == size[::-1] else ""
    return f"{given[0]:g}×{given[1]:g}, {path} has {size[0]}×{size[1]}{turned}"


def _coco_content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{path}: no list {key!r}; expected a COCO annotation file")
    rows = content["annotations"]
    if rows and not any(isinstance(row, dict) and "keypoints" in row for row in rows):
        raise InputError(f"{path}: {len(rows)} annotations without keypoints")
    return content  # type: ignore[no-any-return]


def chosen_categories(path: str | Path, categories: Sequence[Any], wanted: str | None = None) -> list[dict[str, Any]]:
    """The categories of a file that name joints: one, or several with the same joints.

    Animals often have a category for each species and one list of joints for all: they are trained as one class.
    `wanted` is the name of the only one to take.

    Raises:
        InputError: if none has joints or the name wanted, or several have different ones.
    """
    named = [row for row in categories if isinstance(row, dict) and row.get("keypoints")]
    names = ", ".join(str(row.get("name")) for row in named)
    if not named:
        raise InputError(f"{path}: no category lists keypoints")
    if wanted is not None:
        named = [row for row in named if row.get("name") == wanted]
        if not named:
            raise InputError(f"{path}: no category {wanted!r} with keypoints; choose from {names}")
    if any(row["keypoints"] != named[0]["keypoints"] for row in named):
        raise InputError(f"{path}: categories with different keypoints ({names}); choose one with --category NAME")
    return named
