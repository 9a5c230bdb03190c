"""The people that were found in an image, and their forms as results: COCO's, arrays, lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from logpose.core.cameras import Camera
from logpose.core.placement import Assumable
from logpose.core.samples import Image
from logpose.core.skeletons import Skeleton
from logpose.metrics.covariance import covariance_of, principal
from logpose.models import Model
from logpose.report.results import in_mm, rounded, rows_mm
from logpose.tasks.scoring import calibrated_oks

__all__ = [
    "SHOWN_LEVEL",
    "Poses",
    "calibrated_poses",
    "coco_results",
    "official_result",
    "people_text",
    "radius_of",
    "regions_of",
    "results_arrays",
]

SHOWN_LEVEL = 0.5
"""Share of the probability that the regions of `Poses.radius` hold."""


@dataclass(frozen=True)
class Poses:
    """The people in one image. Lengths are in pixels of that image; N people, K joints."""

    skeleton: Skeleton
    boxes: Float[np.ndarray, "N 4"]
    """x, y, width, height of the box that each person was predicted in."""
    keypoints: Float[np.ndarray, "N K 2"]
    """Expected position of every joint, also of uncertain ones and of those outside the image."""
    sigma: Float[np.ndarray, "N K 2"]
    """Standard deviation of every joint along x and y; NaN from a model that was trained without a likelihood."""
    confidence: Float[np.ndarray, "N K"]
    """Of every joint, in [0, 1]: 1 - the model's relative sigma (the paper's Eq. 9, per joint)."""
    scores: Float[np.ndarray, "N"]
    """Of every person; unless another scoring was asked for, the box's score + the mean + the maximum confidence of the
    joints, and of detection models the box's score."""
    radius: float | Float[np.ndarray, "N K 1"]
    """The ellipse of `radius` standard deviations around a joint holds it with a probability of 50 %; of a model of
    three dimensions that is an ellipsoid, in the camera's frame. Of each joint, if the model is calibrated at 50 %."""
    path: Path | None = None
    """The image's file, if it came from one."""
    image: Image | None = None
    """The decoded image, where it was asked for."""
    joints_mm: Float[np.ndarray, "N K 3"] | None = None
    """Of a model of three dimensions, the same joints in the camera's frame (x to the right, y down, z away from it),
    millimetres; None where their distance is not known."""
    sigma_mm: Float[np.ndarray, "N K 3"] | None = None
    """Their standard deviations, the camera and the root's depth taken as exact; NaN as `sigma`."""
    root_depth_mm: Float[np.ndarray, "N"] | None = None
    """How far each person's root is from the camera along its axis."""
    camera: Camera | None = None
    """The camera that the joints are in the frame of."""
    assumed: tuple[Assumable, ...] = ()
    """What was not given of camera and root depth, and so was assumed (see `placement`)."""
    category_ids: Int[np.ndarray, "N"] | None = None
    """Each one's category, of a model of several: the others' joints are NaN in `keypoints`, `sigma`, `confidence`."""
    regions: Mapping[float, Float[np.ndarray, "N K 2"]] = field(default_factory=dict)
    """Of a calibrated model, by nominal level: half axes along x and y of the ellipse that holds the joint with that
    probability (`logpose calibrate`)."""
    expected_oks: Float[np.ndarray, "N"] | None = None
    """Of a calibrated model, the OKS that each person is expected to have …"""
    oks50: Float[np.ndarray, "N"] | None = None
    """… and the probability of one above .5."""
    correlation: Float[np.ndarray, "N K"] | None = None
    """Of a model of a full covariance, that of each joint's errors along x and y."""
    visible: Float[np.ndarray, "N K"] | None = None
    """Of a model that predicts it, the probability that a joint would be labelled as visible."""

    @property
    def covariance(self) -> Float[np.ndarray, "N K 2 2"] | None:
        """That of each joint's errors along x and y, square pixels; None of models without a correlation."""
        return None if self.correlation is None else covariance_of(self.sigma, self.correlation)

    def __len__(self) -> int:
        return len(self.scores)

    def own(self, person: int) -> tuple[Skeleton, list[int]]:
        """The skeleton of a person's category, and the numbers that its joints have among the K."""
        return self.skeleton.of(0 if self.category_ids is None else int(self.category_ids[person]))


def radius_of(model: Model, boxes: Float[np.ndarray, "N 4"]) -> float | Float[np.ndarray, "N K 1"]:
    """The radius of the regions of `SHOWN_LEVEL` in people's boxes, in standard deviations."""
    radius = model.region_radius(SHOWN_LEVEL, boxes[:, 2:].max(axis=1))
    if radius.size == 1:
        return float(radius[0, 0])
    return np.broadcast_to(radius, (len(boxes), len(model.skeleton)))[..., None]


