"""Networks that find and pose people: that each head learns, on drawn scenes and on a few photographs.

    python benchmarks/detectors.py                         drawn scenes: one network, one budget for each head
    python benchmarks/detectors.py --photographs COCO      besides, learn eight photographs by heart
    python benchmarks/detectors.py --elsewhere COCO        besides, measure finished runs on other pictures

The scenes are those of the recipes `mask_rcnn_synthetic_…`: others in training than in evaluation. "RLE after heatmaps"
goes on from the heatmaps' network, as the paper's author does; "heatmaps after heatmaps" for as long. Where the
heatmaps' run is there, it is the first stage, and minutes are those of the second. "Of cells" reads mu from 14×14 cells
instead of the heatmap head's maps; these are charged by cross-entropy only after heatmaps. COCO is a folder in COCO's
layout with training images; the first eight of them in which somebody has labelled joints are learned, and measured on.
A seed changes the weights, the order and the augmentation. A run's figures go to `benchmarks/figures/detectors.json` as
soon as it is finished, and a run that is there is not made again; `--anew` measures once more those whose folder is
still there.

    ap, ap50      COCO's average precision of keypoints over all pictures; a person's score is the box's. Drawn people
                  are small (the square root of their area is 23 px in the median): joints that are off by a Gaussian
                  of 1 px along x and y have an AP of .55, of 2 px .18
    …_of_means    of heatmaps, places read as RLE reads them, by the mean of squared probabilities
    ap_…          AP by another score: "product", "sum" and, of models that know a spread, "oks"
    oks           mean object keypoint similarity of labelled people whose box is found
    matched       share of labelled people whose box is found: intersection over union of half or more
    recall_at_threshold  "matched" by detections at or above the score threshold of `predict`
    error_px      mean distance of a joint of those from its label, pixels of the picture
    nll           nats per joint of those, in the box's coordinates, of what the loss claims
    coverage@0.9  share of their labels in the region that claims 90 %
    sigma_rank    Spearman's correlation of a joint's spread with its error
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from logpose.core.skeletons import Skeleton
from logpose.core.structures import Scoring
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files
from logpose.data.image_sets import ImageSet, LabelledImage, whole_images
from logpose.data.images import read_image
from logpose.losses import RLELoss
from logpose.models import Detector, MaskRCNN
from logpose.models.mask_rcnn import load_mask_rcnn_weights
from logpose.recipes import mask_rcnn, point_set
from logpose.tasks.detection.evaluate import evaluate_detector
from logpose.tasks.detection.predict import Finder
from logpose.tasks.detection.recipe import DetectionRecipe
from logpose.tasks.pose.draw import plot_poses
from logpose.training.checkpoint import load
from logpose.training.fit import fit
from tables import Runs, folder_of, is_whole, whole


def of_cells() -> DetectionRecipe:
    """RLE of cells as coarse as the features, which nothing but their mean teaches."""
    return replace(
        mask_rcnn.mask_rcnn_synthetic_rle(),
        model=partial(mask_rcnn.mask_rcnn, options=replace(mask_rcnn.SMALL, coordinates="cells")),
        loss=RLELoss,
    )


def of_cells_after() -> DetectionRecipe:
    """RLE of such cells after heatmaps, charged."""
    return replace(
        mask_rcnn.mask_rcnn_synthetic_rle_heatmaps_first(),
        model=partial(mask_rcnn.mask_rcnn, options=replace(mask_rcnn.SMALL, coordinates="cells", with_logits=True)),
    )


def heatmaps_go_on() -> DetectionRecipe:
    """The baseline for as long as "RLE after heatmaps"."""
    return replace(mask_rcnn.mask_rcnn_synthetic_heatmap(), first=mask_rcnn.drawn_heatmaps_first, epochs=4)


SCENES: dict[str, Callable[[], DetectionRecipe]] = {
    "Mask R-CNN, RLE": mask_rcnn.mask_rcnn_synthetic_rle,
    "Mask R-CNN, heatmaps": mask_rcnn.mask_rcnn_synthetic_heatmap,
    "Mask R-CNN, RLE after heatmaps": mask_rcnn.mask_rcnn_synthetic_rle_heatmaps_first,
    "Mask R-CNN, heatmaps after heatmaps": heatmaps_go_on,
    "Mask R-CNN, RLE of cells": of_cells,
    "Mask R-CNN, RLE of cells after heatmaps": of_cells_after,
    "point-set anchors, RLE": point_set.point_set_synthetic_rle,
    "point-set anchors, L1": point_set.point_set_synthetic_l1,
}
SHOWN = (
    "ap", "ap_product", "ap_oks", "ap50", "oks", "matched", "recall_at_threshold", "error_px", "nll", "coverage@0.9",
    "sigma_rank", "minutes",
)  # fmt: skip
FIGURES = Path(__file__).parent / "figures" / "detectors.json"
SHEET = 12  # pictures with the people that were found, in each run's folder as people.jpg
FEW, EPOCH, BATCH = 8, 50, 4  # photographs, how often each is seen in an epoch, and how many are seen at a time


class First:
    """The first photographs of a data set in which somebody has labelled joints, each as often as one says."""

    def __init__(self, pictures: ImageSet, count: int, times: int = 1) -> None:
        self.skeleton: Skeleton = pictures.skeleton
        every = (pictures[i] for i in range(len(pictures)))
        self.chosen = [picture for picture in every if any((who.visible > 0).any() for who in picture.people)][:count]
        self.times = times

    def __len__(self) -> int:
        return self.times * len(self.chosen)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.chosen[index % len(self.chosen)]


def by_heart(recipe: DetectionRecipe, file: Path, steps: int) -> DetectionRecipe:
    """A recipe for scenes on eight photographs, without what varies them, measured on the same."""
    photographs = whole_images(CocoKeypoints(file))

    def people(_: DetectionRecipe, part: str) -> ImageSet:
        return First(photographs, FEW, EPOCH if part == "train" else 1)

    still = {"view": "whole", "short": (192,), "test_short": 192, "longest": 320, "flip": 0.0, "batch_size": BATCH}
    return replace(recipe, people=people, epochs=max(1, steps * BATCH // (FEW * EPOCH)), validate_every=1, **still)


def read_by_means(trained: MaskRCNN, weights: Path) -> MaskRCNN:
    """A heatmap network whose places are the means that RLE reads, and not maxima: how much of a difference is that."""
    options = replace(trained.options, coordinates="maps", sharpness=mask_rcnn.BY_MAPS["sharpness"])
    arguments = {"head": "regression", "predicts_sigma": False, "options": options.config()}
    model = MaskRCNN.from_config({**trained.config(), **arguments})
    load_mask_rcnn_weights(model, str(weights))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/detectors"), help="folder of the runs")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="what is kept of them")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="the run of this name, or those that have it in theirs")
    parser.add_argument("--photographs", type=Path, default=None, help="folder in COCO's layout")
    parser.add_argument(
        "--elsewhere", type=Path, default=None, help="measure finished runs on these too; COCO's layout"
    )
    parser.add_argument("--anew", action="store_true", help="measure finished runs once more")
    parser.add_argument("--steps", type=int, default=600, help="of learning photographs by heart")
    given = parser.parse_args()
    runs = Runs(given.figures, SHOWN)

    def trained(recipe: DetectionRecipe, name: str) -> dict[str, float]:
        if recipe.first is not None:
            before = given.out / f"Mask_R-CNN_{name.rpartition('_after_')[2]}"
            if is_whole(before, recipe.first(recipe)):
                recipe = replace(recipe, first=None, weights=str(before / "last.ckpt"))
        whole(fit(recipe, given.out / name))
        return measured(recipe, name)

    def measured(recipe: DetectionRecipe, name: str) -> dict[str, float]:
        folder = given.out / name
        # The last epoch's weights: those of the best epoch would be chosen on the pictures they are measured on.
        model, loss = load(folder / "last.ckpt")
        assert isinstance(model, Detector)
        val = recipe.people(recipe, "val")
        first = [val[i].image for i in range(min(SHEET, len(val)))]
        shown = [read_image(image) if isinstance(image, Path) else image for image in first]
        plot_poses(list(zip(shown, Finder(model).many(shown), strict=True)), folder / "people.jpg", columns=6)
        evaluation = evaluate_detector(model, val, loss)
        figures = evaluation.compute()
        if isinstance(model, MaskRCNN) and model.output_type == "cells":
            of_means = evaluate_detector(read_by_means(model, folder / "last.ckpt"), val).compute()
            figures |= {f"{figure}_of_means": of_means[figure] for figure in ("ap", "ap50", "oks", "error_px")}
        known = bool(model.error_distribution.std.isfinite().all())
        scorings: tuple[Scoring, ...] = ("product", "sum", "oks") if known else ("product", "sum")
        for scoring in scorings:
            evaluation.scoring = scoring
            figures[f"ap_{scoring}"] = evaluation.compute()["ap"]
        return figures

    def elsewhere(_: DetectionRecipe, __: str) -> ImageSet:
        return whole_images(CocoKeypoints(annotation_files(given.elsewhere)["val"]))

    recipes = dict(SCENES)
    if given.photographs is not None:
        file = annotation_files(given.photographs)["train"]
        alone = {name: make for name, make in SCENES.items() if make().first is None}
        for name, make in alone.items():
            recipes[f"{name}, {FEW} photographs"] = partial(by_heart, make(), file, given.steps)
    for seed in range(given.seeds):
        for name, make in recipes.items():
            if given.only == name if given.only in recipes else given.only in name:
                recipe = replace(make(), seed=seed)
                folder = folder_of(name, seed)
                there = is_whole(given.out / folder, recipe)
                anew = partial(measured, recipe) if given.anew and there else None
                runs.add(name, seed, partial(trained, recipe), anew)
                if given.elsewhere is not None and there:
                    other = replace(recipe, people=elsewhere)
                    runs.add(f"{name}, elsewhere", seed, lambda _, r=other, f=folder: measured(r, f))
    print(runs.table("network"))


if __name__ == "__main__":
    main()
