"""What `logpose wrap` learns of MoveNet's keypoints and of a model's of ours, from 50 to 7,000 labelled people.

    python benchmarks/wrapped_programs.py --data PATH/TO/lspet --movenet movenet-lightning.json [--ours RUN]

MoveNet predicts all people of LSP-Extended, in crops of 1.25 × their box and in the mirrored image; a wrapper is fitted
to some of the training part, other people for each seed, and measured on the whole validation part. A model of ours
(RUN was trained on the training part, by a recipe of this package) is wrapped with the first half of the validation
part, and measured on the second. Figures are of the joints that COCO and LSP share.

Predictions are kept in `--out`; figures and resuming are as in `lsp_pretrained.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from logpose.core.skeletons import COCO, Skeleton
from logpose.data.files import LabelledPeople, open_people
from logpose.data.images import read_image
from logpose.metrics.calibration import rank_correlation
from logpose.models import KeypointWrapper
from logpose.tasks.calibrate import calibrate
from logpose.tasks.pose.predict import Predictor
from logpose.tasks.wrapping.fit import fit
from logpose.training.interop import load_weights
from tables import Runs, plot

FIGURES = Path(__file__).parent / "figures" / "wrapped_programs.json"
COUNTS = (50, 100, 200, 500, 1000, 2000, 7000)
JOINTS = COCO.joints[5:]
"""Those that both data sets have."""
Labelled = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Predictions in both views, positions of labels, COCO's flags."""
VARIANTS: dict[str, dict[str, bool]] = {
    "one view": {},
    "two views": {"mirrored": True},
    "two views, refined": {"mirrored": True, "refine": True},
}
LEVELS = (0.5, 0.9, 0.95)
SHOWN = (
    *("sigma_rank", "score_rank", "coverage@0.5", "coverage@0.9", "coverage@0.95", "nll"),
    *("error_of_size", "error_of_size before"),
)


def places(skeleton: Skeleton) -> list[int]:
    """Where the shared joints are among those of a skeleton, whose names may have l and r for left and right."""
    short = [joint.replace("left_", "l_").replace("right_", "r_") for joint in JOINTS]
    return [skeleton.joints.index(a if a in skeleton.joints else b) for a, b in zip(JOINTS, short, strict=True)]


def predicted(model: Any, people: LabelledPeople, kept: Path) -> np.ndarray:
    """(N, 12, 6): x, y, score of the joints in the image, and in the mirrored one, mirrored back; pixels."""
    if kept.is_file():
        return np.load(kept)
    predictor = Predictor(model, flip_test=False)
    skeleton: Skeleton = predictor.skeleton
    own = places(skeleton)
    twins = [skeleton.flip_index[joint] for joint in own]

    def views() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for sample in people.samples:
            image = read_image(sample.image)
            x, y, width, height = sample.box
            yield image, sample.box[None]
            yield np.ascontiguousarray(image[:, ::-1]), np.array([[image.shape[1] - x - width, y, width, height]])

    rows = []
    for number, (image, box) in enumerate(views()):
        found = predictor(image, box)
        each = np.column_stack([found.keypoints[0], found.confidence[0]])
        if number % 2:
            each[:, 0] = image.shape[1] - 1 - each[:, 0]
        rows.append(each[twins if number % 2 else own])
    stacked = np.stack(rows).reshape(-1, 2, len(own), 3)
    np.save(kept, both := np.concatenate([stacked[:, 0], stacked[:, 1]], axis=-1))
    return both


def labels(people: LabelledPeople) -> tuple[np.ndarray, np.ndarray]:
    """Positions and COCO's flags."""
    own, samples = places(people.skeleton), list(people.samples)
    truth = np.stack([sample.keypoints[own, :2] for sample in samples])
    return truth, np.stack([sample.visible[own] for sample in samples])