def regions_of(
    model: Model, boxes: Float[np.ndarray, "N 4"], sigma: Float[np.ndarray, "N K 2"]
) -> dict[float, Float[np.ndarray, "N K 2"]]:
    """Half axes of joints' calibrated regions, by nominal level; none where the model is not calibrated."""
    levels = () if model.calibration is None else model.calibration.levels
    return {level: model.region_radius(level, boxes[:, 2:].max(axis=1))[..., None] * sigma for level in levels}


def calibrated_poses(model: Model, poses: Poses) -> Poses:
    """The same people with what a calibrated model gives besides: regions, and the OKS expected."""
    if model.calibration is None:
        return poses
    axes = principal(poses.sigma, poses.correlation)[0]
    mean, above = calibrated_oks(model, axes, poses.boxes, model.skeleton.sigmas) or (None, None)
    return replace(poses, regions=regions_of(model, poses.boxes, poses.sigma), expected_oks=mean, oks50=above)


OFFICIAL = ("image_id", "category_id", "keypoints", "score")
"""All that an entry of a COCO results file has: with a `bbox` pycocotools would take its area for the person's, which
without one is that of the joints' extent, and medium and large people would be others."""


def coco_results(
    poses: Poses, image_id: int | str, category_id: int = 1, file_name: str | None = None
) -> list[dict[str, Any]]:
    """The people of one image as entries of a COCO results file, with `sigma` (2 K pixels) and `bbox` besides.

    Models of a full covariance add `covariance`, K matrices [[xx, xy], [xy, yy]] of square pixels; those that predict
    it `visible`, the probability that a joint would be labelled as visible.

    Of calibrated models they have `radius`, by nominal level the 2 K half axes of the joints' regions in pixels, the
    OKS that is expected, and in `oks50` the probability of one above .5.

    `file_name` is that of the image's file, without its folder, unless another is given. Of models of several
    categories each row has its own `category_id`, the name as `category`, and the joints of that category alone, in its
    order.

    Of models of three dimensions they have `joints_mm` and `sigma_mm`, K rows of x, y, z, and `camera` with
    `assumed`, what of it was not given.
    """
    file_name = file_name or (poses.path.name if poses.path else None)
    categories = [category_id] * len(poses) if poses.category_ids is None else poses.category_ids.tolist()
    each = [poses.own(i) for i in range(len(poses))]
    return [
        {
            "image_id": image_id,
            "category_id": categories[i],
            **({} if poses.category_ids is None else {"category": own.name}),
            "keypoints": rounded(np.column_stack([poses.keypoints[i, joints], poses.confidence[i, joints]])),
            "sigma": rounded(poses.sigma[i, joints]) if np.isfinite(poses.sigma[i, joints]).all() else None,
            **_more(poses, i, joints),
            **_regions(poses, i, joints),
            **_oks(poses, i),
            "bbox": rounded(poses.boxes[i]),
            "score": round(float(poses.scores[i]), 6),
            **({"file_name": file_name} if file_name else {}),
            **_in_space(poses, i),
        }
        for i, (own, joints) in enumerate(each)
    ]


