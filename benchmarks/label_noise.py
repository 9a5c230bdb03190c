"""Wrong labels in training: found by the learned density, what they cost, and what correcting them gains.

    python benchmarks/label_noise.py lspet --data PATH/TO/lspet --movenet movenet-lightning.json    # needs `lite`
    python benchmarks/label_noise.py faces --data PATH/TO/faces68

`lspet`: two models, each trained on one half of the people, judge the labels of the other half; they begin with
MoveNet's weights if these are given, which makes them judge better, else with ImageNet's. Somebody is mirrored
if the labels with left and right exchanged are likelier by a factor of exp(`LIKELIER`); a joint is far off if it is
outside the region of probability `INSIDE` and more than `FAR` of the torso away. Then models are trained on the labels
as they are, and with the mirrored people's sides exchanged and the joints that are far off left out. All are measured
on the same untouched labels, and on those with the sides of the person as whole forgiven.

`faces`: wrong labels are planted into a share of the training faces: half of these have left and right exchanged, in
the others each landmark is moved with probability 1/2 to a random place in the face's box. The labels of the
evaluation are right.

Runs, figures and resuming are as in `lsp_pretrained.py`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.files import LabelledPeople
from logpose.metrics.calibration import scaled_radius
from logpose.metrics.pck import torso_size
from logpose.recipes.coco import coco_lite0_rle
from logpose.recipes.lsp import lsp_lite0_rle
from logpose.tasks.evaluation import Found
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import load_of_crops
from lsp_pretrained import halves, shared_pck
from tables import Runs, trained

FIGURES = Path(__file__).parent / "figures"
LOSSES: dict[str, dict[str, Any]] = {
    "RLE": {"head": "regression"},
    "L1": {"head": "regression", "loss": "l1"},
    "heatmap": {"head": "heatmap"},
}
SHARES = (0.0, 0.05, 0.1, 0.2)
LIKELIER, INSIDE, FAR = 10.0, 0.99, 0.5
SHOWN = {
    "lspet": (
        *("pck12@0.2", "pck12@0.1", "error_px", "nll"),
        *(f"{figure}, sides forgiven" for figure in ("pck12@0.2", "pck12@0.1", "error_px")),
    ),
    "faces": ("nme", "error_px", "pck@0.05", "nll", "coverage@0.9"),
}


def mirrored(sample: Sample, skeleton: Skeleton) -> Sample:
    """The same person with left and right labels exchanged."""
    twin = list(skeleton.flip_index)
    return replace(sample, keypoints=sample.keypoints[twin], visible=sample.visible[twin])


def half(recipe: Recipe, part: str, number: int) -> LabelledPeople:
    """Every second person of the training part, from 0 or 1 on."""
    people = labelled_people(recipe, part)
    if part == "train":
        people.samples = people.samples[number::2]
    return people


def corrected(recipe: Recipe, part: str, faults: dict[str, Any]) -> LabelledPeople:
    """The people with those labels corrected that were found to be wrong."""
    people = labelled_people(recipe, part)
    if part == "train":
        for i, sample in enumerate(people.samples):
            changed = mirrored(sample, people.skeleton) if sample.id in faults["mirrored"] else sample
            visible = changed.visible.copy()
            visible[faults["far"].get(str(sample.id), [])] = 0
            people.samples[i] = replace(changed, visible=visible)
    return people


def planted(recipe: Recipe, part: str, share: float) -> LabelledPeople:
    """The people, with wrong labels in a share of the training part."""
    people = labelled_people(recipe, part)
    if part == "train":
        rng = np.random.default_rng(recipe.seed)
        for i, row in enumerate(rng.permutation(len(people))[: round(share * len(people))]):
            sample = people.samples[row]
            moved = rng.random(len(people.skeleton)) < 0.5
            places = sample.box[:2] + rng.random((len(moved), 2)) * sample.box[2:]
            far = replace(sample, keypoints=np.where(moved[:, None], places, sample.keypoints))
            people.samples[row] = mirrored(sample, people.skeleton) if i % 2 else far
    return people


def faults_of(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Ids of mirrored people, joints that are far off of people by id, and the log-likelihood ratio of everybody."""
    kept, rule = folder / "faults.json", [LIKELIER, INSIDE, FAR]
    if kept.is_file() and (before := json.loads(kept.read_text()))["rule"] == rule:
        return before
    found: dict[str, Any] = {"rule": rule, "mirrored": [], "far": {}, "ratio": {}}
    for number in (0, 1):
        model, loss = load_of_crops(trained(replace(recipe, people=partial(half, number=number)), folder / str(number)))
        people = half(recipe, "train", 1 - number)
        skeleton = people.skeleton
        labelled = evaluate(model, people, loss, flip_test=False).arrays()
        people.samples = [mirrored(sample, skeleton) for sample in people.samples]
        twin = evaluate(model, people, loss, flip_test=False).arrays()
        ratio = np.nansum(labelled.nll, axis=1) - np.nansum(twin.nll, axis=1)
        better = with_rows_of(labelled, twin, ratio > LIKELIER)
        radius = scaled_radius(better.predicted, better.std, better.truth)
        torso = torso_size(better.truth, better.visible, skeleton.torso)
        far = (radius > model.error_distribution.radius_at(INSIDE)) & (better.apart() > FAR * torso[:, None])
        for sample, its_ratio, joints in zip(people.samples, ratio, far, strict=True):
            found["ratio"][str(sample.id)] = round(float(its_ratio), 2)
            if its_ratio > LIKELIER:
                found["mirrored"].append(sample.id)
            if joints.any():
                found["far"][str(sample.id)] = np.flatnonzero(joints).tolist()
    kept.write_text(json.dumps(found, indent=1) + "\n")
    return found


