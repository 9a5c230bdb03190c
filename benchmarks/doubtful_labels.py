"""How well `inspect --model` names planted errors of labels, by kind; and what it finds in the labels as they are.

    python benchmarks/doubtful_labels.py lspet --data PATH/TO/lspet                        # by the built-in model
    python benchmarks/doubtful_labels.py faces --data PATH/TO/faces68 --model RUN          # by one trained on the rest

The model predicts the people of the validation part once. For each seed and kind an error is then planted into the
labels of a twentieth of the people: left and right of the whole person exchanged, or of one or two pairs; two other
joints exchanged; a joint's label put on another joint (3 % of the box off on average); a joint's label put anywhere in
the box. An error counts as found where its kind is named and at least half of the joints named, or of it, are both.
Precision is the share of such errors among the people of whom that kind is named, once without those of whom it is
named before anything is planted, and once with. Thresholds were chosen on seed 0; other seeds plant into other people.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from logpose.core.skeletons import Skeleton
from logpose.data.files import open_people
from logpose.models.weight_files import PERSON
from logpose.tasks.evaluation import Found
from logpose.tasks.pose.doubtful import doubtful_people
from logpose.tasks.pose.evaluate import evaluate
from logpose.training.checkpoint import load_of_crops

FIGURES = Path(__file__).parent / "figures"
ERRORS = {"whole person": "sides", "some pairs": "sides", "exchanged": "exchanged", "other joint": "other joint",
          "far off": "far off"}  # fmt: skip
"""What is planted, and the kind that it should be named as."""
SHARE, OFF = 0.05, 0.03


def planted(
    error: str, at: Found, row: int, skeleton: Skeleton, rng: np.random.Generator
) -> tuple[np.ndarray, set[int]]:
    """The labels of a person with an error, and the joints that it is of; no joints where it cannot be."""
    truth, labelled = at.truth[row].copy(), np.flatnonzero(at.visible[row] > 0)
    pairs = [pair for pair in skeleton.pairs if (at.visible[row, list(pair)] > 0).all()]
    if error in ("whole person", "some pairs"):
        if len(pairs) < (3 if error == "some pairs" else 1):
            return truth, set()
        count = len(pairs) if error == "whole person" else int(rng.integers(1, 3))
        chosen = [pairs[i] for i in rng.permutation(len(pairs))[:count]]
        for a, b in chosen:
            truth[[a, b]] = truth[[b, a]]
        return truth, {joint for pair in chosen for joint in pair}
    if len(labelled) < 3:
        return truth, set()
    joint = int(rng.choice(labelled))
    other = int(rng.choice([k for k in labelled if k not in (joint, skeleton.flip_index[joint])]))
    if error == "exchanged":
        truth[[joint, other]] = truth[[other, joint]]
        return truth, {joint, other}
    box = at.boxes[row]
    if error == "other joint":
        truth[joint] = truth[other] + rng.normal(0, OFF / np.sqrt(2), 2) * box[2:].max()
        return truth, {joint, other}
    truth[joint] = box[:2] + rng.random(2) * box[2:]
    return truth, {joint}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("lspet", "faces"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=PERSON, help="that has not learned from the validation part")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    model, loss = load_of_crops(given.model)
    file = given.data / "joints.mat" if given.what == "lspet" else given.data
    people = open_people(file, part="val" if given.what == "lspet" else None, like=model.skeleton)
    at = evaluate(model, people, loss, flip_test=False, show_progress=True).arrays()
    real = [(each.row, each.doubt.kind) for each in doubtful_people(at, model, loss)]
    before = set(real)
    print(f"in the labels of {len(people)} people as they are:", dict(Counter(kind for _, kind in real)))
    figures: dict[str, dict[str, list[float]]] = {}
    for error, kind in ERRORS.items():
        rows: dict[str, list[float]] = {"recall": [], "precision": [], "precision with real doubts": []}
        for seed in range(1, given.seeds + 1):
            rng = np.random.default_rng(seed)
            truth, wanted = at.truth.copy(), {}
            for row in rng.permutation(len(truth))[: round(SHARE * len(truth))].tolist():
                truth[row], joints = planted(error, at, row, model.skeleton, rng)
                if joints:
                    wanted[row] = joints
            found = [
                (each.row, set(each.doubt.joints))
                for each in doubtful_people(replace(at, truth=truth), model, loss)
                if each.doubt.kind == kind
            ]
            right = {
                row
                for row, joints in found
                if row in wanted and 2 * len(joints & wanted[row]) >= len(joints | wanted[row])
            }
            named = {row for row, _ in found}
            new = {row for row in named if row in wanted or (row, kind) not in before}
            rows["recall"].append(len(right) / len(wanted))
            rows["precision"].append(len(right) / max(len(new), 1))
            rows["precision with real doubts"].append(len(right) / max(len(named), 1))
        figures[error] = rows
        cells = (f"{name} {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" for name, values in rows.items())
        print(f"{error:14}", ", ".join(cells), flush=True)
    path = given.figures or FIGURES / f"doubtful_labels_{given.what}.json"
    counts = {kind: sum(each == kind for _, each in real) for kind in dict.fromkeys(ERRORS.values())}
    path.write_text(json.dumps({"people": len(people), "as they are": counts, "planted": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
