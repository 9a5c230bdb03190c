"""`logpose predict`: joints in photographs, or in space, by a checkpoint of any kind."""

from __future__ import annotations

import csv
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jsonargparse import Namespace
from rich.console import Console
from rich.progress import Progress

from logpose.cli.output import (
    check_output,
    check_picture_folder,
    device_named,
    json_rows,
    refuse_flags,
    write_arrays,
    write_json,
)
from logpose.core.errors import InputError, NoImagesError
from logpose.core.placement import STATURE, Viewpoint
from logpose.core.structures import Image, Scoring
from logpose.data.images import SUFFIXES, check_image, read_image
from logpose.data.inputs import Boxes, find_images, read_boxes
from logpose.data.json_files import read_json
from logpose.data.keypoint_files import LAYOUTS, KeypointFile, KeypointSequence, read_keypoints
from logpose.data.oct import check_height, is_matlab, unlabelled_scans
from logpose.models import BoundaryModel, Detector, LiftingModel, PoseModel
from logpose.report.draw import draw_boundaries, draw_pose
from logpose.report.draw3d import beside, flat_pose
from logpose.report.page import overlay, overlay_files, save_picture
from logpose.tasks.boundaries.predict import Boundaries, Segmenter, boundary_arrays, boundary_rows
from logpose.tasks.detection.predict import Finder
from logpose.tasks.lifting.predict import LiftedPoses, Lifter
from logpose.tasks.pose.predict import Poses, Predictor
from logpose.tasks.results import (
    coco_results,
    lifted_arrays,
    lifted_rows,
    lifted_text,
    official_result,
    people_text,
    results_arrays,
)
from logpose.training.checkpoint import load

__all__ = ["run_predict"]

log = logging.getLogger("logpose")
Kept = TypeVar("Kept")

OF_PICTURES = {
    "boxes": None, "detector": None, "box_score": None, "box_category": None, "image_folder": None, "nms": False,
    "score": None, "focal": None, "centre": None, "root_depth": None,
}  # fmt: skip
OF_CROPS = {
    "boxes": None, "detector": None, "box_category": None, "nms": False, "flip_test": False, "focal": None,
    "centre": None, "root_depth": None,
}  # fmt: skip
OF_KEYPOINTS = {"picture": None, "skeleton": None}
OF_SCANS = {"um_per_px": None}
"""Flags that are about one kind of input, and what they are unless given."""
DRAWN = 50
"""Most pictures of lifted poses: a video has thousands."""
REGION = "each ellipsoid holds its joint with a probability of 50 %"
REGION_OF_PHOTO = REGION.replace("of 50", "of at least 50")
"""Beside the camera's axis depth moves a joint across too, so an ellipsoid along the axes is a little too large."""


def run_predict(given: Namespace) -> int:
    """Predict, and write or print what was found; returns the exit code.

    Raises:
        InputError: if the checkpoint, an input or a flag is not what it should be.
    """
    if given.batch_size is not None and given.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {given.batch_size}")
    check_output(given.save_json)
    check_output(given.save_npz)
    check_picture_folder(given.save_images)
    model, _ = load(given.checkpoint)
    if isinstance(model, LiftingModel):
        _lift(given, model)
    elif isinstance(model, BoundaryModel):
        _segment(given, model)
    else:
        assert isinstance(model, PoseModel | Detector)
        _predict(given, model)
    for saved in filter(None, (given.save_json, given.save_npz, given.save_images)):
        print(f"wrote {saved}", file=sys.stderr)
    return 0