def with_rows_of(found: Found, other: Found, chosen: np.ndarray) -> Found:
    """Predictions beside labels, which are those of `other` for the chosen people."""
    truth = np.where(chosen[:, None, None], other.truth, found.truth)
    return replace(found, truth=truth, visible=np.where(chosen[:, None], other.visible, found.visible))


def sides_forgiven(found: Found, skeleton: Skeleton) -> Found:
    """Everybody's labels with left and right exchanged where they are closer to the prediction so."""
    twin = list(skeleton.flip_index)
    exchanged = replace(found, truth=found.truth[:, twin], visible=found.visible[:, twin])
    closer = np.nanmean(exchanged.apart(), axis=1) < np.nanmean(found.apart(), axis=1)
    return with_rows_of(found, exchanged, closer)


def of_lsp(recipe: Recipe, out: Path, name: str) -> dict[str, Any]:
    """Figures of a run on LSP-Extended."""
    model, loss = load_of_crops(trained(recipe, out / name))
    evaluation = evaluate(model, halves(labelled_people(recipe, "val"))[1], loss, flip_test=False)
    found = evaluation.arrays()
    forgiven = sides_forgiven(found, model.skeleton)
    also = {**shared_pck(forgiven), "error_px": float(np.nanmean(forgiven.apart()))}
    figures = {**evaluation.compute(costly=False), **shared_pck(found)}
    return figures | {f"{figure}, sides forgiven": value for figure, value in also.items()}


def of_faces(recipe: Recipe, out: Path, name: str) -> dict[str, Any]:
    """Figures of a run on faces."""
    model, loss = load_of_crops(trained(recipe, out / name))
    return evaluate(model, labelled_people(recipe, "val"), loss, flip_test=False).compute(costly=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=SHOWN)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder for checkpoints")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--systems", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--movenet", type=Path, help="weights that the judges of labels begin with (docs/pose.md)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8, help="of faces")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    # Labels as they are give the runs of `lsp_pretrained.py`, which are not made again.
    out = given.out or Path("runs") / ("lsp_pretrained" if given.what == "lspet" else "label_noise")
    runs = Runs(given.figures or FIGURES / f"label_noise_{given.what}.json", SHOWN[given.what])
    common: dict[str, Any] = {"data": given.data, "threads": given.threads}
    if given.what == "lspet":
        judge = replace(lsp_lite0_rle(), **common)
        if given.movenet:
            judge = replace(
                judge, backbone="movenet_lightning", weights=str(given.movenet), size=(192, 192), epochs=6, freeze=3,
                backbone_lr=0.06,
            )  # fmt: skip
        faults = faults_of(judge, out / "halves")
        joints = sum(map(len, faults["far"].values()))
        print(f"of {len(faults['ratio'])} people {len(faults['mirrored'])} are mirrored; {joints} joints are far off")
    for seed in range(given.seeds):
        for name in given.systems:
            if given.what == "lspet":
                recipe = replace(lsp_lite0_rle(), seed=seed, **common, **LOSSES[name])
                runs.add(name, seed, partial(of_lsp, recipe, out))
                recipe = replace(recipe, people=partial(corrected, faults=faults))
                runs.add(f"{name}, corrected", seed, partial(of_lsp, recipe, out))
                continue
            base = coco_lite0_rle()
            for share in SHARES:
                recipe = replace(
                    base, size=(96, 96), watch="nme", workers=0, epochs=given.epochs,
                    validate_every=given.epochs, flip_test=False, people=partial(planted, share=share), seed=seed,
                    **common, **LOSSES[name],
                )  # fmt: skip
                runs.add(f"{name}, {share:.0%}", seed, partial(of_faces, recipe, out))
    print(runs.table("loss, labels"))


if __name__ == "__main__":
    main()
