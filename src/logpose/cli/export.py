"""`logpose export`: a checkpoint as files for other runtimes, which prove that they predict the same."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from logpose.core.config import Options
from logpose.core.errors import InputError

__all__ = ["NOT_THE_SAME", "ExportOptions", "run"]

NOT_THE_SAME = 3
"""Exit code where an exported model predicts something else than its checkpoint."""


@dataclass(kw_only=True)
class ExportOptions(Options):
    """Write a checkpoint for other runtimes. Files that predict something else are not kept: exit code 3."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("checkpoint",)

    checkpoint: Path
    """Checkpoint: best.ckpt of a run, the run's folder, one that `logpose convert` wrote, or hf://OWNER/NAME."""
    to: tuple[Literal["onnx", "openvino", "torchscript", "executorch", "litert"], ...] = ("onnx",)
    """Kinds of files: onnx, openvino, torchscript, executorch, litert."""
    half: bool = False
    """Weights in half precision: files half as large; they are computed with in single precision."""
    int8: bool = False
    """Weights and activations of 8 bits, fast on CPUs; needs --data."""
    data: Path | None = None
    """With --int8: labelled data that the model was not trained on, for the ranges of activations and to calibrate
    sigma."""
    verify: Path | None = None
    """Labelled data to compare predictions on; those that the run was validated on unless given."""
    bundle: bool = False
    """Write a folder `bundle` too, which predicts by itself: the model, predict.py, and a page for browsers."""
    images: Path | None = None
    """Folder of the images of --verify and --data, if not beside them."""
    predictions: Path | None = None
    """Of wrappers: what the program predicts in the images of --verify, as for `eval`."""
    mirrored: Path | None = None
    """Of wrappers that were fitted with it: what the program predicts in the mirrored images."""
    people: int | None = None
    """Of detectors: most people in an image (20)."""
    unverified: bool = False
    """Keep the files without comparing predictions."""
    out: Path | None = None
    """Folder for the files; `export` beside the checkpoint unless given."""
    licence: str | None = None
    """Licence of the weights and of the data that they were trained on, kept in the files; the checkpoint's own unless
    given."""
    json: bool = False
    """Print the figures as JSON."""


def run(options: ExportOptions) -> int:
    """Write the files; returns the exit code.

    Raises:
        InputError: if the checkpoint cannot be exported, or the data are not what they should be.
    """
    from logpose.core.processor import threads_beside
    from logpose.export.export import export

    if options.half and options.int8:
        raise InputError("--half and --int8: choose one")
    if options.data and not options.int8:
        raise InputError("--data is for --int8; --verify names the data to compare predictions on")
    for name in ("verify", "predictions", "mirrored"):
        if options.unverified and getattr(options, name):
            raise InputError(f"--{name} and --unverified: choose one")
    with threads_beside(0):
        written = export(
            options.checkpoint, options.to, "half" if options.half else "int8" if options.int8 else "single",
            options.out, data=options.data, verify_on=options.verify, images=options.images,
            unverified=options.unverified, licence=options.licence, bundle=options.bundle, people=options.people,
            predictions=options.predictions, mirrored=options.mirrored,
        )  # fmt: skip
    if options.json:
        rows = [
            {"file": str(each.path), "kept": not each.excess, "excess": list(each.excess),
             **({} if each.verified is None else each.verified.figures())}
            for each in written
        ]  # fmt: skip
        print(json.dumps(rows, indent=2))
    for each in written:
        if not options.json and each.verified is not None:
            print(f"{each.path.name}, compared with the checkpoint on {each.verified.rows} rows:")
            print("\n".join(each.verified.text()))
        if each.excess:
            print(f"logpose: {each.path.name} is not kept: {'; '.join(each.excess)}", file=sys.stderr)
        else:
            print(f"wrote {each.path}", file=sys.stderr)
    return NOT_THE_SAME if any(each.excess for each in written) else 0
