"""`logpose predict` on images of people, by pose models and by detection models."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from logpose.core.errors import InputError, NoImagesError
from logpose.core.placement import STATURE, Viewpoint
from logpose.core.progress import track
from logpose.core.samples import Image
from logpose.core.skeletons import Skeleton
from logpose.data.categories import listed_skeleton
from logpose.data.images import check_image, read_image
from logpose.data.input_notes import list_notes, score_notes
from logpose.data.inputs import Boxes, listed_category, named_images, read_boxes
from logpose.data.label_boxes import label_boxes
from logpose.data.problems import log_problems
from logpose.models import Model, PoseModel
from logpose.report.draw import contact_sheet, draw_pose, enlarged
from logpose.report.draw3d import beside
from logpose.report.page import save_image
from logpose.tasks.detection.predict import Finder
from logpose.tasks.detection.torchvision_boxes import PREFIX, TorchvisionBoxes
from logpose.tasks.options import LOOKS, PeoplePredictOptions, PosePredictOptions
from logpose.tasks.pose.boxes import category_id
from logpose.tasks.pose.evaluate import is_json
from logpose.tasks.pose.poses import Poses, coco_results, official_result, people_text, results_arrays
from logpose.tasks.pose.predict import Predictor
from logpose.tasks.scoring import without_confidence
from logpose.tasks.task import Predictions

__all__ = ["ImageInputs", "draw_people", "overlay", "plot_poses", "predict", "report_nobody"]

log = logging.getLogger("logpose")
Kept = TypeVar("Kept")

REGION = "each ellipsoid holds its joint with a probability of at least 50 %"
"""Beside the camera's axis depth moves a joint across too, so an ellipsoid along the axes is a little too large."""


class ImageInputs:
    """The images that `logpose predict` is given. Those that cannot be read are reported and left out.

    Attributes:
        images: every image that is meant, with its id; `names` has what results call it besides.
        readable: those whose file looks whole.
        lists: the inputs that are COCO files which list images.
        listed: whether all are.

    Raises:
        InputError: if an option or an input is not what it should be, or no image can be read.
    """

    def __init__(self, options: PeoplePredictOptions) -> None:
        self.options = options
        self.lists = [path for path in options.inputs if is_json(path)]
        lists = [path in self.lists for path in options.inputs]
        self.listed = all(lists)
        if options.images is not None and not any(lists):
            raise InputError("--images: no COCO file that lists images is given")
        if options.box_score is not None and not 0 <= options.box_score <= 1:
            raise InputError(f"--box-score lies in [0, 1], got {options.box_score:g}")
        try:
            self.names = named_images(options.inputs, options.images)
        except NoImagesError as error:
            raise InputError(f"{error}; {options.checkpoint} predicts on images, not on files of keypoints") from error
        self.images: dict[Path, int | str] = {image: name.number for image, name in self.names.items()}
        faults = {image: f"{image}: {fault}" for image in self.images if (fault := check_image(image))}
        rest = [image for image in self.images if image not in faults]
        if any(lists) and not rest and all(fault.endswith(": no such file") for fault in faults.values()):
            raise InputError(f"{next(iter(faults.values()))}: none of the listed images; --images names their folder")
        self.readable = _without(self.images, list(faults.values()), rest)

    def predict(
        self,
        poses_of: Callable[[Callable[[InputError], None]], Iterator[Poses]],
        model: Model,
        category: int | None = None,
    ) -> tuple[Predictions, list[Poses]]:
        """Predict, and draw the images that are asked for.

        Args:
            poses_of: given what is called for an image that cannot be decoded: the poses of the readable images.
            model: that they are of.
            category: `category_id` of the people; when None, that of the lists of images, or 1.
        """
        joints = None if model.skeleton.categories else model.skeleton.joints
        if category is None and joints is not None:
            category = listed_category(self.lists, joints)
        for note in list_notes(self.lists, joints, {*self.readable}, self.options.images):
            log.warning(note)
        drawings = _overlay_files(list(self.images), self.options.save_images) if self.options.save_images else {}
        people: list[tuple[int | str, Poses]] = []
        late: list[str] = []  # images in which only decoding shows that something is wrong
        found = poses_of(lambda error: late.append(str(error)))
        for poses in track(found, "predicting", len(self.readable), unit="images"):
            assert poses.path is not None
            if drawings:
                drawn = overlay(read_image(poses.path) if poses.image is None else poses.image, poses)
                if poses.joints_mm is not None and poses.sigma_mm is not None:
                    extent = poses.radius * poses.sigma_mm
                    drawn = beside(drawn, poses.skeleton, poses.joints_mm, extent, f"in the camera's frame\n{REGION}")
                save_image(drawn, drawings[poses.path])
            people.append((self.images[poses.path], replace(poses, image=None)))  # it is drawn by now
        _without(self.readable, late, people)
        for note in without_confidence(poses.confidence for _, poses in people):
            log.info(note)
        names = [self.names[poses.path].file_name for _, poses in people if poses.path is not None]
        rows = [
            row
            for (number, poses), name in zip(people, names, strict=True)
            for row in coco_results(poses, number, 1 if category is None else category, name)
        ]
        predictions = Predictions(
            lambda: rows,
            partial(results_arrays, people, people[0][1].skeleton if people else model.skeleton, names),
            partial(people_text, rows, people[0][1].skeleton if people else model.skeleton),
            (lambda: map(official_result, rows)) if self.listed else None,  # COCO's, whose results go to its server
        )
        return predictions, [poses for _, poses in people]


