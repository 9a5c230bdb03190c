"""What pose models predict of covered joints, and of people who are cut off (the paper's Tables 15, 16, Fig. 5).

Lengths are relative to the longer side of a person's whole box, so that people of all sizes count alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from logpose.core.samples import People, Sample
from logpose.core.sides import without_side
from logpose.core.skeletons import Skeleton
from logpose.data.images import read_image
from logpose.models import PoseModel
from logpose.tasks.evaluation import Found
from logpose.tasks.pose.evaluate import evaluate

__all__ = ["LEVEL", "Covered", "Cut", "Occlusion", "Outcome", "Side", "Truncation", "occlusion", "truncation"]

LEVEL = 0.9
"""Nominal level of the regions whose coverage is measured."""
GREY = 128
NOTHING = "nothing"
"""Name of the row of people with nothing covered."""
Side = Literal["bottom", "top", "left", "right"]
"""Where people are cut off."""


class Altered(ABC):
    """Some people of a data set, in images that are changed when they are read.

    Args:
        people: the data set.
        rows: of those.
    """

    def __init__(self, people: People, rows: Sequence[int]) -> None:
        self.people, self.rows = people, rows

    @property
    def skeleton(self) -> Skeleton:
        """The joints that are labelled."""
        return self.people.skeleton

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return self.altered(self.people[self.rows[index]])

    @abstractmethod
    def altered(self, sample: Sample) -> Sample:
        """A person in the changed image."""


class Covered(Altered):
    """People with a grey square over a joint.

    Args:
        people: the data set.
        rows: of some of them.
        joint: number of the joint; None covers nothing.
        square: side of the square, relative to the longer side of a person's box.
    """

    def __init__(self, people: People, rows: Sequence[int], joint: int | None, square: float) -> None:
        super().__init__(people, rows)
        self.joint, self.square = joint, square

    def altered(self, sample: Sample) -> Sample:
        """A person with the square; as they are where the joint has no label."""
        if self.joint is None or not sample.visible[self.joint]:
            return sample
        image = read_image(sample.image).copy()
        half, centre = self.square * sample.box[2:].max() / 2, sample.keypoints[self.joint, :2]
        low, high = (np.clip(np.rint(centre + at), 0, image.shape[1::-1]).astype(int) for at in (-half, half))
        image[low[1] : high[1], low[0] : high[0]] = GREY
        return replace(sample, image=image)


class Cut(Altered):
    """People who are cut off: the image ends in the middle of their box, and their box with it.

    Args:
        people: the data set.
        rows: of some of them.
        share: of the box that is cut off, in [0, 1).
        side: from where.
    """

    def __init__(self, people: People, rows: Sequence[int], share: float, side: Side = "bottom") -> None:
        super().__init__(people, rows)
        self.share, self.axis, self.from_end = share, int(side in ("bottom", "top")), side in ("bottom", "right")

    def line(self, sample: Sample, length: int) -> int:
        """The first row (or column) behind the cut, or before it, in an image of so many."""
        share = 1 - self.share if self.from_end else self.share
        place = sample.box[self.axis] + share * sample.box[2 + self.axis]
        return int(np.clip(np.rint(place), 1, max(1, length - 1)))

    def altered(self, sample: Sample) -> Sample:
        """A person in what is left of the image; labels behind the cut stay."""
        if not self.share:
            return sample
        image = read_image(sample.image)
        line = self.line(sample, image.shape[1 - self.axis])
        kept = slice(0, line) if self.from_end else slice(line, None)
        box, keypoints = sample.box.astype(np.float64), sample.keypoints.copy()
        ends = np.array([box[self.axis], box[self.axis] + box[2 + self.axis]])
        ends = np.minimum(ends, [line - 1, line]) if self.from_end else np.maximum(ends, [line, line + 1]) - line
        box[self.axis], box[2 + self.axis] = ends[0], ends[1] - ends[0]
        if not self.from_end:
            keypoints[:, self.axis] -= line
        image = image[kept] if self.axis else image[:, kept]
        return replace(sample, image=np.ascontiguousarray(image), box=box, keypoints=keypoints)

    def inside(self, sample: Sample) -> Bool[np.ndarray, "K"]:
        """Which joints of a person, as `altered` returns it, lie in what is left of the image."""
        place = sample.keypoints[:, self.axis]
        if not self.from_end:
            return np.asarray(place >= -0.5)
        end = np.inf if not self.share else read_image(sample.image).shape[1 - self.axis] - 0.5
        return np.asarray(place < end)


@dataclass(frozen=True)
class Outcome:
    """What a model predicts of N people, K joints."""

    at: Found
    model: PoseModel
    sides: Float[np.ndarray, "N"]
    """Longer side of each person's whole box, pixels."""

    @property
    def error(self) -> Float[np.ndarray, "N K"]:
        """Distance of labels from predictions, relative to the side; NaN without a label."""
        return np.asarray(self.at.apart() / self.sides[:, None])

    @property
    def std(self) -> Float[np.ndarray, "N K"]:
        """Mean standard deviation of both axes, relative to the side; NaN without a label, or where none is known."""
        std = np.where(self.at.visible > 0, self.at.std[..., :2].mean(axis=-1), np.nan)
        return np.asarray(std / self.sides[:, None])

    @property
    def covered(self) -> Float[np.ndarray, "N K"]:
        """1 where the label lies in the region of `LEVEL`, 0 where not; NaN where there is no label or no region."""
        radius = self.at.scaled()
        inside = (radius <= self.at.radii(self.model, LEVEL)).astype(np.float64)
        return np.where(np.isfinite(radius), inside, np.nan)


