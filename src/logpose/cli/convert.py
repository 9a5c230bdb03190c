"""`logpose convert`: a checkpoint, also another code's, as a folder that can be read safely."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from logpose.core.config import Options

__all__ = ["ConvertOptions", "run"]


@dataclass(kw_only=True)
class ConvertOptions(Options):
    """Write a checkpoint of logpose or of another code as a safe folder."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """Checkpoint: logpose's, the released code's, mmpose's RLE head, SimplePose, HRNet, or MoveNet's JSON."""
    out: Path
    """Folder for model.safetensors and config.json."""
    origin: Literal["auto", "logpose", "released", "mmpose", "heatmaps", "movenet"] = "auto"
    """Code that wrote the checkpoint; detected unless given."""
    skeleton: Literal["coco", "mpii", "lsp", "h36m"] | None = None
    """Skeleton of another code's checkpoint; by the number of its joints unless given."""
    size: tuple[int, int] | None = None
    """Height and width of its crops, in pixels."""
    half: bool = False
    """Weights in half precision: half as large; they are computed with in single precision."""
    description: str | None = None
    """What the model is, in a line; kept in config.json."""
    licence: str | None = None
    """Licence of the weights and of the data that they were trained on; kept likewise."""
    push_to: str | None = None
    """OWNER/NAME on the Hugging Face Hub to upload it to as well."""


def run(options: ConvertOptions) -> int:
    """Write the folder; returns the exit code.

    Raises:
        InputError: if the checkpoint cannot be read, or the folder is not empty.
    """
    from logpose.core import skeletons
    from logpose.core.files import refuse_taken
    from logpose.training.checkpoint import notes, save
    from logpose.training.interop import load_weights, push_to_hub

    refuse_taken(options.out)
    skeleton = None if options.skeleton is None else getattr(skeletons, options.skeleton.upper())
    model, loss = load_weights(options.source, options.origin, skeleton, options.size)
    given = {"description": options.description, "licence": options.licence}
    kept = notes(options.source) | {"converted_from": options.source.name}
    kept |= {name: text for name, text in given.items() if text is not None}
    save(model, loss, options.out, options.half, **kept)
    print(f"wrote {options.out}: {len(model.skeleton)} joints, from {model.input_spec}", file=sys.stderr)
    if options.push_to:
        print(push_to_hub(model, loss, options.push_to, half=options.half, **kept))
    return 0