def _predict(given: Namespace, model: PoseModel | Detector) -> None:
    """The people in pictures."""
    looks = f"{given.checkpoint} looks at pictures"
    refuse_flags(given, OF_KEYPOINTS, f"about files of keypoints, and {looks}")
    refuse_flags(given, OF_SCANS, f"about B-scans, and {looks} of people")
    if isinstance(model, Detector):
        refuse_flags(given, OF_CROPS, f"about crops of people, and {given.checkpoint} finds them in whole pictures")
    if given.boxes and given.detector:
        raise InputError("boxes come from a file, --boxes, or from a --detector, not from both")
    if given.boxes is None and given.box_category is not None:
        raise InputError("--box-category is about a file of --boxes")
    if not (given.boxes or given.detector or isinstance(model, Detector)):
        refuse_flags(given, {"box_score": None}, "about the boxes of a file, --boxes, or of a --detector")
        refuse_flags(given, {"nms": False}, "chooses among several --boxes of a picture, and there are none")
    if given.image_folder is not None and not any(path.suffix == ".json" for path in given.inputs):
        raise InputError("--image-folder is about a JSON file that lists images, and none is given")
    if keypoints := [path for path in given.inputs if path.suffix == ".npz"]:
        raise InputError(f"{keypoints[0]}: keypoints to be lifted into space, and {looks}")
    view = _viewpoint(given)
    device = device_named(given.device)
    least = given.box_score
    if least is not None and not 0 <= least <= 1:
        raise InputError(f"--box-score lies in [0, 1], got {least:g}")
    finder = None
    if isinstance(model, Detector):
        finder = Finder(model, device, given.batch_size or 8, given.score or "box", least)
    else:
        scoring: Scoring = given.score or "product"
        predictor = Predictor(model, device, given.flip_test, given.batch_size or 64, scoring, given.nms, view)
    detector = Finder(given.detector, device, least_score=least) if given.detector else None
    try:
        images = find_images(given.inputs, given.image_folder)
    except NoImagesError as error:  # such are files of keypoints
        raise InputError(f"{error}; {looks}, and lifts no keypoints") from error
    wrong = {image: f"{image}: {fault}" for image in images if (fault := check_image(image))}
    readable = _without(images, list(wrong.values()), [image for image in images if image not in wrong])
    boxes, category = _boxes(given, images, readable) if given.boxes else ({}, 1)
    places = overlay_files(list(images), given.save_images) if given.save_images else {}
    rows: list[dict[str, Any]] = []
    people: list[tuple[int | str, Poses]] = []
    late: list[str] = []  # pictures in which only decoding shows that something is wrong
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predicting", total=len(readable))
        if finder is not None:
            found = finder.many(readable, lambda error: late.append(str(error)))
        else:
            pairs = ((image, detector.boxes if detector else boxes.get(image)) for image in readable)
            found = predictor.many(pairs, lambda error: late.append(str(error)))
        for poses in found:
            assert poses.path is not None
            rows += coco_results(poses, images[poses.path], category)
            people.append((images[poses.path], poses))
            if places:
                save_picture(_with_poses(read_image(poses.path), poses), places[poses.path])
            progress.advance(task)
    _without(readable, late, people)
    seeks = finder or detector
    if seeks is not None and not any(len(poses) for _, poses in people):
        told = f"with a score of {seeks.least_score:g} or more; --box-score takes less likely people"
        log.warning("nobody was found in %s, %s", f"{len(people)} pictures" if len(people) > 1 else "the picture", told)
    if model.dim == 3:
        _say_assumed(view, [poses for _, poses in people])
    if given.save_npz:
        write_arrays(given.save_npz, results_arrays(people, model.skeleton))
    if given.save_json:
        listed = all(path.suffix == ".json" for path in given.inputs)  # COCO's, whose results go to its server
        write_json(given.save_json, map(official_result, rows) if listed else rows)
    if given.json:
        _print_json(rows)
    elif not (given.save_json or given.save_npz or given.save_images):
        _print_lines(people_text(rows, model.skeleton.joints))


def _without(pictures: Sized, wrong: Sequence[str], rest: list[Kept]) -> list[Kept]:
    """What is left of some pictures, once those that cannot be read are told.

    Raises:
        InputError: if that is nothing.
    """
    if wrong and not rest:
        count = f"none of the {len(pictures)} pictures can be read; the first: " if len(pictures) > 1 else ""
        raise InputError(f"{count}{wrong[0]}")
    if wrong:
        log.warning("left out %d of %d pictures; the first: %s", len(wrong), len(pictures), wrong[0])
    return rest


def _boxes(
    given: Namespace, images: Mapping[Path, int | str], readable: Sequence[Path]
) -> tuple[dict[Path, Boxes], int]:
    """The boxes of a file and their category, once what it has too many and too few is told."""
    boxes, problems, category = read_boxes(given.boxes, images, given.box_score or 0.0, given.box_category)
    for kind, count in Counter(problem.kind for problem in problems).items():
        first = next(problem for problem in problems if problem.kind == kind)
        log.warning("left out %d %s %s; the first: %s", count, "box" if count == 1 else "boxes", kind, first)
    if empty := sum(not len(boxes[image]) for image in readable):
        log.warning("%s: no box for %d of %d pictures; nobody is looked for in them", given.boxes, empty, len(readable))
    return boxes, category


def _viewpoint(given: Namespace) -> Viewpoint:
    """What the flags tell of the camera."""
    focal = given.focal
    if focal is not None and len(focal) not in (1, 2):
        raise InputError(f"--focal takes a focal length, or one along x and one along y, not {len(focal)} numbers")
    return Viewpoint(None if focal is None else (focal[0], focal[-1]), given.centre, given.root_depth)


