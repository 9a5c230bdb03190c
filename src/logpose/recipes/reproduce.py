"""The paper's tables: each row with its published figures and the recipe that trains it.

Figures are in the paper's units: AP, PCKh and AUC in percent, MPJPE in millimetres. "Pre-trained" is the paper's *, a
backbone with heatmap pre-training. Measured figures are those of the run's best checkpoint on the validation
data; of COCO they are for ground-truth boxes, while the paper's AP is for detected ones (`logpose eval --boxes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError

__all__ = ["TABLES", "Row", "Table", "measure", "table_named"]


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    method: str
    published: tuple[float | None, ...]
    """The paper's figures, one for each of the table's metrics; None where it gives none."""
    preset: str = ""
    """Name of the preset that trains it; empty if none does."""
    flags: str = ""
    """Flags after the preset's name."""
    reason: str = ""
    """Why it cannot be run here; empty if it can."""

    @property
    def command(self) -> str:
        """The command that trains it, without the path of the data; empty if there is none."""
        return self.with_data()

    def with_data(self, data: str = "") -> str:
        """The command that trains it on a file or folder; empty if there is none."""
        return " ".join(
            ["logpose", "train", *(word for word in (self.preset, data, self.flags) if word)] * bool(self.preset)
        )


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    name: str
    title: str
    metrics: tuple[tuple[str, str, float], ...]
    """Of each column: its heading, the name of the metric in a run's figures, the factor to the paper's unit."""
    data: str
    """The data set; empty if none is needed."""
    rows: tuple[Row, ...]

    @property
    def note(self) -> str:
        """Why measured figures cannot be compared with published ones as they are; empty if they can."""
        return BOXES if any(row.preset.startswith("coco_") for row in self.rows) else ""


AP = (("AP", "ap", 100.0),)
PCKH = (("PCKh@0.5", "pckh@0.5", 100.0), ("PCKh@0.1", "pckh@0.1", 100.0), ("AUC", "pckh_auc", 100.0))
PEARSON, PIXELS = (("Pearson's r", "confidence_oks", 1.0),), (("error px", "error_px", 1.0),)
OF_SYNTHETIC = (*PIXELS, ("NLL", "nll", 1.0))
MPJPE = (("MPJPE mm", "mpjpe", 1.0), ("PA-MPJPE mm", "pa_mpjpe", 1.0))

COCO, MPII, H36M = "COCO keypoints (annotations/ and images/)", "MPII", "Human3.6M in the released code's format"
POSES, DUKE = "data_3d_h36m.npz in VideoPose3D's format", "Duke DME (a folder of .mat files)"

C, M, H, L, B = "coco_resnet50_rle", "mpii_resnet50_rle", "h36m_resnet50_rle", "lifting_fc_rle", "oct_column_rle"
TEST_DEV = "published on test-dev, whose labels only COCO's server has: train, then `logpose predict` and upload"
BOXES = "measured with the labels' boxes, published with detected ones: `logpose eval RUN/best.ckpt --boxes` compares"
OCCLUSION = "no command measures errors under synthetic occlusion"

