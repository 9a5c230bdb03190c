"""The networks of the paper at its input sizes, by name: their counts beside the figures that the paper prints."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from logpose import models
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING
from logpose.metrics.complexity import WithoutValues, complexity
from logpose.models import Model
from logpose.models.exported import Exported

__all__ = ["SYSTEMS", "System", "count_models"]

IMAGE, LARGE, SQUARE = (256, 192), (384, 288), (256, 256)


class System(NamedTuple):
    """A network of the paper."""

    make: Callable[[], Model]
    parameters: str = ""
    """As printed in the paper; empty where it prints none."""
    gflops: str = ""
    """Likewise; these are multiply-accumulates, with transposed convolutions counted at their output's resolution."""


# Constructing the trunks takes most of the time, and counting changes nothing in them.
_resnet, _hrnet = cache(models.ResNet), cache(models.HRNet)


def _regression(depth: int, size: tuple[int, int], sigma: bool = True) -> Callable[[], Model]:
    return lambda: models.RegressionModel(_resnet(depth), COCO, size, predicts_sigma=sigma)


def _lifting(network: Literal["fc", "martinez", "srnet"], sigma: bool = False, **settings: Any) -> Callable[[], Model]:
    return lambda: models.LiftingModel(network, H36M_LIFTING, sigma, settings)


SYSTEMS = {
    "resnet50_direct": System(_regression(50, IMAGE, sigma=False), "23.6M", "4.0"),
    "resnet50_rle": System(_regression(50, IMAGE), "23.6M", "4.0"),
    "resnet50_simplepose": System(lambda: models.HeatmapModel(_resnet(50), COCO, IMAGE), "34.0M", "9.7"),
    "resnet50_3d_direct": System(
        lambda: models.RegressionModel(_resnet(50), H36M, SQUARE, dim=3, predicts_sigma=False), "23.8M", "5.4"
    ),
    "resnet50_3d_rle": System(lambda: models.RegressionModel(_resnet(50), H36M, SQUARE, dim=3), "23.8M", "5.4"),
    "resnet50_3d_integral": System(lambda: models.IntegralModel(_resnet(50), H36M, SQUARE, dim=3), "34.3M", "14.1"),
    "resnet101_rle": System(_regression(101, IMAGE)),
    "resnet101_384_rle": System(_regression(101, LARGE)),
    "resnet152_rle": System(_regression(152, IMAGE)),
    "resnet152_384_rle": System(_regression(152, LARGE)),
    "hrnet_w32_heatmap": System(lambda: models.HeatmapModel(_hrnet(32, neck=False), COCO, IMAGE)),
    "hrnet_w32_rle": System(lambda: models.IntegralModel(_hrnet(32), COCO, IMAGE, predicts_sigma=True)),
    "hrnet_w48_384_heatmap": System(lambda: models.HeatmapModel(_hrnet(48, neck=False), COCO, LARGE)),
    "hrnet_w48_384_rle": System(lambda: models.IntegralModel(_hrnet(48), COCO, LARGE, predicts_sigma=True)),
    "lifting_fc": System(_lifting("fc"), "4.3M", "0.275/64"),  # of a batch of 64 poses
    "lifting_fc_rle": System(_lifting("fc", sigma=True)),
    "lifting_martinez": System(_lifting("martinez", unseen=[H36M_LIFTING.joints.index("nose")])),
    "lifting_srnet": System(_lifting("srnet")),
    "lifting_srnet243": System(_lifting("srnet", filters=(3, 3, 3, 3, 3))),
    "point_set_hrnet_w32_rle": System(lambda: models.PointSetAnchors(_hrnet(32), COCO)),
    "mask_rcnn_resnet50_heatmap": System(lambda: models.MaskRCNN(COCO, head="heatmap")),
    "mask_rcnn_resnet50_rle": System(lambda: models.MaskRCNN(COCO)),
}
"""By name, each at the paper's input size, or the usual one where the paper gives none."""


def count_models(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Count networks, one after another: parameters and multiply-accumulates for one input.

    A detector is counted for an image with one person, every layer at its largest number of regions.

    Args:
        names: of `SYSTEMS`, or paths of checkpoints.

    Returns:
        an iterator of names and counts: "parameters", "macs", "macs_backbone", "macs_head", and of "paper" what it
        prints. A network whose library is not installed has "error" only.

    Raises:
        InputError: if a name is neither; the message suggests the closest.
    """
    for name in names:
        if name not in SYSTEMS and not Path(name).exists():
            near = difflib.get_close_matches(name, SYSTEMS, n=2, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputError(f"{name}: neither a checkpoint nor a network of the paper{hint}")
    return _counted(names)


def _counted(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names:
        if name not in SYSTEMS:
            from logpose.training.checkpoint import load_model

            best = Path(name) / "best.ckpt"  # of a run's folder
            model = load_model(best if best.is_file() else name)
            if isinstance(model, Exported):
                raise InputError(f"{name}: a file of `logpose export` has no layers to count: the checkpoint is needed")
            yield name, _counts(model)
            continue
        make, *paper = SYSTEMS[name]
        try:
            with WithoutValues():
                model = make()
        except InputError as error:
            yield name, {"error": str(error)}
        else:
            yield name, _counts(model, *paper)


def _counts(model: Model, parameters: str = "", gflops: str = "") -> dict[str, Any]:
    example, spec = model.example_input(), model.input_spec
    if isinstance(model, models.Detector):
        counted = complexity(model, example, model.backbone_path, model.run_layers)
        spec = f"an image of {example.shape[2]}×{example.shape[3]}"
    else:
        counted = complexity(model, example)
    counts = {"macs": counted.macs, "macs_backbone": counted.backbone_macs, "macs_head": counted.head_macs}
    paper = {"parameters": parameters, "gflops": gflops}
    return {"input": spec, "parameters": counted.parameters, **counts, "paper": paper}