def official_result(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `coco_results` with the keys that COCO's server knows and no others, as `eval` writes it."""
    return {key: row[key] for key in OFFICIAL}


def _more(poses: Poses, person: int, joints: Sequence[int]) -> dict[str, Any]:
    """A person's covariances and probabilities of being visible, as plain values; nothing where there are none."""
    found: dict[str, Any] = {}
    if poses.covariance is not None and np.isfinite(own := poses.covariance[person, joints]).all():
        found["covariance"] = [[[float(f"{value:.6g}") for value in row] for row in matrix] for matrix in own]
    if poses.visible is not None:
        found["visible"] = rounded(poses.visible[person, joints])
    return found


def _regions(poses: Poses, person: int, joints: Sequence[int]) -> dict[str, Any]:
    """A person's calibrated regions, as plain values; nothing where there are none."""
    if not poses.regions:
        return {}
    return {"radius": {f"{level:g}": rounded(axes[person, joints]) for level, axes in poses.regions.items()}}


def _oks(poses: Poses, person: int) -> dict[str, float]:
    """The OKS that a person is expected to have; nothing of a model that is not calibrated."""
    if poses.expected_oks is None or poses.oks50 is None:
        return {}
    return {"expected_oks": round(float(poses.expected_oks[person]), 4), "oks50": round(float(poses.oks50[person]), 4)}


def _in_space(poses: Poses, person: int) -> dict[str, Any]:
    """A person's joints in space, as plain values; nothing for models of two dimensions."""
    if poses.joints_mm is None or poses.sigma_mm is None or poses.root_depth_mm is None or poses.camera is None:
        return {}
    return {
        "joints_mm": rows_mm(poses.joints_mm[person]),
        "sigma_mm": rows_mm(poses.sigma_mm[person]),
        "camera": {
            "focal": rounded(poses.camera.focal),
            "centre": rounded(poses.camera.centre),
            "root_depth_mm": round(float(poses.root_depth_mm[person]), 1),
            "assumed": ["root_depth_mm" if name == "root_depth" else name for name in poses.assumed],
        },
    }


def results_arrays(
    found: Sequence[tuple[int | str, Poses]], skeleton: Skeleton, file_names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The people of many images, with the ids of these, as arrays to be saved: a row for each of N people.

    `file_names` are those of the images' files, without their folders, unless others are given.

    Returns:
        `joints`, the K names; `image_id` and `file_name` as text; `boxes`, `keypoints`, `sigma`, `confidence`,
        `scores`; where they are predicted `covariance` (N, K, 2, 2) and `visible`; of calibrated models `radius_LEVEL`
        for each level, `expected_oks` and `oks50`; where people are placed in space also `joints_mm`, `sigma_mm`,
        `root_depth_mm`, `focal`, `centre`, and in `assumed` the names of what was not given. Of models of several
        categories `category_id` and `category`, and NaN in the joints that a category lacks.
    """
    count = len(skeleton)
    empty = {"boxes": (4,), "keypoints": (count, 2), "sigma": (count, 2), "confidence": (count,), "scores": ()}
    people = [poses for _, poses in found]
    file_names = file_names or [poses.path.name if poses.path else "" for poses in people]
    arrays = {
        "joints": np.array(skeleton.joints),
        "image_id": np.array([str(number) for number, poses in found for _ in range(len(poses))], dtype=np.str_),
        "file_name": np.array(
            [name for name, p in zip(file_names, people, strict=True) for _ in p.scores], dtype=np.str_
        ),
    }
    if skeleton.categories:
        kinds = [kind for poses in people for kind in (poses.category_ids if poses.category_ids is not None else ())]
        arrays["category_id"] = np.array(kinds, dtype=np.int64)
        arrays["category"] = np.array([skeleton.of(int(kind))[0].name for kind in kinds], dtype=np.str_)
    arrays |= {n: np.concatenate([np.empty((0, *s)), *(getattr(p, n) for p in people)]) for n, s in empty.items()}
    for name in ("covariance", "visible"):
        known = [getattr(poses, name) for poses in people]
        if known and all(values is not None for values in known):
            arrays[name] = np.concatenate(known)
    for level in next((poses.regions for poses in people if len(poses)), {}):
        each = [poses.regions[level] for poses in people if len(poses)]
        arrays[f"radius_{level:g}"] = np.concatenate([np.empty((0, count, 2)), *each])
    for name in ("expected_oks", "oks50"):
        scored = [getattr(poses, name) for poses in people if len(poses)]
        if scored and all(values is not None for values in scored):
            arrays[name] = np.concatenate(scored)
    placed = [poses for poses in people if poses.joints_mm is not None]
    if placed and len(placed) == len(people):
        arrays |= {
            name: np.concatenate([getattr(poses, name) for poses in placed])
            for name in ("joints_mm", "sigma_mm", "root_depth_mm")
        }
        for name in ("focal", "centre"):
            arrays[name] = np.concatenate([np.tile(getattr(p.camera, name), (len(p), 1)) for p in placed])
        arrays["assumed"] = np.array(placed[0].assumed, dtype=np.str_)
    return arrays


def people_text(rows: Iterable[Mapping[str, Any]], skeleton: Skeleton) -> Iterator[str]:
    """Entries of `coco_results` as lines: one for each person, and one for each joint of theirs."""
    for row in rows:
        kind = f"  {row['category']}" if "category" in row else ""
        yield f"{row['file_name']}{kind}  score {row['score']:.3f}"
        for i, joint in enumerate(skeleton.of(row["category_id"])[0].joints):
            x, y, confidence = row["keypoints"][3 * i : 3 * i + 3]
            sigma = "" if row["sigma"] is None else "  ± {:6.1f} {:6.1f}".format(*row["sigma"][2 * i : 2 * i + 2])
            placed = in_mm(row, i) if row.get("joints_mm") else ""
            seen = f"  visible {row['visible'][i]:.3f}" if "visible" in row else ""
            yield f"  {joint:16} {x:8.1f} {y:8.1f}{sigma}{placed}  confidence {confidence:.3f}{seen}"
