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

from logpose.core.errors import InputError
from logpose.core.json_files import numbers, read_json, whole
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.areas import COVERED
from logpose.data.categories import skeleton_of
from logpose.data.coco_people import Labels, flags, joints_of, relative_depths, with_last_pixel
from logpose.data.image_sets import ImageList, ImageSet, LabelledImage
from logpose.data.images import check_image, coco_folder, coco_folders, is_sideways, located, size_or_fault
from logpose.data.inputs import lies_outside
from logpose.data.label_content import LabelContent
from logpose.data.label_faults import Boxes
from logpose.data.problems import FARTHEST, PeopleFile, Problem, held_out, of_part, refuse

__all__ = ["CocoKeypoints", "coco_content"]

LABELLED = "every tenth image with labels, or the last of fewer"
"""What is held out of a file that serves as both parts."""


class CocoKeypoints(PeopleFile):
    """The people of a COCO keypoint file who have labels.

    `labels` are those of another format, in place of the file's content. Crowds and people without a labelled joint are
    passed over; rows that are wrong are left out, and in `problems`. If not `need_images`, images are not looked at and
    may be missing. Other arguments, and errors, as of `open_people`; the part "val" of a single file has every tenth
    image with labels, unless its format has parts.

    Attributes:
        category: id of the category, the first of several; `category_ids` has all, `categories` their names by id.
            Unless the skeleton has categories, several are one class.
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
        like: Skeleton | None = None,
        depth: bool = False,
        need_images: bool = True,
    ) -> None:
        file = Path(file)
        self._need_images = need_images
        content = vars(labels) if labels else coco_content(file)  # not kept: that of COCO fills more than a gigabyte
        self._places, self._parts = (labels.places, labels.parts) if labels else ([], {})
        skeleton, category_ids = skeleton_of(file, content["categories"], category, like)
        if depth and len(category_ids) > 1:
            raise InputError(f"{file}: --depth takes one category at a time; choose one with --category NAME")
        rows = [row for row in content["categories"] if isinstance(row, dict)]
        self.categories = {row["id"]: str(row.get("name", "object")) for row in rows if row.get("id") in category_ids}
        rest = [str(row.get("name")) for row in rows if row.get("keypoints") and row.get("id") not in category_ids]
        folder = images or (labels.folder if labels else coco_folder(file, content["images"]))
        super().__init__(file, skeleton, folder)
        if labels:
            self.problems += labels.problems
            self.notes += labels.notes
            self.counts += labels.counts
        self.category_ids, self.category, self.depth = category_ids, category_ids[0], depth
        if like is not None and category is None and rest:
            names = ", ".join(self.categories.values())
            self.notes.append(f"{file}: people of {names} are measured, as the model predicts; not {', '.join(rest)}")
        self.unusable: list[dict[str, Any]] = []
        self.passed_over: list[dict[str, Any]] = []
        self.without_area: list[str] = []
        self.at_corner, self.without_box, self.ambiguous = 0, 0, _ambiguous(content["images"])
        self.boxes = Boxes()
        self.images = self._checked_images(content, part, images is not None)
        self._read_people(content["annotations"])
        others = self.counts["of other categories"]
        of_others = f" ({others} annotations have other category_ids)" if others else ""
        nobody = f"{file}: no labelled {self.skeleton.name}{of_part(part, LABELLED)}{of_others}"
        refuse(self.samples, self.problems, strict, nobody)
        self._read_more(content)

    def _read_more(self, content: dict[str, Any]) -> None:
        """Read what a subclass's files hold beside the people."""

    def ground_truth(self) -> dict[str, Any]:
        """This part's images and people as the COCO evaluation reads them.

        Crowds, people without labels and wrong rows are among them; detecting these is neither right nor wrong. Of
        several categories with skeletons of their own each has its joints alone, in its order; others are one.
        """
        rows = []
        for s in self.samples:
            own = self.skeleton.of(s.category_id)[1]
            triplets = np.column_stack([s.keypoints[own, :2], s.visible[own]])
            rows.append(self._truth(s.image_id, triplets, s.box, s.area, s.category_id))
        rows = [{"id": i, **row} for i, row in enumerate([*rows, *self.passed_over, *self.unusable], start=1)]
        if not self.skeleton.categories:
            rows = [row | {"category_id": self.category} for row in rows]
        every = {**self.images, **self.unlabelled}  # a detection in an image without people is a false positive
        images = [{"id": image, "file_name": path.name} for image, path in every.items()]
        categories = [{"id": self.category, "name": "object"}]
        if self.skeleton.categories:
            categories = [{"id": category.id, "name": category.name} for category in self.skeleton.categories]
        return {"images": images, "annotations": rows, "categories": categories}

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
            sample = Sample(image, box, *nothing, float(row["area"]), number, 0, category_id=row["category_id"])
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
        self, image: int, triplets: np.ndarray, box: np.ndarray, area: float, category: int, crowd: bool = False
    ) -> dict[str, Any]:
        """What the evaluation reads of an annotation."""
        return {
            "image_id": image,
            "category_id": category,
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
        count = len(self.skeleton.of(row["category_id"])[0])
        box, joints = numbers(row.get("bbox"), 4), joints_of(row.get("keypoints"), count, self.depth)
        box = np.zeros(4) if box is None else box
        triplets = np.zeros((count, 3)) if joints is None else np.nan_to_num(joints[:, [0, 1, -1]])
        area = numbers([row.get("area")], 1)
        size = float(box[2] * box[3] if area is None else area[0])
        about = row["category_id"], bool(row.get("iscrowd"))
        self.passed_over.append(self._truth(row["image_id"], triplets, box, size, *about))

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
            if not self._need_images:
                used[number] = path
            elif isinstance(size := size_or_fault(path), str):
                self.problems.append(Problem(f"{where} (id {number})", size, str(path)))
            elif fault := _size_fault(path, size, self.sizes[number]):
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
        """The rows of images of another part; without parts in the file, `held_out` ones."""
        if part is None:
            return set()
        numbers_of = [whole(row.get("id")) if isinstance(row, dict) else None for row in content["images"]]
        if self._parts:
            return {i for i, number in enumerate(numbers_of) if number is not None and self._parts.get(number) != part}
        rows = (row for row in content["annotations"] if isinstance(row, dict))
        labelled = {
            whole(row.get("image_id"))
            for row in rows
            if row.get("category_id") in self.category_ids and any(flags(row.get("keypoints"), self.depth))
        }
        # By file: a list may have a row for each person of an image, and parts must not share images.
        files = [_file_name(row) or i for i, row in enumerate(content["images"])]
        first = dict.fromkeys(file for file, number in zip(files, numbers_of, strict=True) if number in labelled)
        val = held_out([*first], [file for file in dict.fromkeys(files) if file not in first])
        return {i for i, file in enumerate(files) if (file in val) == (part == "train")}

    def _read_people(self, rows: list[Any]) -> None:
        """Sort the annotations into people, problems, and crowds and people without labels."""
        self.counts["annotations"] = len(rows)
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
            elif self._is_unlabelled(row):
                self._pass_over(row, "without labelled joints")  # its box may be anything
            elif isinstance(person := self._person(i, row, where, self.sizes[image]), Problem):
                self.problems.append(person)
                box = numbers(row.get("bbox"), 4)
                if box is not None and np.abs(box).max() <= FARTHEST and box[2:].min() > 0:
                    nothing, kind = np.zeros((len(self.skeleton.of(row["category_id"])[0]), 3)), row["category_id"]
                    self.unusable.append(self._truth(image, nothing, box, float(box[2:].prod()), kind, crowd=True))
            else:
                self.samples.append(person)
        self.counts["people"] = len(self.samples)
        self._take_notes()

    def _take_notes(self) -> None:
        """Report in a sentence each what else was made of the rows."""
        if len(self.categories) > 1 and not self.skeleton.categories:
            names = ", ".join(self.categories.values())
            self.notes.append(f"{names}: learned as one category, and AP is of all as one; --category all: of each")
        if self.depth and (lost := relative_depths(self.samples, self.skeleton)):
            self.notes.append(f"{self.file}: {lost} people whose root has no label: their depths are taken as unknown")
        if self.at_corner:
            joints = f"{self.at_corner} joints at exactly 0, 0, outside their box, with v > 0"
            self.notes.append(f"{self.file}: {joints}: taken as not labelled")
        if self.without_box:
            self.notes.append(f"{self.file}: {self.without_box} people without a bbox: it is tight around their joints")
        if note := self.boxes.note():
            self.notes.append(f"{self.file}: {note}")
        if self.without_area:
            what = f"{len(self.without_area)} people whose area is missing, or not possible for a segment in their box"
            self.notes.append(f"{what}; OKS takes {COVERED:g} of the box; the first: {self.without_area[0]}")

    def _is_unlabelled(self, row: dict[str, Any]) -> bool:
        """Whether a row's keypoints are numbers and none is labelled."""
        joints = joints_of(row.get("keypoints"), len(self.skeleton.of(row["category_id"])[0]), self.depth)
        return joints is not None and not joints[:, -1].any()

    def _person(self, i: int, row: dict[str, Any], where: str, size: tuple[Any, Any]) -> Sample | Problem:
        """The person of a row; their joints are those that their category has of the skeleton's."""
        own, numbers_of = self.skeleton.of(row["category_id"])
        labels = Labels.read(row, where, len(own), size, self.depth)
        if isinstance(labels, Problem):
            return labels
        self.at_corner += labels.at_corner
        if "bbox" in row:
            self.boxes.add(np.array(row["bbox"], dtype=np.float64), labels.keypoints[labels.visible > 0, :2], size)
        else:
            self.without_box += 1
        if not labels.has_area:
            self.without_area.append(f"{where}: area {row.get('area', 'is missing')!s:.40}")
        keypoints = np.zeros((len(self.skeleton), labels.keypoints.shape[1]))
        visible = np.zeros(len(self.skeleton), dtype=np.int64)
        keypoints[numbers_of], visible[numbers_of] = labels.keypoints, labels.visible
        return Sample(
            image=self.images[row["image_id"]],
            box=labels.box,
            keypoints=keypoints,
            visible=visible,
            area=labels.area,
            image_id=row["image_id"],
            id=i if (number := whole(row.get("id"))) is None else number,
            category_id=row["category_id"],
        )


def _file_name(row: Any) -> str | None:
    """The file of an image's row, if it has one."""
    name = row.get("file_name") if isinstance(row, dict) else None
    return name if isinstance(name, str) else None


def _ambiguous(rows: Sequence[Any]) -> set[int]:
    """Ids that several images have."""
    names: dict[int, set[str]] = {}
    for row in rows:
        name, number = _file_name(row), whole(row.get("id")) if isinstance(row, dict) else None
        if name is not None and number is not None:
            names.setdefault(number, set()).add(name)
    return {number for number, own in names.items() if len(own) > 1}


def _size_fault(path: Path, size: tuple[int, int], given: tuple[Any, Any]) -> str | None:
    """How the size of an upright image differs from the (width, height) of its row; None if it does not."""
    if given == size or not all(isinstance(side, int | float) and side > 0 for side in given):
        return None
    why = ""
    if given == size[::-1]:
        turned = "its EXIF data rotate it, so labels made before the rotation do not fit"
        why = f"; {turned}" if is_sideways(path) else "; width and height are swapped"
    return f"{given[0]:g}×{given[1]:g}, {path} has {size[0]}×{size[1]}{why}"


def coco_content(path: str | Path) -> dict[str, Any]:
    """The lists of a COCO keypoint file.

    Raises:
        InputError: if it is none.
    """
    path = Path(path)
    content = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{path}: no list {key!r}; expected a COCO annotation file")
    rows = content["annotations"]
    if rows and not any(isinstance(row, dict) and "keypoints" in row for row in rows):
        raise InputError(f"{path}: {len(rows)} annotations without keypoints")
    return content  # type: ignore[no-any-return]