TABLES: tuple[Table, ...] = (
    Table("1", "Direct regression, DLE and RLE (COCO val, ResNet-50, 256×192)", AP, COCO, (
        Row("Direct regression (L1)", (58.1,), C, "--loss l1"),
        Row("DLE", (62.7,), C, "--loss dle"),
        Row("RLE", (70.5,), C),
        Row("RLE, pre-trained", (71.3,), C, "--pretrain heatmap"),
    )),
    Table("2a", "Heatmaps and regression (COCO val, ResNet-50, 256×192)", AP, COCO, (
        Row("SimplePose (heatmap)", (71.0,), "coco_resnet50_heatmap"),
        Row("Integral Pose", (63.0,), C, "--head integral --loss l1"),
        Row("RLE, pre-trained", (71.3,), C, "--pretrain heatmap"),
    )),
    Table("2b", "HRNet (COCO val, HRNet-W32, 256×192)", AP, COCO, (
        Row("HRNet-W32 (heatmap)", (74.1,), "coco_resnet50_heatmap",
            "--backbone hrnet_w32 --epochs 210 --milestones 170 200"),
        Row("HRNet-W32 with RLE", (74.3,), C, "--backbone hrnet_w32 --head integral"),
    )),
    Table("2c", "Mask R-CNN (COCO val, ResNet-50)", AP, COCO, (
        Row("Mask R-CNN (heatmap)", (66.0,), "mask_rcnn_resnet50_rle", "--head heatmap"),
        Row("Mask R-CNN with RLE", (66.7,), "mask_rcnn_resnet50_rle"),
        Row("Mask R-CNN with RLE, pre-trained (the author's reading)", (66.7,), "mask_rcnn_resnet50_rle",
            "--pretrain heatmap --steps 180000 --milestones 120000 160000"),
    )),
    Table("2d", "Point-set anchors (COCO val, HRNet-W32)", AP, COCO, (
        Row("Point-set anchors (L1)", (67.0,), "point_set_hrnet_w32_rle", "--loss l1"),
        Row("Point-set anchors with RLE", (67.4,), "point_set_hrnet_w32_rle"),
    )),
    Table("3", "State of the art (COCO test-dev; the input size is not published)", AP, COCO, (
        Row("RLE, ResNet-152", (74.2,), C, "--backbone resnet152 --size 384x288", TEST_DEV),
        Row("RLE, ResNet-152, pre-trained", (75.1,), C,
            "--backbone resnet152 --size 384x288 --pretrain heatmap", TEST_DEV),
        Row("RLE, HRNet-W48", (75.7,), C, "--backbone hrnet_w48 --head integral --size 384x288", TEST_DEV),
    )),
    Table("5", "Hidden layers of the flow's networks (COCO val, ResNet-50; also Table 11)", AP, COCO, (
        Row("3 layers of 64", (70.5,), C),
        Row("3 layers of 128", (70.2,), C, "--flow-hidden 128 128"),
        Row("3 layers of 256", (69.6,), C, "--flow-hidden 256 256"),
        Row("5 layers of 32", (70.0,), C, "--flow-hidden 32 32 32 32"),
        Row("5 layers of 64", (70.3,), C, "--flow-hidden 64 64 64 64"),
    )),
    Table("6", "Correlation of confidence and OKS (COCO val, ResNet-50)", PEARSON, COCO, (
        Row("SimplePose (heatmap)", (0.479,), "coco_resnet50_heatmap"),
        Row("Gaussian", (0.476,), C, "--loss gaussian"),
        Row("Laplace", (0.522,), C, "--loss laplace"),
        Row("RLE, Q Gaussian", (0.540,), C, "--base gaussian"),
        Row("RLE, Q Laplace", (0.553,), C),
    )),
    Table("7", "Densities (COCO val, ResNet-50, 256×192)", AP, COCO, (
        Row("Gaussian, constant scale (L2)", (36.6,), C, "--loss l2"),
        Row("Laplace, constant scale (L1)", (58.1,), C, "--loss l1"),
        Row("Gaussian", (60.2,), C, "--loss gaussian"),
        Row("Laplace", (67.4,), C, "--loss laplace"),
        Row("RLE, Q Gaussian", (70.0,), C, "--base gaussian"),
        Row("RLE, Q Laplace", (70.5,), C),
    )),
    Table("8", "3-D pose by one network (Human3.6M, ResNet-50, 256×256; the paper adds --mpii)", MPJPE, H36M, (
        Row("Direct regression (L1)", (50.1, 39.3), H, "--loss l1"),
        Row("Integral Pose", (49.2, 39.1), H, "--head integral --loss l1"),
        Row("RLE", (48.6, 38.5), H),
    )),
    Table("9", "3-D pose from 2-D keypoints (Human3.6M, fully connected baseline)", MPJPE, POSES, (
        Row("Direct regression (L1)", (43.6, 33.2), L, "--loss l1"),
        Row("RLE", (40.9, 31.1), L),
    )),
    Table("10", "SRNet (Human3.6M; RLE lowers MPJPE by 0.2 mm; the figures are not in the text used)", MPJPE, POSES, (
        Row("SRNet, 1 frame (L1)", (None, None), L, "--network srnet --loss l1"),
        Row("SRNet, 1 frame, with RLE", (None, None), L, "--network srnet"),
        Row("SRNet, 243 frames (L1)", (None, None), L, "--network srnet --filters 3 3 3 3 3 --loss l1"),
        Row("SRNet, 243 frames, with RLE", (None, None), L, "--network srnet --filters 3 3 3 3 3"),
    )),
    Table("12", "MPII (val, ResNet-50, 256×256)", PCKH, MPII, (
        Row("Direct regression (L1)", (83.8, 23.6, 52.6), M, "--loss l1"),
        Row("SimplePose (heatmap)", (87.1, 25.4, 56.2), M, "--head heatmap --epochs 140 --milestones 90 120"),
        Row("RLE", (85.5, 26.7, 55.1), M),
        Row("RLE, pre-trained", (85.8, 27.1, 55.5), M, "--pretrain heatmap"),
    )),
    Table("13-mpii", "DLE and RLE (MPII val, ResNet-50)", PCKH, MPII, (
        Row("DLE", (84.3, 25.3, 53.5), M, "--loss dle"),
        Row("RLE", (85.5, 26.7, 55.1), M),
    )),
    Table("13-h36m", "DLE and RLE (Human3.6M, ResNet-50; the paper adds --mpii)", MPJPE, H36M, (
        Row("DLE", (51.0, 39.8), H, "--loss dle"),
        Row("RLE", (48.6, 38.5), H),
    )),
    Table("14", "Auxiliary heatmap loss (COCO val, ResNet-50, 256×192)", AP, COCO, (
        Row("Direct regression (L1), weight 1", (57.5,), C, "--loss l1 --auxiliary 1"),
        Row("Direct regression (L1), weight 0.5", (56.7,), C, "--loss l1 --auxiliary 0.5"),
        Row("Direct regression (L1), none", (58.1,), C, "--loss l1"),
        Row("RLE, weight 1", (70.4,), C, "--auxiliary 1"),
        Row("RLE, weight 0.5", (70.2,), C, "--auxiliary 0.5"),
        Row("RLE, none", (70.5,), C),
    )),
    Table("15", "Errors under occlusion, Integral Pose (Human3.6M)", MPJPE[:1], H36M, (
        Row("Integral Pose", (None,), H, "--head integral --loss l1", OCCLUSION),
    )),
    Table("16", "Errors under occlusion, RLE (Human3.6M)", MPJPE[:1], H36M, (Row("RLE", (None,), H, "", OCCLUSION),)),
    Table("17", "The constant s in the loss (COCO val, ResNet-50, 256×192)", AP, COCO, (
        Row("DLE", (62.7,), C, "--loss dle"),
        Row("RLE without s", (70.5,), C, "--convention paper"),
        Row("RLE with s", (70.5,), "coco_resnet50_rle_paper_with_s"),
    )),
    Table("retina", "Retinal boundaries (Duke DME; the paper does not give the unit)", PIXELS, DUKE, (
        Row("Direct regression (L1), full", (18.1,), B, "--head full --size 224x768 --columns 500 --loss l1"),
        Row("RLE, full", (3.1,), B, "--head full --size 224x768 --columns 500"),
        Row("RLE, column", (3.1,), B, "--columns 500"),
        Row("He et al. 2019", (None,), B, "--head rows --loss l1 --columns 500",
            "its network was never released; the head and loss can be trained with the command"),
    )),
    Table("complexity", "Parameters and GFLOPs (Tables 1, 6, 8, 11 and 17)", (), "", (
        Row("all", (), reason="nothing is trained: `logpose complexity` counts them beside the paper's figures"),
    )),
    Table("synthetic", "Not of the paper: RLE and L1 on synthetic people, for minutes on a CPU", OF_SYNTHETIC, "", (
        Row("L1", (None, None), "synthetic_resnet18_rle", "--loss l1"),
        Row("RLE", (None, None), "synthetic_resnet18_rle"),
    )),
)  # fmt: skip
"""All of the paper's tables with figures, in its order."""


