"""Data of any format through the commands: inspected, trained on for an epoch, and evaluated, whole and held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def through_the_commands(
    command: Callable[..., tuple[int, str, str]], data: Path, out: Path, *words: Any
) -> tuple[int, list[str], int]:
    """The people and joints that `inspect` counts, and the people that `eval` measures of what training held out.

    Args:
        command: runs `logpose WORDS`; returns exit code, stdout and stderr.
        data: what `--data` names, with eleven images or so.
        out: the folder of the run.
        words: flags that all commands take.
    """
    code, text, err = command("inspect", data, "--json", "--out", out / "sheets", *words)
    assert code == 0, err
    (counted,) = json.loads(text).values()
    small = ("--size", "32x32", "--epochs", 1, "--batch-size", 16, "--workers", 0, "--precision", "32-true")
    code, _, err = command("train", "coco_resnet18_rle", "--data", data, "--out", out / "run", *small, *words)
    assert code == 0, err
    model = out / "run" / "best.ckpt"
    code, text, err = command("eval", model, "--data", data, "--part", "val", "--json", "--device", "cpu", *words)
    assert code == 0, err
    return counted["counts"]["people"], counted["skeleton"]["joints"], json.loads(text)["people"]
