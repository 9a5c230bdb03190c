"""How flags are spelled: with dashes; and names of the version before, whose flags are taken once more."""

from __future__ import annotations

import re

__all__ = ["DATA", "RENAMED", "dashed", "in_dashes"]

RENAMED = {"image_folder": "images"}
"""Flags of the version before, and what they are called now."""
DATA = "data"
"""The field of what is learned or measured: a word without a flag. As a flag it is of the version before."""


def dashed(flag: str) -> str:
    """A flag as people read it: --save-json."""
    return flag.replace("_", "-")


def in_dashes(text: str) -> str:
    """A text with its flags as people read them."""
    return re.sub(r"(?<![\w-])--[a-z][\w.]*", lambda flag: dashed(flag[0]), text)