def table_named(name: str) -> Table:
    """A table by its name.

    Raises:
        InputError: if there is none; the message lists the names.
    """
    tables = {table.name: table for table in TABLES}
    if name.lower() not in tables:
        raise InputError(f"there is no table {name!r} (they are {', '.join(tables)})")
    return tables[name.lower()]


def measure(recipe: Any, folder: str | Path) -> Mapping[str, float] | None:
    """The figures of a recipe's best checkpoint, after training it in a folder; None if training was interrupted.

    A finished run in the folder is kept, an unfinished one is resumed.

    Raises:
        InputError: if the data cannot be used, or the folder has a run on other data, or of another model or loss.
    """
    # The tables are printed without torch.
    from logpose.training.checkpoint import read
    from logpose.training.recipe import plain_recipe
    from logpose.training.resume import is_finished
    from logpose.training.run import fit
    from logpose.training.run_folder import last_checkpoint

    folder = Path(folder)
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    if last.is_file():
        content, data = read(last), plain_recipe(recipe).get("data")
        if content["logpose"].get("recipe", {}).get("data") != data:
            raise InputError(f"{folder}: has a run on other data than {data}; choose another --out")
        if is_finished(content, recipe):
            figures: Mapping[str, float] = read(best if best.is_file() else last)["logpose"]["figures"]
            return figures
    run = fit(recipe, folder, last_checkpoint(folder))
    return None if run.interrupted else run.figures
