"""The paper's networks at its sizes, by name, with the figures that it prints of them beside what they are."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING
from logpose.flows import RealNVP
from logpose.metrics.complexity import complexity, flow_flops
from logpose.models import (
    Detector,
    HeatmapModel,
    HRNet,
    IntegralModel,
    KeypointModel,
    LiftingModel,
    RegressionModel,
    ResNet,
)
from logpose.training.checkpoint import load_model

__all__ = ["FLOWS", "SYSTEMS", "System", "count_flows", "count_models", "tell"]

IMAGE, LARGE, SQUARE = (256, 192), (384, 288), (256, 256)


@dataclass(frozen=True)
class System:
    """A network of the paper."""

    make: Callable[[], KeypointModel]
    """Builds it, with random weights."""
    parameters: str = ""
    """As the paper prints them; empty where it does not."""
    gflops: str = ""
    """As the paper prints them."""
    head: str = ""
    """GFLOPs of the head, as the paper prints them."""
    batch: int = 1
    """Inputs that these GFLOPs are of."""


def _regression(depth: int, size: tuple[int, int], sigma: bool = True) -> Callable[[], KeypointModel]:
    return lambda: RegressionModel(ResNet(depth), COCO, size, predicts_sigma=sigma)


def _lifting(network: Literal["fc", "martinez", "srnet"], sigma: bool = False, **settings: Any) -> System:
    """The paper prints GFLOPs of a batch of 64 poses, Martinez's, of the baseline."""
    printed = ("4.3M", "0.275") if network == "fc" and not sigma else ("", "")
    return System(lambda: LiftingModel(network, H36M_LIFTING, sigma, settings), *printed, batch=64)


SYSTEMS = {
    "resnet50_direct": System(_regression(50, IMAGE, sigma=False), "23.6M", "4.0"),
    "resnet50_rle": System(_regression(50, IMAGE), "23.6M", "4.0", "0.0002"),
    "resnet50_simplepose": System(lambda: HeatmapModel(ResNet(50), COCO, IMAGE), "34.0M", "9.7", "5.7"),
    "resnet50_3d_direct": System(
        lambda: RegressionModel(ResNet(50), H36M, SQUARE, dim=3, predicts_sigma=False), "23.8M", "5.4"
    ),
    "resnet50_3d_rle": System(lambda: RegressionModel(ResNet(50), H36M, SQUARE, dim=3), "23.8M", "5.4"),
    "resnet50_3d_integral": System(lambda: IntegralModel(ResNet(50), H36M, SQUARE, dim=3), "34.3M", "14.1"),
    "resnet101_rle": System(_regression(101, IMAGE)),
    "resnet101_384_rle": System(_regression(101, LARGE)),
    "resnet152_rle": System(_regression(152, IMAGE)),
    "resnet152_384_rle": System(_regression(152, LARGE)),
    "hrnet_w32_heatmap": System(lambda: HeatmapModel(HRNet(32, neck=False), COCO, IMAGE)),
    "hrnet_w32_rle": System(lambda: IntegralModel(HRNet(32), COCO, IMAGE, predicts_sigma=True)),
    "hrnet_w48_384_heatmap": System(lambda: HeatmapModel(HRNet(48, neck=False), COCO, LARGE)),
    "hrnet_w48_384_rle": System(lambda: IntegralModel(HRNet(48), COCO, LARGE, predicts_sigma=True)),
    "lifting_fc": _lifting("fc"),
    "lifting_fc_rle": _lifting("fc", sigma=True),
    "lifting_martinez": _lifting("martinez", unseen=[H36M_LIFTING.joints.index("nose")]),
    "lifting_srnet": _lifting("srnet"),
    "lifting_srnet243": _lifting("srnet", filters=(3, 3, 3, 3, 3)),
}
"""By name; each at the size that the paper, or where it is silent the field, uses it at."""