def measured(
    _: str,
    *,
    given: Labelled,
    held_out: Labelled,
    skeleton: Skeleton,
    count: int,
    seed: int,
    settings: dict[str, bool],
) -> dict[str, Any]:
    """Fit a wrapper to some people, and measure it on the people held out."""
    channels = 6 if settings.get("mirrored") else 3
    inputs, truth, visible = given
    rows = np.random.default_rng(seed).permutation(len(inputs))[:count]
    probabilities = bool(inputs[..., 2].min() >= 0 and inputs[..., 2].max() <= 1)
    model = KeypointWrapper(skeleton, probabilities=probabilities, **settings)
    fitted = fit(model, inputs[rows][..., :channels], truth[rows], visible[rows], np.arange(len(rows)), seed)
    calibration = calibrate(fitted.errors, model, fitted.loss, LEVELS)
    model.calibration = calibration
    inputs, truth, visible = held_out
    known = visible > 0
    people = torch.from_numpy(inputs[..., :channels]).float()
    with torch.no_grad():
        prediction = model.calibrated(model(people))
        target = model.relative(torch.from_numpy(np.nan_to_num(truth)).float(), people)
        nll = -fitted.loss.log_prob(prediction.mu, prediction.sigma, target)
        middle, size = model.placement(people)
        keypoints = (prediction.mean * size[:, None, None] + middle[:, None]).numpy()
        radius = ((target - prediction.mean) / prediction.std).square().sum(dim=-1).sqrt().numpy()
    before, after = (
        (np.linalg.norm(x - truth, axis=-1) / size.numpy()[:, None])[known] for x in (inputs[..., :2], keypoints)
    )
    spread = prediction.std.norm(dim=-1).numpy()
    return {
        "sigma_rank": rank_correlation(spread[known], after),
        "score_rank": rank_correlation(-inputs[..., 2][known], before),
        **{f"coverage@{level:g}": float((radius <= calibration.radius_at(level))[known].mean()) for level in LEVELS},
        "nll": float(nll.numpy()[known].mean()),
        "error_of_size": float(after.mean()),
        "error_of_size before": float(before.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--movenet", type=Path, help="weights of MoveNet (docs/pose.md)")
    parser.add_argument("--ours", type=Path, help="run or checkpoint of a model of ours, trained on the training part")
    parser.add_argument("--out", type=Path, default=Path("runs/wrapped_programs"))
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS), choices=COUNTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(given.figures, SHOWN)
    train, val = (open_people(given.data / "joints.mat", part=part) for part in ("train", "val"))
    sigmas = tuple(COCO.sigmas[COCO.joints.index(joint)] for joint in JOINTS)
    skeleton = Skeleton("person", JOINTS, oks_sigmas=sigmas)
    sources: dict[str, tuple[Labelled, Labelled]] = {}
    for name, path in (("MoveNet", given.movenet), ("ours", given.ours)):
        if path is None:
            continue
        model = load_weights(path)[0]
        found = predicted(model, val, given.out / f"{name}-val.npy"), *labels(val)
        if name == "MoveNet":
            sources[name] = (predicted(model, train, given.out / "MoveNet-train.npy"), *labels(train)), found
        else:
            first, second = zip(*(np.array_split(values, 2) for values in found), strict=True)
            sources[name] = first, second
    for seed in range(given.seeds):
        for count in given.counts:
            for name, (fit_on, held_out) in sources.items():
                for variant in given.variants:
                    if count <= len(fit_on[0]):
                        run = partial(
                            measured, given=fit_on, held_out=held_out, skeleton=skeleton, count=count, seed=seed,
                            settings=VARIANTS[variant],
                        )  # fmt: skip
                        runs.add(f"{name}, {variant}, {count}", seed, run)
    print(runs.table("program, views, labelled people"))
    plot(runs, "sigma_rank", "rank correlation of sigma and error", given.out / "sigma_rank.png", "labelled people")
    plot(runs, "coverage@0.9", "coverage of 90 % regions", given.out / "coverage.png", "labelled people")


if __name__ == "__main__":
    main()