def _say_assumed(view: Viewpoint, found: Sequence[Poses]) -> None:
    """Tell once what was assumed about cameras and distances."""
    if not any(len(poses) for poses in found):
        return
    if any(poses.joints_mm is None for poses in found):
        log.warning("no joints in mm: how far away such things are is told by nothing but --root-depth")
        return
    if "focal" in view.assumed:
        log.warning("no --focal: the focal length is taken to be the picture's diagonal (53 degrees across it)")
    if "root_depth" in view.assumed:
        log.warning("no --root-depth: people are put where their limbs are those of an adult of %g mm", STATURE)


def _with_poses(image: Image, poses: Poses) -> Image:
    """A picture with its people drawn in; where they are placed in space, that beside it."""
    drawn = overlay(image, poses)
    if poses.joints_mm is None or poses.sigma_mm is None:
        return drawn
    return beside(
        drawn, poses.skeleton, poses.joints_mm, poses.radius * poses.sigma_mm,
        f"in the camera's frame\n{REGION_OF_PHOTO}",
    )  # fmt: skip


def _lift(given: Namespace, model: LiftingModel) -> None:
    """The poses of files of keypoints."""
    refuse_flags(given, OF_PICTURES, f"about people in pictures, and {given.checkpoint} lifts keypoints into space")
    refuse_flags(given, OF_SCANS, f"about B-scans, and {given.checkpoint} lifts keypoints into space")
    device = device_named(given.device)
    contents = {
        file: read_keypoints(file, model.skeleton, given.picture, given.skeleton)
        for file in dict.fromkeys(given.inputs)
    }
    _check_told(given, contents, model)
    for file, content in contents.items():  # once all can be read
        _say_lifted(file, content, model)
    sequences = [(str(file), sequence) for file, content in contents.items() for sequence in content.sequences]
    lifter = Lifter(model, device, given.flip_test, given.batch_size or 1024)
    found: list[tuple[str, KeypointSequence, LiftedPoses]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("lifting", total=sum(len(sequence) for _, sequence in sequences))
        lifted = lifter.many((sequence.keypoints, sequence.size) for _, sequence in sequences)
        for (name, sequence), poses in zip(sequences, lifted, strict=True):
            found.append((name, sequence, poses))
            progress.advance(task, len(poses))
    if given.save_npz:
        write_arrays(given.save_npz, lifted_arrays(found, model.skeleton))
    if given.save_json:
        write_json(given.save_json, _rows(found))
    if given.save_images:
        _draw_lifted(found, given.save_images)
    if given.json:
        _print_json(_rows(found))
    elif not (given.save_json or given.save_npz or given.save_images):
        _print_lines(lifted_text(_rows(found), model.skeleton.joints))


def _check_told(given: Namespace, contents: Mapping[Path, KeypointFile], model: LiftingModel) -> None:
    """Refuse --picture and --skeleton where the files themselves tell something else.

    They are about files that do not tell: where there is one, the others need not agree.
    """
    sizes = [sequence.size for content in contents.values() for sequence in content.sequences]
    if given.picture is not None and given.picture not in sizes:
        told, flag = ("{1} pixels wide and {0} high".format(*size) for size in (sizes[0], given.picture))
        raise InputError(f"--picture: {given.inputs[0]} tells that its picture is {told}, not {flag}")
    if given.skeleton is None:
        return
    meant = [model.skeleton] if given.skeleton == "model" else LAYOUTS[given.skeleton]
    named = [_named_joints(file) for file in contents]
    if all(joints and not any(joints == set(skeleton.joints) for skeleton in meant) for joints in named):
        raise InputError(f"--skeleton {given.skeleton}: {given.inputs[0]} names its joints, and they are others")


def _named_joints(file: Path) -> set[str]:
    """The joints that a file of annotations names; nothing of other files."""
    content = read_json(file) if file.suffix == ".json" else None
    categories = content["categories"] if isinstance(content, dict) else []
    return {str(joint) for row in categories if isinstance(row, dict) for joint in row.get("keypoints") or ()}


def _rows(found: Iterable[tuple[str, KeypointSequence, LiftedPoses]]) -> Iterator[dict[str, Any]]:
    """Every pose of all sequences as plain values, made as they are asked for."""
    return (row for each in found for row in lifted_rows(each))


def _say_lifted(file: Path, content: KeypointFile, model: LiftingModel) -> None:
    """Tell what was left out of a file, and what was made of it."""
    if content.problems:
        count, first = len(content.problems), content.problems[0]
        log.warning("%s: left out %d of its poses or sequences; the first: %s", file, count, first)
    if content.derived:
        told = "; ".join(f"{joint} of {others}" for joint, others in content.derived.items())
        log.warning("%s: joints that it does not have are taken as the middle of others: %s", file, told)
    if content.guessed:
        told = "%s: does not say whose joints it has; by their number they are taken as --skeleton %s says"
        log.warning(told, file, content.guessed)
    if model.frames > 1 and all(len(sequence) == 1 for sequence in content.sequences):
        log.warning("%s: its poses are lifted one by one, and the model is made for %s", file, model.input_spec)


def _draw_lifted(found: Sequence[tuple[str, KeypointSequence, LiftedPoses]], folder: Path) -> None:
    """Keypoints and, beside them, the pose in space: of each, or of `DRAWN` evenly over all."""
    each = [(i, frame) for i, (_, _, poses) in enumerate(found) for frame in range(len(poses))]
    chosen = np.unique(np.linspace(0, len(each) - 1, min(DRAWN, len(each))).round().astype(int)).tolist()
    if len(chosen) < len(each):
        log.warning("%s: pictures of %d of the %d poses, evenly over all", folder, len(chosen), len(each))
    stems = Counter(Path(name).stem for name in dict.fromkeys(name for name, _, _ in found))
    files = list(dict.fromkeys(name for name, _, _ in found))
    for number in chosen:
        i, frame = each[number]
        name, sequence, poses = found[i]
        stem = Path(name).stem + (f"-{files.index(name)}" if stems[Path(name).stem] > 1 else "")
        flat, factor = flat_pose(sequence.size)
        draw_pose(flat, poses.skeleton, (sequence.keypoints[frame] + 0.5) * factor - 0.5)
        joints, spread = poses.joints_mm[[frame]], poses.radius * poses.sigma_mm[[frame]]
        title = f"{sequence.name}, frame {frame}\nrelative to the root; {REGION}"
        save_picture(beside(flat, poses.skeleton, joints, spread, title), folder / f"{stem}-pose-{number:06d}.png")


def _segment(given: Namespace, model: BoundaryModel) -> None:
    """The boundaries of B-scans."""
    finds = f"{given.checkpoint} finds boundaries in B-scans"
    refuse_flags(given, OF_PICTURES, f"about people in pictures, and {finds}")
    refuse_flags(given, OF_KEYPOINTS, f"about files of keypoints, and {finds}")
    check_height(given.um_per_px, "--um-per-px")
    files = [file for path in dict.fromkeys(given.inputs) for file in _scan_files(path)]
    for file in files:
        unlabelled_scans(file, given.um_per_px)  # what is wrong with one is told before the first result is written
    segmenter = Segmenter(model, device_named(given.device), given.flip_test, given.batch_size or 8)
    found: list[tuple[Path, str, Boundaries]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("finding boundaries", total=None)
        for number, file in enumerate(files):
            for scan in unlabelled_scans(file, given.um_per_px):
                name, boundaries = scan.name, segmenter(scan)
                found.append((file, name, boundaries))
                if given.save_images:
                    seen = np.repeat(scan.image[..., None], 3, axis=2)
                    drawn = draw_boundaries(seen, boundaries.rows, boundaries.band, names=boundaries.skeleton.joints)
                    twice = any(other == name for _, other, _ in found[:-1])
                    save_picture(drawn, given.save_images / f"{name}-boundaries{f'-{number}' if twice else ''}.png")
                progress.advance(task)
    rows = [boundary_rows(file.name, name, boundaries) for file, name, boundaries in found]
    if given.save_npz:
        write_arrays(given.save_npz, boundary_arrays(found))
    if given.save_json:
        write_json(given.save_json, rows)
    if given.json:
        _print_json(rows)
    elif not (given.save_json or given.save_npz or given.save_images):
        _print_boundaries(found)


def _scan_files(path: Path) -> list[Path]:
    """A file, or the files of B-scans in a folder."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if is_matlab(file) or file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{path}: holds no .mat file and no picture")
    return files


def _print_boundaries(found: Sequence[tuple[Path, str, Boundaries]]) -> None:
    """Boundaries as CSV: a line for each column of each scan."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    for i, (file, name, boundaries) in enumerate(found):
        if i == 0:
            joints = boundaries.skeleton.joints
            of_each = [f"{what} {joint}" for what in ("sigma", "band90") for joint in joints]
            table.writerow(["file", "scan", "column", *joints, *of_each])
        for column, numbers in enumerate(np.concatenate([boundaries.rows, boundaries.sigma, boundaries.band]).T):
            table.writerow([file.name, name, column, *("" if np.isnan(n) else f"{n:.3f}" for n in numbers)])


def _print_json(rows: Iterable[Any]) -> None:
    for text in json_rows(rows):
        sys.stdout.write(text)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
