"""The networks of the paper at its input sizes, by name: their counts beside the figures that the paper prints."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING
from logpose.metrics.complexity import complexity, flow_flops, without_values
from logpose.models import (
    Detector,
    HeatmapModel,
    HRNet,
    IntegralModel,
    LiftingModel,
    MaskRCNN,
    Model,
    PointSetAnchors,
    RegressionModel,
    ResNet,
)
from logpose.training.checkpoint import load_model

__all__ = ["FLOWS", "SYSTEMS", "System", "as_text", "count_flows", "count_models"]

IMAGE, LARGE, SQUARE = (256, 192), (384, 288), (256, 256)


@dataclass(frozen=True)
class System:
    """A network of the paper."""

    make: Callable[[], Model]
    """Constructs it."""
    parameters: str = ""
    """As printed in the paper; empty where it prints none."""
    gflops: str = ""
    """As printed in the paper."""
    head: str = ""
    """GFLOPs of the head, as printed in the paper."""
    batch: int = 1
    """Number of inputs in these GFLOPs."""


# Constructing the trunks takes most of the time, and counting changes nothing in them.
_resnet, _hrnet = cache(ResNet), cache(HRNet)


def _regression(depth: int, size: tuple[int, int], sigma: bool = True) -> Callable[[], Model]:
    return lambda: RegressionModel(_resnet(depth), COCO, size, predicts_sigma=sigma)


def _lifting(network: Literal["fc", "martinez", "srnet"], sigma: bool = False, **settings: Any) -> System:
    """The paper prints the GFLOPs of the baseline on a batch of 64 poses, Martinez's."""
    printed = ("4.3M", "0.275") if network == "fc" and not sigma else ("", "")
    return System(lambda: LiftingModel(network, H36M_LIFTING, sigma, settings), *printed, batch=64)


SYSTEMS = {
    "resnet50_direct": System(_regression(50, IMAGE, sigma=False), "23.6M", "4.0"),
    "resnet50_rle": System(_regression(50, IMAGE), "23.6M", "4.0", "0.0002"),
    "resnet50_simplepose": System(lambda: HeatmapModel(_resnet(50), COCO, IMAGE), "34.0M", "9.7", "5.7"),
    "resnet50_3d_direct": System(
        lambda: RegressionModel(_resnet(50), H36M, SQUARE, dim=3, predicts_sigma=False), "23.8M", "5.4"
    ),
    "resnet50_3d_rle": System(lambda: RegressionModel(_resnet(50), H36M, SQUARE, dim=3), "23.8M", "5.4"),
    "resnet50_3d_integral": System(lambda: IntegralModel(_resnet(50), H36M, SQUARE, dim=3), "34.3M", "14.1"),
    "resnet101_rle": System(_regression(101, IMAGE)),
    "resnet101_384_rle": System(_regression(101, LARGE)),
    "resnet152_rle": System(_regression(152, IMAGE)),
    "resnet152_384_rle": System(_regression(152, LARGE)),
    "hrnet_w32_heatmap": System(lambda: HeatmapModel(_hrnet(32, neck=False), COCO, IMAGE)),
    "hrnet_w32_rle": System(lambda: IntegralModel(_hrnet(32), COCO, IMAGE, predicts_sigma=True)),
    "hrnet_w48_384_heatmap": System(lambda: HeatmapModel(_hrnet(48, neck=False), COCO, LARGE)),
    "hrnet_w48_384_rle": System(lambda: IntegralModel(_hrnet(48), COCO, LARGE, predicts_sigma=True)),
    "lifting_fc": _lifting("fc"),
    "lifting_fc_rle": _lifting("fc", sigma=True),
    "lifting_martinez": _lifting("martinez", unseen=[H36M_LIFTING.joints.index("nose")]),
    "lifting_srnet": _lifting("srnet"),
    "lifting_srnet243": _lifting("srnet", filters=(3, 3, 3, 3, 3)),
    "point_set_hrnet_w32_rle": System(lambda: PointSetAnchors(_hrnet(32), COCO)),
    "mask_rcnn_resnet50_heatmap": System(lambda: MaskRCNN(COCO, head="heatmap")),
    "mask_rcnn_resnet50_rle": System(lambda: MaskRCNN(COCO)),
}
"""By name, each at the paper's input size, or the usual one where the paper gives none."""

FLOWS = {
    "3×64": ((64, 64), "53.8K", "1.8M"),
    "3×128": ((128, 128), "205.8K", "6.9M"),
    "3×256": ((256, 256), "804.8K", "27.3M"),
    "5×32": ((32,) * 4, "40.0K", "1.3M"),
    "5×64": ((64,) * 4, "153.6K", "5.2M"),
}
"""The flows of Tables 5 and 11 (linear layers of a net × width): hidden widths; parameters and FLOPs as printed."""