def predict(model: PoseModel, options: PosePredictOptions) -> Predictions:
    """Predictions of a pose model, in the boxes of a file, of a detector, or in whole images.

    Raises:
        InputError: if an option or an input is not what it should be.
    """
    _check_boxes(options)
    focal = options.focal
    if focal is not None and len(focal) not in (1, 2):
        raise InputError(f"--focal takes a focal length, or one along x and one along y, not {len(focal)} numbers")
    view = Viewpoint(None if focal is None else (focal[0], focal[-1]), options.centre, options.root_depth)
    predictor = Predictor(
        model, options.device, options.flip_test, scoring=options.score, nms=options.nms, view=view,
        category=options.category, looks=options.looks, **options.batches(),
    )  # fmt: skip
    detector = _detector(options)
    inputs = ImageInputs(options)
    of_boxes = [options.boxes] if options.boxes and is_json(options.boxes) else []
    _listed_categories(predictor, [*inputs.lists, *of_boxes])
    boxes, category = _boxes(options.boxes, options, inputs, predictor.skeleton) if options.boxes else ({}, None)
    _choose_category(predictor, options, boxes, category)
    pairs = ((image, detector.boxes if detector else boxes.get(image)) for image in inputs.readable)

    def poses_of(left_out: Callable[[InputError], None]) -> Iterator[Poses]:
        return predictor.many(pairs, left_out, with_images=options.save_images is not None)

    predictions, found = inputs.predict(poses_of, model, category)
    if detector is not None:
        report_nobody(found, detector.least_score)
    elif not options.boxes:
        log.info("one person was looked for in each image; several are found in boxes, by --boxes or --detector")
        if empty := [poses.path for poses in found if not len(poses)]:
            log.warning(
                "nobody was found in %d of %d images, where joints are as uncertain as if there were none; the first: "
                "%s. --looks 1 predicts all the same, and takes each image as a person's crop",
                len(empty), len(found), empty[0],
            )  # fmt: skip
    if model.dim == 3:
        _report_assumed(view, found)
    return predictions


def _detector(options: PosePredictOptions) -> Finder | TorchvisionBoxes | None:
    """The detector that the options name."""
    if options.detector is None:
        return None
    name = options.detector.as_posix()
    if f"{name}/".startswith(PREFIX) and not options.detector.exists():
        return TorchvisionBoxes(name.removeprefix(PREFIX), options.device, options.box_score)
    return Finder(options.detector, options.device, least_score=options.box_score)


def _listed_categories(predictor: Predictor, lists: Sequence[Path]) -> None:
    """Give the categories of a model of several the ids that they have in lists of images and in labels with boxes."""
    if predictor.skeleton.categories:
        category = predictor.category
        name = None if category is None else predictor.skeleton.of(category)[0].name
        predictor.skeleton = listed_skeleton(lists, predictor.skeleton)
        predictor.category = None if name is None else category_id(predictor.skeleton, name)


def _choose_category(
    predictor: Predictor, options: PosePredictOptions, boxes: Mapping[Path, Boxes], of_boxes: int | None
) -> None:
    """Take the category of boxes that have one in common; refuse to guess it."""
    several = predictor.skeleton.categories
    have_own = any(rows.shape[1] > 5 for rows in boxes.values())
    if options.category is not None and (have_own or of_boxes is not None):
        raise InputError(f"--category: {options.boxes} has the categories of its boxes; --box-category takes one")
    if not several or have_own or predictor.category is not None:
        return
    predictor.category = of_boxes
    if of_boxes is None and (not options.boxes or any(map(len, boxes.values()))):
        names = ", ".join(category.name for category in several)
        raise InputError(f"--category: this model predicts {names}; give the one that these images show")


def report_nobody(found: Sequence[Poses], least_score: float) -> None:
    """Report on stderr that nobody was detected, if so."""
    if not any(len(poses) for poses in found):
        images = f"{len(found)} images" if len(found) > 1 else "the image"
        hint = f"with a score of {least_score:g} or more; --box-score takes less likely people"
        log.warning("nobody was detected in %s, %s", images, hint)


