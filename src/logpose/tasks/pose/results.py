"""Poses in images as results: entries of a COCO results file, arrays, lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.skeletons import Skeleton
from logpose.tasks.pose.predict import Poses

__all__ = ["coco_results", "in_mm", "official_result", "people_text", "results_arrays", "rounded", "rows_mm"]

OFFICIAL = ("image_id", "category_id", "keypoints", "score")
"""All that an entry of a COCO results file has: with a `bbox` pycocotools would take its area for the person's, which
without one is that of the joints' extent, and medium and large people would be others."""


def coco_results(poses: Poses, image_id: int | str, category_id: int = 1) -> list[dict[str, Any]]:
    """The people of one image as entries of a COCO results file, with `sigma` (2 K pixels) and `bbox` besides.

    Of models of three dimensions they have `joints_mm` and `sigma_mm`, K rows of x, y, z, and `camera` with
    `assumed`, what of it was not given.

    Args:
        poses: the people.
        image_id: the image's.
        category_id: of the people.
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": rounded(np.column_stack([poses.keypoints[i], poses.confidence[i]])),
            "sigma": rounded(poses.sigma[i]) if np.isfinite(poses.sigma[i]).all() else None,
            "bbox": rounded(poses.boxes[i]),
            "score": round(float(poses.scores[i]), 6),
            **({"file_name": poses.path.name} if poses.path else {}),
            **_in_space(poses, i),
        }
        for i in range(len(poses))
    ]


def official_result(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `coco_results` with the keys that COCO's server knows and no others, as `eval` writes it."""
    return {key: row[key] for key in OFFICIAL}


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


def results_arrays(found: Sequence[tuple[int | str, Poses]], skeleton: Skeleton) -> dict[str, np.ndarray]:
    """The people of many images as arrays to be saved: a row for each of N people.

    Args:
        found: image ids and the people of these images.
        skeleton: theirs.

    Returns:
        `joints`, the K names; `image_id` and `file_name` as text; `boxes`, `keypoints`, `sigma`, `confidence`,
        `scores`; where people are placed in space also `joints_mm`, `sigma_mm`, `root_depth_mm`, `focal`, `centre`, and
        in `assumed` the names of what was not given.
    """
    count = len(skeleton)
    empty = {"boxes": (4,), "keypoints": (count, 2), "sigma": (count, 2), "confidence": (count,), "scores": ()}
    people = [poses for _, poses in found]
    arrays = {
        "joints": np.array(skeleton.joints),
        "image_id": np.array([str(number) for number, poses in found for _ in range(len(poses))], dtype=np.str_),
        "file_name": np.array([p.path.name if p.path else "" for p in people for _ in range(len(p))], dtype=np.str_),
    }
    arrays |= {n: np.concatenate([np.empty((0, *s)), *(getattr(p, n) for p in people)]) for n, s in empty.items()}
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


def people_text(rows: Iterable[Mapping[str, Any]], joints: Sequence[str]) -> Iterator[str]:
    """Entries of `coco_results` as lines: one for each person, and one for each joint."""
    for row in rows:
        yield f"{row['file_name']}  score {row['score']:.3f}"
        for i, joint in enumerate(joints):
            x, y, confidence = row["keypoints"][3 * i : 3 * i + 3]
            sigma = "" if row["sigma"] is None else "  ± {:6.1f} {:6.1f}".format(*row["sigma"][2 * i : 2 * i + 2])
            placed = in_mm(row, i) if row.get("joints_mm") else ""
            yield f"  {joint:16} {x:8.1f} {y:8.1f}{sigma}{placed}  confidence {confidence:.3f}"


def rows_mm(values: Float[np.ndarray, "K 3"]) -> list[list[float]] | None:
    """Lengths in millimetres as rows of plain numbers, to a hundredth; None where they are not known."""
    return (np.round(values.astype(np.float64), 2) + 0.0).tolist() if np.isfinite(values).all() else None


def in_mm(row: Mapping[str, Any], joint: int) -> str:
    """A joint of a row's position in space, and its standard deviation where known, as text."""
    place = "  {:6d} {:6d} {:6d} mm".format(*map(round, row["joints_mm"][joint]))
    return place + ("  ± {:5.0f} {:5.0f} {:5.0f}".format(*row["sigma_mm"][joint]) if row["sigma_mm"] else "")


def rounded(values: np.ndarray) -> list[float]:
    """Numbers to a thousandth, as a flat list."""
    return [round(float(value), 3) for value in values.ravel()]
