"""Labelled people of files: how `eval` and `inspect` open them, and what `inspect` shows of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.device import choose_device
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.space import InSpace
from logpose.core.structures import Image, Sample
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.data.matlab import matlab_sizes
from logpose.data.problems import log_problems
from logpose.data.transforms import CropTransform
from logpose.losses import LikelihoodLoss
from logpose.models import Model, PoseModel
from logpose.report.draw import contact_sheet, draw_pose, enlarged
from logpose.report.inspection import LISTED, summary
from logpose.report.page import save_image
from logpose.tasks.figures import uniform_sigmas
from logpose.tasks.pose.evaluate import check_skeletons, evaluate
from logpose.tasks.pose.options import PeopleEvalOptions, PoseInspectOptions
from logpose.training.checkpoint import load_of_crops

__all__ = ["holds_people", "inspect_people", "inspection_text", "is_json", "labelled_people"]

log = logging.getLogger("logpose")

SHOWN = 30  # people on a contact sheet
TILE = 220  # pixels of each


def labelled_people(model: Model, options: PeopleEvalOptions) -> LabelledPeople:
    """The people that a model is evaluated on, checked against it.

    Args:
        model: the model.
        options: of `logpose eval`; they name file, part, images and category.

    Raises:
        InputError: if the file cannot be read, or its joints are not the model's.
    """
    files = annotation_files(options.data)
    alone = files["train"] == files["val"]
    # COCO's person_keypoints_val2017.json with no other file beside it is the validation part, not to be split again.
    whole = not options.data.is_dir() or (alone and any(word in files["val"].stem for word in ("val", "test")))
    wanted = options.part or ("all" if whole else "val")
    part = wanted if alone and wanted != "all" else None
    file = files["train" if wanted == "train" else "val"]
    people = open_people(file, options.images, part=part, category=options.category)
    log_problems(people)
    check_skeletons(options.checkpoint, model, people)
    if model.dim == 3 and not isinstance(people, InSpace):
        log.info("%s has no joints in space: there are no figures in millimetres", people.file)
    if note := uniform_sigmas(model.skeleton):
        log.info(note)
    log.info("evaluating %d people of %s%s", len(people), people.file, f", its part {part!r}" if part else "")
    return people


def holds_people(data: str | Path) -> bool:
    """Whether a file or folder holds annotations of people: JSON, or a MATLAB file with `joints`.

    Raises:
        InputError: if a MATLAB file cannot be read.
    """
    data = Path(data)
    try:
        file = annotation_files(data)["val"]
    except InputError:  # there is none, or there are several
        return False
    if file.suffix == ".mat":
        return "joints" in matlab_sizes(file)
    return is_json(file)


def is_json(file: str | Path) -> bool:
    """Whether a file begins as JSON of a list or an object does."""
    file = Path(file)
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def inspect_people(options: Any) -> dict[str, dict[str, Any]]:
    """Counts, skeleton, label problems and a contact sheet of every annotation file of a data set.

    Args:
        options: of `logpose inspect`. With a `model`, the labels that its density finds least likely are listed too.

    Raises:
        InputError: if the data cannot be read at all, or the model has other joints or no density.
    """
    files = dict.fromkeys(annotation_files(options.data).values())
    parts = {file: open_people(file, options.images, category=options.category) for file in files}
    judge = _Judge(options, parts) if isinstance(options, PoseInspectOptions) and options.model else None
    found = {}
    for file, people in parts.items():
        sheet = options.out / f"{file.stem}.jpg"
        save_image(_sheet(people), sheet)
        found[str(file)] = {**_summary(people), "contact_sheet": str(sheet)}
        if judge is not None:
            unlikely, rows = judge.unlikely(people)
            sheet = options.out / f"{file.stem}-unlikely.jpg"
            save_image(_sheet(people, rows), sheet)
            found[str(file)] |= {"unlikely labels": unlikely, "unlikely_sheet": str(sheet)}
    return found


class _Judge:
    """A trained model whose density ranks labels. What is wrong with it is reported before anything is written."""

    model: PoseModel
    loss: LikelihoodLoss

    def __init__(self, options: PoseInspectOptions, parts: Mapping[Path, LabelledPeople]) -> None:
        assert options.model is not None
        self.device = str(choose_device(options.device))
        self.model, loss = load_of_crops(options.model)
        if loss is None:
            raise InputError(f"{options.model}: holds no density of errors: heatmap losses and a user's own have none")
        self.loss = loss
        for people in parts.values():
            check_skeletons(options.model, self.model, people)

    def unlikely(self, people: LabelledPeople) -> tuple[list[dict[str, Any]], list[int]]:
        """The least likely label of each of the people in whom it is least likely; and their rows in the data set."""
        found = evaluate(self.model, people, self.loss, device=self.device, show_progress=True).arrays()
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
        "problems": summary(people.problems),
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
        hints.append("no left-right pairs in the joints' names: mirroring would not swap any")
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


def inspection_text(facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Lines about one file: its joints and boxes; and the labels that a model finds unlikely, if it was asked."""
    skeleton = facts["skeleton"]
    pairs = ", ".join(f"{a}/{b}" for a, b in skeleton["mirror pairs"]) or "none"
    lines = [
        f"  {skeleton['name']}: {len(skeleton['joints'])} joints, {skeleton['bones']} bones",
        f"  mirror pairs: {pairs}",
        f"  OKS sigmas: {skeleton['oks sigmas']}",
        "  longer side of boxes: "
        + ", ".join(f"{q} below {px:g} px" for q, px in facts["longer side of boxes, px"].items()),
        "  joint             labelled  of these hidden",
        *(f"  {j:16} {n:9} {facts['hidden'][j]:9}" for j, n in facts["labelled"].items()),
    ]
    if "unlikely labels" not in facts:
        return lines, []
    end = ["  labels that are least likely by the model, each person's worst:"]
    end += [
        f"    {row['image']}: annotation of id {row['id']}, {row['joint']}: {row['px off']:g} px off, "
        f"{row['px expected']} px expected"
        for row in facts["unlikely labels"]
    ]
    return lines, [*end, f"  their images: {facts['unlikely_sheet']}"]
