"""`logpose inspect`: what is in a data set, and what is wrong with it, before anything is learned from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.geometry import MM
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Image, Sample
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.data.flattening import cleaned, flatten
from logpose.data.lifting import LiftingPoses, open_poses
from logpose.data.oct import LabelledScans, check_height, holds_scans, open_scans
from logpose.data.problems import Problem
from logpose.data.scans import Scan
from logpose.data.transforms import CropTransform
from logpose.losses import LikelihoodLoss
from logpose.models import PoseModel
from logpose.report.draw import around_labels, contact_sheet, draw_boundaries, draw_pose, enlarged
from logpose.report.draw3d import beside, flat_pose
from logpose.report.page import save_picture
from logpose.tasks.pose.evaluate import check_skeletons, evaluate
from logpose.training.checkpoint import load_of_crops

__all__ = ["inspect_data", "tell"]

SHOWN = 30  # people on a contact sheet
TILE = 220  # pixels of each
SHOWN_POSES, POSE_TILE = 8, 400  # poses to be lifted, and pixels of each's height
SHOWN_SCANS, SCAN_TILE = 12, (300, 760)  # B-scans, and height and width of each
LISTED = 20  # wrong rows told one by one


def inspect_data(
    data: str | Path,
    images: str | Path | None,
    out: str | Path,
    model: str | Path | None = None,
    device: str = "cpu",
    category: str | None = None,
    grader: int | None = None,
    um_per_px: float | None = None,
) -> dict[str, dict[str, Any]]:
    """Counts, skeleton, label problems and a contact sheet of every part of a data set.

    Args:
        data: annotation file, or a folder as `logpose train` takes it; or a `data_3d_NAME.npz` of poses to be lifted.
        images: folder of the images, where it is not in the usual place.
        out: folder that the contact sheets go to.
        model: a checkpoint; with it, the labels that its density finds least likely are listed and shown.
        device: where the model predicts.
        category: of a COCO file in which several categories have joints of their own, the name of one.
        grader: of B-scans, whose labels; the first's unless given.
        um_per_px: of B-scans, height of a pixel in micrometres; what the file says unless given.

    Returns:
        for each annotation file, what was found, in plain values.

    Raises:
        InputError: if the data cannot be read at all.
    """
    data = Path(data)
    images = None if images is None else Path(images)
    out = Path(out)
    model = None if model is None else Path(model)
    if data.suffix == ".npz":
        if any(flag is not None for flag in (images, model, category, grader, um_per_px)):
            raise InputError(f"{data}: poses to be lifted, and --images, --model, --category, … are about pictures")
        return {str(data): _of_poses(open_poses(data), out / f"{data.stem}.jpg")}
    if holds_scans(data):
        if any(flag is not None for flag in (images, model, category)):
            raise InputError(f"{data}: B-scans, and --images, --model and --category are about people in pictures")
        check_height(um_per_px, "--um-per-px")
        return {str(data): _of_scans(open_scans(data, grader or 1, um_per_px), out / f"{data.resolve().stem}.jpg")}
    if grader is not None or um_per_px is not None:
        raise InputError(f"{data}: no B-scans, and --grader and --um-per-px are about those")
    found = {}
    parts = {
        file: open_people(file, images, category=category) for file in dict.fromkeys(annotation_files(data).values())
    }
    trained, loss = (None, None) if model is None else load_of_crops(model)
    if model is not None and trained is not None:  # whatever is wrong with it is said before anything is written
        if loss is None:
            raise InputError(
                f"{model}: holds no density of errors: heatmaps claim none, a loss of one's own is not kept"
            )
        for people in parts.values():
            check_skeletons(model, trained, people)
    for file, people in parts.items():
        sheet = out / f"{file.stem}.jpg"
        save_picture(_sheet(people), sheet)
        found[str(file)] = {
            **_summary(people),
            "contact_sheet": str(sheet),
        }
        if trained is not None and loss is not None:
            unlikely, rows = _unlikely(people, trained, loss, device)
            sheet = out / f"{file.stem}-unlikely.jpg"
            save_picture(_sheet(people, rows), sheet)
            found[str(file)] |= {"unlikely labels": unlikely, "unlikely_sheet": str(sheet)}
    return found


def _of_poses(poses: LiftingPoses, sheet: Path) -> dict[str, Any]:
    """Counts, problems and a contact sheet of poses to be lifted: keypoints, and beside them the pose in space."""
    shown = np.unique(np.linspace(0, len(poses) - 1, SHOWN_POSES).round().astype(int))
    tiles = []
    for row in shown:
        first = int(np.searchsorted(poses.sequence, number := int(poses.sequence[row])))
        sequence = poses.sequences[number]
        flat, factor = flat_pose(sequence.size)
        draw_pose(flat, poses.skeleton, (sequence.keypoints[row - first] + 0.5) * factor - 0.5)
        title = f"{sequence.subject}, {sequence.action}, camera {sequence.camera_index}, frame {row - first}"
        tiles.append(beside(flat, poses.skeleton, MM * poses.targets[[row]], None, title))
    height, width = tiles[0].shape[:2]
    save_picture(contact_sheet(tiles, 2, (POSE_TILE, round(POSE_TILE * width / height))), sheet)
    frames = Counter(poses.sequences[number].subject for number in poses.sequence.tolist())
    placed = "cameras placed around each sequence: there is no file of keypoints beside it"
    return {
        "counts": {"frames": len(poses), "sequences": len(poses.sequences), "subjects": len(poses.subjects)},
        "joints": list(poses.skeleton.joints),
        "keypoints": str(poses.file_2d) if poses.file_2d else placed,
        "frames of subjects": {name: frames[name] for name in poses.subjects},
        "problems": _problems(poses.problems),
        "hints": [f"nothing of {name} can be used" for name in poses.subjects if not frames[name]],
        "contact_sheet": str(sheet),
    }


def _of_scans(scans: LabelledScans, sheet: Path) -> dict[str, Any]:
    """Counts, labelled columns, problems and a contact sheet of B-scans."""
    shown = np.linspace(0, len(scans) - 1, min(SHOWN_SCANS, len(scans))).round().astype(int).tolist()
    drawn = [_labelled_part(scans[i], scans.skeleton.joints) for i in shown]
    save_picture(contact_sheet(drawn, 2, SCAN_TILE), sheet)
    known = np.concatenate([np.isfinite(scan.rows) for scan in scans.scans], axis=1)
    alike = Counter(scan.fingerprint for scan in scans.scans)
    twice = sum(times > 1 for times in alike.values())
    columns = {name: int(row.sum()) for name, row in zip(scans.skeleton.joints, known, strict=True)}
    hints = [f"{name!r} is labelled in no column" for name, count in columns.items() if not count]
    several = "1 picture is" if twice == 1 else f"{twice} pictures are"
    hints += (
        [f"{several} there more than once; --folds keeps {'it' if twice == 1 else 'each'} in one part"] if twice else []
    )
    faint = [scan.name for scan in scans.scans if flatten(cleaned(scan.image), 224, None, scan.um_per_px).faint]
    hints += [f"{name}: shows no retina that could be found" for name in faint]
    unknown = sum(scan.um_per_px is None for scan in scans.scans)
    hints += [f"the height of a pixel is not known of {unknown}, so no micrometres are told"] if unknown else []
    return {
        "counts": {"B-scans with labels": len(scans), "subjects": len(scans.subjects), "columns": known.shape[1]},
        "height × width": dict(Counter("×".join(map(str, scan.image.shape)) for scan in scans.scans)),
        "labelled columns": columns,
        "problems": _problems(scans.problems),
        "hints": hints,
        "contact_sheet": str(sheet),
    }


def _labelled_part(scan: Scan, names: Sequence[str]) -> Image:
    """The rows of a scan in which boundaries are labelled, with these and their names."""
    shown = around_labels(scan.rows)
    return draw_boundaries(np.repeat(scan.image[shown, :, None], 3, axis=2), scan.rows - shown.start, names=names)


def _problems(problems: Sequence[Problem]) -> dict[str, Any]:
    kinds = Counter(problem.kind for problem in problems)
    return {"by kind": dict(kinds), "first": [str(problem) for problem in problems[:LISTED]]}


def _unlikely(
    people: LabelledPeople, model: PoseModel, loss: LikelihoodLoss, device: str
) -> tuple[list[dict[str, Any]], list[int]]:
    """The least likely label of each of the people in whom it is least likely; and their rows in the data set."""
    found = evaluate(model, people, loss, device=device, show_progress=True).arrays()
    standardised_nll = np.nan_to_num(found.standardised_nll, nan=-np.inf)
    worst = standardised_nll.argmax(axis=1)
    rows = np.argsort(-standardised_nll.max(axis=1), kind="stable")[:LISTED].tolist()
    apart = np.linalg.norm((found.predicted - found.truth)[..., :2], axis=-1)
    usual = np.sqrt((found.std[..., :2] ** 2).sum(axis=-1))
    return [
        {
            "image": str(people[row].image),
            "id": people[row].id,
            "joint": people.skeleton.joints[worst[row]],
            "px off": round(float(apart[row, worst[row]]), 1),
            "px expected": None if np.isnan(usual[row, worst[row]]) else round(float(usual[row, worst[row]]), 1),
            "minus log density": round(float(standardised_nll[row, worst[row]]), 2),
        }
        for row in rows
    ], rows


def _summary(people: LabelledPeople) -> dict[str, Any]:
    skeleton = people.skeleton
    visible = np.stack([sample.visible for sample in people.samples])
    sizes = np.array([sample.box[2:].max() for sample in people.samples])
    return {
        "counts": dict(people.counts),
        "skeleton": {
            "name": skeleton.name,
            "joints": list(skeleton.joints),
            "bones": len(skeleton.bones),
            "mirror pairs": [[skeleton.joints[a], skeleton.joints[b]] for a, b in skeleton.pairs],
            "oks sigmas": _origin(skeleton),
        },
        "labelled": {joint: int((visible[:, i] > 0).sum()) for i, joint in enumerate(skeleton.joints)},
        "hidden": {joint: int((visible[:, i] == 1).sum()) for i, joint in enumerate(skeleton.joints)},
        "longer side of boxes, px": {
            name: round(float(np.quantile(sizes, q)), 1) for name, q in (("5 %", 0.05), ("50 %", 0.5), ("95 %", 0.95))
        },
        "problems": _problems(people.problems),
        "hints": _hints(people, visible),
    }


def _origin(skeleton: Skeleton) -> str:
    if skeleton.oks_sigmas is None:
        return f"{skeleton.sigmas[0]:g} for every joint (the default: the file gives none)"
    return "as given, or COCO's own"


def _hints(people: LabelledPeople, visible: np.ndarray) -> list[str]:
    """What is no error but deserves a look."""
    hints = []
    if not people.skeleton.pairs and len(people.skeleton) > 1:
        hints.append("no left-right pairs could be told from the joints' names: mirroring would not swap any")
    never = np.flatnonzero((visible > 0).sum(axis=0) == 0)
    hints += [f"nobody has a label of {people.skeleton.joints[joint]!r}" for joint in never]
    outside = sum(_labels_outside(sample) for sample in people.samples)
    if outside:
        hints.append(f"{outside} of {len(people)} people have labelled joints far outside their box")
    for count, times in Counter(sample.keypoints.tobytes() for sample in people.samples).most_common(1):
        if times > 1 and count:
            hints.append(f"{times} people have exactly the same keypoints")
    return hints


def _labels_outside(sample: Sample) -> bool:
    """Whether a labelled joint lies more than half a box away from the box."""
    points = sample.keypoints[sample.visible > 0, :2]
    low, high = sample.box[:2] - sample.box[2:] / 2, sample.box[:2] + 1.5 * sample.box[2:]
    return bool(((points < low) | (points > high)).any())


def _sheet(people: LabelledPeople, rows: list[int] | None = None) -> Image:
    """People with their labels: those of some rows, or some evenly spread over the data set."""
    if rows is None:
        rows = np.unique(np.linspace(0, len(people) - 1, min(SHOWN, len(people))).round().astype(int)).tolist()
    tiles = []
    for row in rows:
        sample = people[row]
        crop = CropTransform(people.skeleton, (TILE, TILE))(sample)
        tile = enlarged(crop.images[0].permute(1, 2, 0).numpy(), TILE)[0]
        points = (crop.target[0, :, :2].double().numpy() + 0.5) * TILE
        draw_pose(tile, people.skeleton, points, shown=sample.visible > 0)
        tiles.append(tile)
    return contact_sheet(tiles, columns=min(6, len(tiles)), tile=(TILE + 4, TILE + 4))


def tell(found: dict[str, dict[str, Any]]) -> str:
    """What `inspect_data` found, for a person to read."""
    lines = []
    for file, facts in found.items():
        lines += [file, "  " + ", ".join(f"{count} {what}" for what, count in facts["counts"].items())]
        told = {"skeleton": _tell_people, "frames of subjects": _tell_poses, "labelled columns": _tell_scans}
        lines += next(words for kind, words in told.items() if kind in facts)(facts)
        kinds = facts["problems"]["by kind"]
        lines.append(f"  wrong rows, which training leaves out: {sum(kinds.values()) or 'none'}")
        lines += [f"    {count} × {kind}" for kind, count in kinds.items()]
        lines += [f"    {row}" for row in facts["problems"]["first"]]
        lines += [f"  worth a look: {hint}" for hint in facts["hints"]]
        lines.append(f"  contact sheet: {facts['contact_sheet']}")
        if "unlikely labels" in facts:
            lines.append("  labels that the model finds least likely, each person's worst:")
            lines += [
                f"    {row['image']}: annotation of id {row['id']}, {row['joint']}: {row['px off']:g} px off, "
                f"{row['px expected']} px expected"
                for row in facts["unlikely labels"]
            ]
            lines.append(f"  their pictures: {facts['unlikely_sheet']}")
    return "\n".join(lines)


def _tell_people(facts: dict[str, Any]) -> list[str]:
    skeleton = facts["skeleton"]
    pairs = ", ".join(f"{a}/{b}" for a, b in skeleton["mirror pairs"]) or "none"
    return [
        f"  {skeleton['name']}: {len(skeleton['joints'])} joints, {skeleton['bones']} bones",
        f"  mirror pairs: {pairs}",
        f"  OKS sigmas: {skeleton['oks sigmas']}",
        "  longer side of boxes: "
        + ", ".join(f"{q} below {px:g} px" for q, px in facts["longer side of boxes, px"].items()),
        "  joint             labelled  of these hidden",
        *(f"  {j:16} {n:9} {facts['hidden'][j]:9}" for j, n in facts["labelled"].items()),
    ]


def _tell_poses(facts: dict[str, Any]) -> list[str]:
    return [
        f"  {len(facts['joints'])} joints: {', '.join(facts['joints'])}",
        f"  keypoints: {facts['keypoints']}",
        "  subject             frames",
        *(f"  {name:16} {frames:9}" for name, frames in facts["frames of subjects"].items()),
    ]


def _tell_scans(facts: dict[str, Any]) -> list[str]:
    return [
        "  height × width: " + ", ".join(f"{count} of {size}" for size, count in facts["height × width"].items()),
        "  boundary          labelled columns",
        *(f"  {name:16} {columns:17}" for name, columns in facts["labelled columns"].items()),
    ]
