"""Detectors of people and their joints: what each head reaches on synthetic scenes, and on a few photographs.

    python benchmarks/detectors.py                         synthetic scenes: one network, one budget for each head
    python benchmarks/detectors.py --photographs COCO      also overfit eight photographs (sanity check)
    python benchmarks/detectors.py --elsewhere COCO        also evaluate finished runs on other images

The scenes are those of the recipe `mask_rcnn_synthetic_rle`: others in training than in evaluation. "RLE after
heatmaps" starts from the heatmap head's network, as the paper's author does; "heatmaps after heatmaps" trains as long.
If the heatmap run is there, it is the first stage, and minutes are those of the second. "Of cells" takes mu from 14×14
cells instead of the heatmap head's maps; these have a cross-entropy loss only after heatmaps. COCO is a folder in
COCO's layout with training images; the first eight of them with labelled joints are for training and evaluation.
A seed changes the weights, the order and the augmentation. A run's figures go to `benchmarks/figures/detectors.json` as
soon as it is finished, and a run that is there is not repeated; `--again` evaluates those whose folder is still there
again.

    ap, ap50      COCO's average precision of keypoints over all images; a person's score is the box's. Synthetic people
                  are small (the square root of their area is 23 px in the median): joints with a Gaussian error of
                  1 px along x and y have an AP of .55, of 2 px .18
    …_of_means    of heatmaps, coordinates as RLE has them, by the mean of squared probabilities
    ap_…          AP by another score: "product", "sum" and, for models with a standard deviation, "oks"
    oks           mean object keypoint similarity of labelled people whose box is detected
    matched       recall of labelled people: a box with an intersection over union of half or more
    recall_at_threshold  "matched" by detections at or above the score threshold of `predict`
    error_px      mean distance of a joint of those from its label, pixels of the image
    nll           negative log-likelihood, nats per joint of those, in the box's coordinates
    coverage@0.9  coverage of nominal 90 % regions
    sigma_rank    Spearman's correlation of a joint's standard deviation with its error
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from logpose.core.samples import Scoring
from logpose.core.skeletons import Skeleton
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files
from logpose.data.image_sets import ImageSet, LabelledImage, whole_images
from logpose.data.images import read_image
from logpose.losses import RLELoss, WithHeatmaps
from logpose.models import Detector, MaskRCNN
from logpose.models.mask_rcnn import load_mask_rcnn_weights
from logpose.recipes import mask_rcnn, point_set
from logpose.tasks.detection.evaluate import evaluate_detector
from logpose.tasks.detection.predict import Finder
from logpose.tasks.detection.recipe import BY_MAPS, DetectionRecipe, MaskRCNNRecipe
from logpose.tasks.pose.images import plot_poses
from logpose.training.checkpoint import load
from logpose.training.run import fit
from tables import Runs, folder_of, is_whole, whole


def rcnn(**fields: Any) -> Callable[[], DetectionRecipe]:
    """Mask R-CNN's recipe for synthetic scenes with other plain fields."""
    return lambda: replace(mask_rcnn.mask_rcnn_synthetic_rle(), **fields)


def of_cells_after() -> DetectionRecipe:
    """RLE of cells as coarse as the features, with their cross-entropy, after heatmaps."""
    return replace(
        mask_rcnn.mask_rcnn_synthetic_rle(),
        model=partial(mask_rcnn.mask_rcnn, options=replace(mask_rcnn.SMALL, coordinates="cells", with_logits=True)),
        mu_from="average",  # no option of the network's besides
        loss=lambda: WithHeatmaps(RLELoss(), cells=True),
        pretrain="heatmap",
        epochs=4,
    )


def heatmaps_after() -> DetectionRecipe:
    """The baseline for as long as "RLE after heatmaps"."""
    after: MaskRCNNRecipe = mask_rcnn.mask_rcnn_synthetic_rle()
    return replace(after, head="heatmap", first=MaskRCNNRecipe.heatmap_stage, epochs=4)