@dataclass(frozen=True)
class Occlusion:
    """The effect of a covered joint on all joints."""

    shown: Outcome
    """With nothing covered."""
    hidden: Sequence[Outcome]
    """With each joint covered."""

    def kinds(self) -> dict[str, list[int]]:
        """Joints by kind, such as both ankles."""
        skeleton, found = self.shown.model.skeleton, dict[str, list[int]]()
        for joint, other in enumerate(skeleton.flip_index):
            if other < joint:
                continue
            pair = list(dict.fromkeys([joint, other]))
            names = [skeleton.joints[each] for each in pair]
            name = without_side(*names) if len(names) == 2 else names[0]
            found[names[0] if name in found else name] = pair
        return found

    def matrix(self, what: Literal["error", "std", "covered"]) -> Float[np.ndarray, "R C"]:
        """Means of joints of each kind (columns), first with nothing covered, then one joint of each kind (rows).

        Of the kind itself, only the covered joint counts. Cells of a row are of people with a label of the joint.
        """
        kinds, bare = list(self.kinds().values()), getattr(self.shown, what)
        rows = [[_mean(bare[:, column]) for column in kinds]]
        has = self.shown.at.visible > 0
        values = [getattr(outcome, what) for outcome in self.hidden]
        for row in kinds:
            cells = []
            for column in kinds:
                pairs = [(a, b) for a in row for b in column if a == b or row is not column]
                cells.append(_mean(np.concatenate([values[a][has[:, a], b] for a, b in pairs])))
            rows.append(cells)
        return np.array(rows)

    def figures(self) -> dict[str, float]:
        """Means over covered joints, before and after, and over the other joints of the same people."""
        found, has = {}, self.shown.at.visible > 0
        names = {"error": "error", "std": "std", "covered": f"coverage@{LEVEL:g}"}
        others = ~np.eye(has.shape[1], dtype=bool)
        for what, name in names.items():
            before = getattr(self.shown, what)
            after = [getattr(outcome, what) for outcome in self.hidden]
            for where, columns in (("", ~others), (" of the others", others)):
                pairs = [(before[has[:, j]][:, own], after[j][has[:, j]][:, own]) for j, own in enumerate(columns)]
                for when, part in (("before", 0), ("covered", 1)):
                    found[f"{name}{where} {when}"] = _mean(np.concatenate([pair[part].ravel() for pair in pairs]))
        return {name: value for name, value in found.items() if np.isfinite(value)}


@dataclass(frozen=True)
class Truncation:
    """Predictions of people of whom a share is cut off."""

    shares: Sequence[float]
    outcomes: Sequence[Outcome]
    inside: Sequence[Bool[np.ndarray, "N K"]]
    """Which joints lie in what is left of the image."""

    def rows(self) -> list[dict[str, float]]:
        """For each share, means over labels in what is left of the image, and beyond it."""
        found = []
        for share, outcome, inside in zip(self.shares, self.outcomes, self.inside, strict=True):
            labelled = outcome.at.visible > 0
            row = {"cut off": share, "labels beyond": float((labelled & ~inside).sum() / labelled.sum())}
            for where, chosen in (("inside", inside), ("beyond", ~inside)):
                for name in ("error", "std", "covered"):
                    title = f"coverage@{LEVEL:g}" if name == "covered" else name
                    row[f"{title} {where}"] = _mean(getattr(outcome, name)[labelled & chosen])
            found.append({name: value for name, value in row.items() if np.isfinite(value)})
        return found


def occlusion(model: PoseModel, people: People, rows: Sequence[int], square: float = 0.2, **running: Any) -> Occlusion:
    """What a model predicts of people with nothing covered, and with a grey square over each joint in turn.

    Args:
        model: of two dimensions.
        people: labelled people.
        rows: of some of them.
        square: side of the square, relative to the longer side of a person's box.
        running: `flip_test`, `device`, `show_progress` and `batch_size` of `evaluate`.
    """
    joints = [None, *range(len(people.skeleton))]
    found = [outcome(model, Covered(people, rows, joint, square), **running) for joint in joints]
    return Occlusion(found[0], found[1:])


def truncation(
    model: PoseModel,
    people: People,
    rows: Sequence[int],
    shares: Sequence[float] = (0.25, 0.5, 0.75),
    side: Side = "bottom",
    **running: Any,
) -> Truncation:
    """What a model predicts of people who are whole, and of whom these shares are cut off; arguments as of `Cut`."""
    every = [0.0, *shares]
    sets = [Cut(people, rows, share, side) for share in every]
    inside = [np.stack([cut.inside(cut[i]) for i in range(len(cut))]) for cut in sets]
    return Truncation(every, [outcome(model, cut, **running) for cut in sets], inside)


def outcome(model: PoseModel, people: Altered, **running: Any) -> Outcome:
    """What a model predicts of people in changed images."""
    at = evaluate(model, people, **running).arrays()
    return Outcome(at, model, np.array([people.people[row].box[2:].max() for row in people.rows]))


def _mean(values: Float[np.ndarray, "*N"]) -> float:
    """The mean of what is known; NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
