"""Exceptions that logpose raises: one for input that is wrong, and a subclass for each case that callers handle."""

from __future__ import annotations

__all__ = [
    "DamagedFileError",
    "InputError",
    "NoImagesError",
    "OtherRunError",
    "UnknownKindError",
    "UnknownSubjectError",
]


class InputError(ValueError):
    """A file, row or option from outside is not as it should be; the message is one sentence naming it."""


class NoImagesError(InputError):
    """A JSON file has no list `images`: no COCO file, but perhaps a file of keypoints."""


class UnknownKindError(InputError):
    """A configuration names a class that is not of this package, such as a loss or a flow of the user's own."""


class UnknownSubjectError(InputError):
    """A subject was asked for that the file does not have."""


class DamagedFileError(InputError):
    """A file does not have the content that was written: its checksum, its size or its structure is wrong."""


class OtherRunError(InputError):
    """Another run is being trained in the folder."""