SCENES: dict[str, Callable[[], DetectionRecipe]] = {
    "Mask R-CNN, RLE": rcnn(),
    "Mask R-CNN, heatmaps": rcnn(head="heatmap"),
    "Mask R-CNN, RLE after heatmaps": rcnn(pretrain="heatmap", epochs=4),
    "Mask R-CNN, heatmaps after heatmaps": heatmaps_after,
    "Mask R-CNN, RLE of cells": rcnn(mu_from="cells"),
    "Mask R-CNN, RLE of cells after heatmaps": of_cells_after,
    "point-set anchors, RLE": point_set.point_set_synthetic_rle,
    "point-set anchors, L1": lambda: replace(point_set.point_set_synthetic_rle(), loss="l1"),
}
SHOWN = (
    "ap", "ap_product", "ap_oks", "ap50", "oks", "matched", "recall_at_threshold", "error_px", "nll", "coverage@0.9",
    "sigma_rank", "minutes",
)  # fmt: skip
FIGURES = Path(__file__).parent / "figures" / "detectors.json"
SHEET = 12  # images with detected people, in each run's folder as people.jpg
FEW, EPOCH, BATCH = 8, 50, 4  # photographs, repetitions of each in an epoch, batch size


class First:
    """The first photographs of a data set with labelled joints, each repeated."""

    def __init__(self, images: ImageSet, count: int, times: int = 1) -> None:
        self.skeleton: Skeleton = images.skeleton
        every = (images[i] for i in range(len(images)))
        self.chosen = [image for image in every if any((who.visible > 0).any() for who in image.people)][:count]
        self.times = times

    def __len__(self) -> int:
        return self.times * len(self.chosen)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.chosen[index % len(self.chosen)]


def overfit(recipe: DetectionRecipe, file: Path, steps: int) -> DetectionRecipe:
    """A recipe for scenes on eight photographs, without augmentation, evaluated on the same."""
    photographs = whole_images(CocoKeypoints(file))

    def people(_: DetectionRecipe, part: str) -> ImageSet:
        return First(photographs, FEW, EPOCH if part == "train" else 1)

    still = {"view": "whole", "short": (192,), "test_short": 192, "longest": 320, "flip": 0.0, "batch_size": BATCH}
    return replace(recipe, people=people, epochs=max(1, steps * BATCH // (FEW * EPOCH)), validate_every=1, **still)


def read_by_means(trained: MaskRCNN, weights: Path) -> MaskRCNN:
    """A heatmap network whose coordinates are means, as RLE's, not maxima: to see what that changes."""
    options = replace(trained.options, coordinates="maps", sharpness=BY_MAPS["sharpness"])
    arguments = {"head": "regression", "predicts_sigma": False, "options": options.config()}
    model = MaskRCNN.from_config({**trained.config(), **arguments})
    load_mask_rcnn_weights(model, str(weights))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/detectors"), help="folder of the runs")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="file of their figures")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="the run of this name, or those whose name contains it")
    parser.add_argument("--photographs", type=Path, default=None, help="folder in COCO's layout")
    parser.add_argument(
        "--elsewhere", type=Path, default=None, help="also evaluate finished runs on these; COCO's layout"
    )
    parser.add_argument("--again", action="store_true", help="evaluate finished runs again")
    parser.add_argument("--steps", type=int, default=600, help="of overfitting photographs")
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
        # The last epoch's weights: the best epoch is chosen on the images of the evaluation.
        model, loss = load(folder / "last.ckpt")
        assert isinstance(model, Detector)
        val = recipe.people(recipe, "val")
        first = [val[i].image for i in range(min(SHEET, len(val)))]
        shown = [read_image(image) if isinstance(image, Path) else image for image in first]
        plot_poses(list(zip(shown, Finder(model).many(shown), strict=True)), folder / "people.jpg", columns=6)
        evaluation = evaluate_detector(model, val, loss)
        figures = evaluation.compute()
        if isinstance(model, MaskRCNN) and model.output_type == "heatmap logits":
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
            recipes[f"{name}, {FEW} photographs"] = partial(overfit, make(), file, given.steps)
    for seed in range(given.seeds):
        for name, make in recipes.items():
            if given.only == name if given.only in recipes else given.only in name:
                recipe = replace(make(), seed=seed)
                folder = folder_of(name, seed)
                there = is_whole(given.out / folder, recipe)
                again = partial(measured, recipe) if given.again and there else None
                runs.add(name, seed, partial(trained, recipe), again)
                if given.elsewhere is not None and there:
                    other = replace(recipe, people=elsewhere)
                    runs.add(f"{name}, elsewhere", seed, lambda _, r=other, f=folder: measured(r, f))
    print(runs.table("network"))


if __name__ == "__main__":
    main()
