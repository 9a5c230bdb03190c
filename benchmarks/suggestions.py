"""Is `logpose suggest` worth its while? Labels chosen by a model, round by round, against random ones.

    python benchmarks/suggestions.py faces --data PATH/TO/faces68     # needs the extra `lite`
    python benchmarks/suggestions.py lspet --data PATH/TO/lspet

Every run begins with the same 50 labelled images of a seed, trains a model from ImageNet's weights, chooses 50 more of
the training part's images by it, and so on, for five rounds. Models are those of `few_labels.py`: RLE by attention, and
each round trains for `STEPS`; the last weights are measured on the same held-out people. Other choices:

    uncertainty   the most uncertain images, whatever they look like
    coreset       k-center greedy, whatever the uncertainty

Runs and figures are kept as in `lsp_pretrained.py`; a plot of all figures is drawn at the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from few_labels import SHOWN, STARTS, figures_of
from logpose.data.files import LabelledPeople
from logpose.recipes.coco import coco_lite0_rle
from logpose.recipes.lsp import MILD
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.predict import Predictor
from logpose.tasks.pose.recipe import Recipe
from logpose.tasks.pose.suggest import Candidates, candidates, choose, labelled_features
from tables import Runs, folder_of, plot

FIGURES = Path(__file__).parent / "figures"
FIRST, MORE, ROUNDS = 50, 50, 5
STEPS = 150
"""And one for each labelled image."""


def by_suggestion(found: Candidates, known: np.ndarray) -> list[int]:
    """As `logpose suggest`."""
    return list(choose(found.uncertainty, found.features, known, MORE))


def by_uncertainty(found: Candidates, _: np.ndarray) -> list[int]:
    """The most uncertain."""
    return np.argsort(-found.uncertainty)[:MORE].tolist()


def by_coreset(found: Candidates, known: np.ndarray) -> list[int]:
    """The farthest from what is known."""
    return list(choose(np.ones_like(found.uncertainty), found.features, known, MORE))


CHOICES: dict[str, Callable[[Candidates, np.ndarray], list[int]]] = {
    "suggest": by_suggestion,
    "uncertainty": by_uncertainty,
    "coreset": by_coreset,
}


EVERY = ("suggest", "random", *list(CHOICES)[1:])


def with_rows(people: LabelledPeople, rows: list[int]) -> LabelledPeople:
    """Some of the people."""
    people.samples = [people.samples[row] for row in rows]
    return people


def course(base: Recipe, choice: str, out: Path, runs: Runs) -> None:
    """All rounds of a choice."""
    pool = labelled_people(base, "train").samples
    generator = np.random.default_rng(base.seed)
    rows = generator.permutation(len(pool))[:FIRST].tolist()
    for step in range(ROUNDS + 1):
        count, chosen = FIRST + step * MORE, list(rows)
        name = f"{choice if step else 'first'}, {count}"

        def people(recipe: Any, part: str, chosen: list[int] = chosen) -> LabelledPeople:
            found = labelled_people(recipe, part)
            return with_rows(found, chosen) if part == "train" else found

        recipe = replace(base, steps=STEPS + count, people=people)

        runs.add(name, base.seed, partial(figures_of, recipe, out))
        if step == ROUNDS:
            return
        rest = sorted({*range(len(pool))} - {*rows})
        if choice == "random":
            rows += [rest[i] for i in generator.permutation(len(rest))[:MORE]]
            continue
        predictor = Predictor(out / folder_of(name, base.seed) / "last.ckpt", "cpu")
        found = candidates(predictor, ((pool[row].image, np.append(pool[row].box, 1.0)[None]) for row in rest))
        known = labelled_features(predictor, [pool[row] for row in rows])
        rows += [rest[i] for i in CHOICES[choice](found, known)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=SHOWN)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder for checkpoints")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--choices", nargs="+", default=EVERY, choices=EVERY)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    out = given.out or Path("runs") / f"suggestions_{given.what}"
    runs = Runs(given.figures or FIGURES / f"suggestions_{given.what}.json", SHOWN[given.what])
    for seed in range(given.seeds):
        for choice in given.choices:
            base = replace(
                coco_lite0_rle(), data=given.data, seed=seed, threads=given.threads, workers=0, flip_test=False,
                validate_every=10**6, watch="nme" if given.what == "faces" else "pck_torso@0.2", size=(128, 128),
                **STARTS["ImageNet"], **({"augmentation": MILD} if given.what == "lspet" else {}),
            )  # fmt: skip
            course(base, choice, out, runs)
    print(runs.table("choice, labelled images"))
    name, label = ("nme", "NME") if given.what == "faces" else ("pck12@0.2", "PCK@0.2 of the torso")
    plot(runs, name, label, out / "suggestions.png", "labelled images")


if __name__ == "__main__":
    main()