def _check_boxes(options: PosePredictOptions) -> None:
    """Refuse options about boxes that contradict each other, or that no boxes are given for."""
    without = not (options.boxes or options.detector)
    for wrong, message in (
        (options.boxes and options.detector, "--boxes and --detector: boxes come from one of them, not from both"),
        (not options.boxes and options.box_category is not None, "--box-category: needs a file of --boxes"),
        (without and options.box_score is not None, "--box-score: needs a file of --boxes, or a --detector"),
        (options.looks < 1, f"--looks must be at least 1, got {options.looks}"),
        (not without and options.looks != LOOKS, "--looks: is of images without --boxes and --detector"),
        (without and options.nms, "--nms: chooses among several --boxes of an image, and there are none"),
    ):
        if wrong:
            raise InputError(message)


def _without(images: Sized, wrong: Sequence[str], rest: list[Kept]) -> list[Kept]:
    """What is left of some images, once those that cannot be read are reported.

    Raises:
        InputError: if that is nothing.
    """
    if wrong and not rest:
        count = f"none of the {len(images)} images can be read; the first: " if len(images) > 1 else ""
        raise InputError(f"{count}{wrong[0]}")
    if wrong:
        log.warning("left out %d of %d images; the first: %s", len(wrong), len(images), wrong[0])
    return rest


def _boxes(
    file: Path, options: PosePredictOptions, inputs: ImageInputs, skeleton: Skeleton
) -> tuple[Mapping[Path, Boxes], int | None]:
    """The boxes of a file and their category, if it has one; what is left out, and images without any, are reported."""
    known = [each.id for each in skeleton.categories]
    labels = label_boxes(file, skeleton.joints, options.box_category, known)
    found = read_boxes(file, inputs.images, options.box_score or 0.0, options.box_category, labels, known)
    log_problems(found, "boxes: ")
    for note in score_notes(file, [score for own in found.boxes.values() for score in own[:, 4].tolist()]):
        log.warning(note)
    if empty := sum(not len(found.boxes[image]) for image in inputs.readable):
        log.warning("%s: no box for %d of %d images; nothing is predicted there", file, empty, len(inputs.readable))
    return found.boxes, found.category_id


def _report_assumed(view: Viewpoint, found: Sequence[Poses]) -> None:
    """Report once what was assumed about cameras and distances."""
    if not any(len(poses) for poses in found):
        return
    if any(poses.joints_mm is None for poses in found):
        log.warning("no joints in mm: the distance of such objects is not known without --root-depth")
        return
    if "focal" in view.assumed:
        log.warning("no --focal: the focal length is taken to be the image's diagonal (53 degrees across it)")
    if "root_depth" in view.assumed:
        log.warning("no --root-depth: people are placed where their limbs are those of an adult of %g mm", STATURE)


def plot_poses(images: Sequence[tuple[Image, Poses]], path: str | Path, columns: int = 6, side: int = 300) -> None:
    """People on their images, each joint with the ellipse that is as likely to hold it as not (50 %)."""
    drawn = [overlay(image, poses, side) for image, poses in images]
    tile = (max(d.shape[0] for d in drawn) + 4, max(d.shape[1] for d in drawn) + 4)
    save_image(contact_sheet(drawn, columns, tile), path)


def overlay(image: Image, poses: Poses, least_side: int = 384) -> Image:
    """A copy of an image, scaled up where it is small, with its people drawn in."""
    image, factor = enlarged(image, least_side)
    axes = poses.radius * poses.sigma
    for person in range(len(poses)):
        own, numbers = poses.own(person)
        turned = None if poses.correlation is None else poses.correlation[person][None, numbers]
        draw_people(image, own, poses.keypoints[person][None, numbers], axes[person][None, numbers], factor, turned)
    return image


def draw_people(
    image: Image,
    skeleton: Skeleton,
    keypoints: np.ndarray,
    extent: np.ndarray,
    factor: float,
    correlation: np.ndarray | None = None,
) -> None:
    """Draw people into an image that was scaled by `factor`; `extent`: reach of ellipses along x and y before that."""
    for person, (joints, axes) in enumerate(zip(keypoints, extent, strict=True)):
        # Pixel centres are whole numbers: scaling an image moves them by half a pixel of either size.
        turned = None if correlation is None else correlation[person]
        draw_pose(image, skeleton, (joints + 0.5) * factor - 0.5, axes * factor, correlation=turned)


def _overlay_files(images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Where each image's overlay goes: NAME-poses.jpg, with a number where two images have the same name."""
    taken = {image.resolve() for image in images}
    places: dict[Path, Path] = {}
    for image in images:
        names = (f"{image.stem}-poses{f'-{number}' if number > 1 else ''}.jpg" for number in itertools.count(1))
        places[image] = next(folder / name for name in names if (folder / name).resolve() not in taken)
        taken.add(places[image].resolve())
    return places