FLOWS = {
    "3×64": ((64, 64), "53.8K", "1.8M"),
    "3×128": ((128, 128), "205.8K", "6.9M"),
    "3×256": ((256, 256), "804.8K", "27.3M"),
    "5×32": ((32,) * 4, "40.0K", "1.3M"),
    "5×64": ((64,) * 4, "153.6K", "5.2M"),
}
"""The flows of Tables 5 and 11 (linear layers of a net × their width): hidden widths, parameters and FLOPs printed."""

JOINTS, POINTS_OF_S = 17, 400  # that the paper asks a flow for, of one image; and those over which it sums up s


def count_models(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parameters and multiply-accumulates of networks, for one input; as the paper counts, for `batch` of them.

    Args:
        names: of `SYSTEMS`, or paths of checkpoints.

    Raises:
        InputError: if a name is neither; the message suggests the nearest.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        system = SYSTEMS.get(name)
        if system is None and not Path(name).exists():
            near = difflib.get_close_matches(name, SYSTEMS, n=2, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputError(f"{name}: no checkpoint, and none of the paper's networks{hint}")
        path = Path(name)
        in_run = path / "best.ckpt"  # of a run's folder its best
        model = load_model(in_run if in_run.is_file() else path) if system is None else system.make()
        if isinstance(model, Detector):
            raise InputError(f"{name}: what a detector computes depends on who is in the picture; it is not counted")
        counted, batch = complexity(model, model.example_input()), system.batch if system else 1
        found[name] = {
            "input": model.input_spec,
            "batch": batch,
            "parameters": counted.parameters,
            "macs": counted.macs,
            "macs_backbone": counted.backbone_macs,
            "macs_head": counted.head_macs,
            "as_the_paper_counts": counted.printed * batch,
            "as_the_paper_counts_head": counted.printed_head * batch,
            "paper": {} if system is None else {"parameters": system.parameters, "gflops": system.gflops},
        }
    return found


def count_flows() -> dict[str, dict[str, Any]]:
    """The same of the flows, which are there in training only; their FLOPs are those of 17 joints (Tables 11, 17)."""
    return {
        name: {
            "parameters": sum(p.numel() for p in RealNVP(hidden=hidden).parameters()),
            "flops": flow_flops(2, 6, hidden, JOINTS),
            "flops_with_s": flow_flops(2, 6, hidden, JOINTS + POINTS_OF_S),
            "paper": {"parameters": parameters, "flops": flops},
        }
        for name, (hidden, parameters, flops) in FLOWS.items()
    }


def tell(models: dict[str, dict[str, Any]], flows: dict[str, dict[str, Any]]) -> str:
    """Both as text."""
    width = max(map(len, [*models, "flow (training only)"]))
    lines = [
        f"{'':{width}} {'':32}  GMAC, as computed   GMAC, as the paper counts",
        f"{'network':{width}} {'input':>10} {'parameters':>11} {'printed':>9}  "
        f"{'all':>9} {'head':>9} {'all':>9} {'head':>9}  {'printed':>7}",
    ]
    for name, row in models.items():
        paper = row["paper"]
        sees = row["input"].removeprefix("crops of ").removeprefix("keypoints of ")
        giga = [row[key] / 1e9 for key in ("macs", "macs_head", "as_the_paper_counts", "as_the_paper_counts_head")]
        lines.append(
            f"{name:{width}} {sees:>10} {row['parameters']:>11,} {paper.get('parameters', ''):>9}  "
            + " ".join(f"{value:9.4f}" for value in giga)
            + f"  {paper.get('gflops', ''):>7}"
        )
    batches = {row["batch"] for row in models.values()} - {1}
    lines += [f"as the paper counts, of networks that lift: for a batch of {max(batches)} poses"] if batches else []
    if flows:
        title = f"{'flow (training only)':{width}} {'':10} {'parameters':>11} {'printed':>9}"
        lines += ["", f"{title}    MFLOPs  printed   with s"]
    for name, row in flows.items():
        lines.append(
            f"{name:{width}} {'':10} {row['parameters']:>11,} {row['paper']['parameters']:>9}  "
            f"{row['flops'] / 1e6:8.3f} {row['paper']['flops']:>8} {row['flops_with_s'] / 1e6:8.1f}"
        )
    return "\n".join(lines)