JOINTS, POINTS_OF_S = 17, 400  # at which a flow is evaluated for one image, and for the sum that estimates s


def count_models(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Count networks, one after another: parameters and multiply-accumulates for one input.

    A detector is counted for an image with one person, every layer at its largest number of regions.

    Args:
        names: of `SYSTEMS`, or paths of checkpoints.

    Yields:
        the name and its counts. "parameters"; "macs", "macs_backbone", "macs_head": computed; "as_the_paper_counts",
        "as_the_paper_counts_head": for `batch` inputs, in the paper's manner; "paper": the paper's figures. A network
        whose library is not installed has "error" only.

    Raises:
        InputError: if a name is neither; the message suggests the closest.
    """
    for name in names:
        if name not in SYSTEMS and not Path(name).exists():
            near = difflib.get_close_matches(name, SYSTEMS, n=2, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputError(f"{name}: neither a checkpoint nor a network of the paper{hint}")
    for name in names:
        system = SYSTEMS.get(name)
        if system is None:
            yield name, _counts(_load(Path(name)), None)
            continue
        try:
            with without_values():
                model = system.make()
        except InputError as error:
            yield name, {"error": str(error)}
            continue
        yield name, _counts(model, system)


def _load(path: Path) -> Model:
    in_run = path / "best.ckpt"  # of a run's folder, its best checkpoint
    return load_model(in_run if in_run.is_file() else path)


def _counts(model: Model, system: System | None) -> dict[str, Any]:
    batch = 1 if system is None else system.batch
    example, spec = model.example_input(), model.input_spec
    if isinstance(model, Detector):
        counted = complexity(model, example, model.backbone_path, model.run_layers)
        spec = f"an image of {example.shape[2]}×{example.shape[3]}"
    else:
        counted = complexity(model, example)
    return {
        "input": spec,
        "batch": batch,
        "parameters": counted.parameters,
        "macs": counted.macs,
        "macs_backbone": counted.backbone_macs,
        "macs_head": counted.head_macs,
        "as_the_paper_counts": counted.printed * batch,
        "as_the_paper_counts_head": counted.printed_head * batch,
        "paper": {} if system is None else {"parameters": system.parameters, "gflops": system.gflops},
    }


def count_flows() -> dict[str, dict[str, Any]]:
    """Counts of the flows, which are part of training only; their FLOPs are for 17 joints (Tables 11 and 17)."""
    return {
        name: {
            "parameters": 2 * 6 * sum(a * b + b for a, b in pairwise((2, *hidden, 2))),
            "flops": flow_flops(2, 6, hidden, JOINTS),
            "flops_with_s": flow_flops(2, 6, hidden, JOINTS + POINTS_OF_S),
            "paper": {"parameters": parameters, "flops": flops},
        }
        for name, (hidden, parameters, flops) in FLOWS.items()
    }


def as_text(models: dict[str, dict[str, Any]], flows: dict[str, dict[str, Any]]) -> str:
    """Counts of networks and of flows as a table."""
    width = max(map(len, [*models, "flow (training only)"]))
    lines = [
        f"{'':{width}} {'':32}  GMAC, as computed   GMAC, as the paper counts",
        f"{'network':{width}} {'input':>10} {'parameters':>11} {'paper':>9}  "
        f"{'all':>9} {'head':>9} {'all':>9} {'head':>9}  {'paper':>7}",
    ]
    for name, row in models.items():
        if "error" in row:
            lines.append(f"{name:{width}} not counted: {row['error']}")
            continue
        paper = row["paper"]
        giga = [row[key] / 1e9 for key in ("macs", "macs_head", "as_the_paper_counts", "as_the_paper_counts_head")]
        lines.append(
            f"{name:{width}} {row['input'].rpartition(' of ')[2]:>10} {row['parameters']:>11,} "
            f"{paper.get('parameters', ''):>9}  "
            + " ".join(f"{value:9.4f}" for value in giga)
            + f"  {paper.get('gflops', ''):>7}"
        )
    batches = {row.get("batch", 1) for row in models.values()} - {1}
    lines += [f"as the paper counts, for networks that lift: a batch of {max(batches)} poses"] if batches else []
    if any(row.get("input", "").startswith("an image") for row in models.values()):
        lines += ["detectors: one person in the image; Mask R-CNN with all the proposals that it keeps of an image"]
    if flows:
        title = f"{'flow (training only)':{width}} {'':10} {'parameters':>11} {'paper':>9}"
        lines += ["", f"{title}    MFLOPs    paper   with s"]
    for name, row in flows.items():
        lines.append(
            f"{name:{width}} {'':10} {row['parameters']:>11,} {row['paper']['parameters']:>9}  "
            f"{row['flops'] / 1e6:8.3f} {row['paper']['flops']:>8} {row['flops_with_s'] / 1e6:8.1f}"
        )
    return "\n".join(lines)
