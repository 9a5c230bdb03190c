"""Readers and makers of labelled people, each yielding `Sample`s, and the way from there to batches of crops."""

from typing import TYPE_CHECKING

from logpose.core.lazy import lazy

if TYPE_CHECKING:
    from logpose.core.samples import People
    from logpose.data.augmentation import Augmentation
    from logpose.data.crops import Crops, InMemory, crop_loader
    from logpose.data.transforms import CropTransform
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "augmentation": ("Augmentation",),
            "crops": ("Crops", "InMemory", "People", "crop_loader"),
            "transforms": ("CropTransform",),
        },
    )

__all__ = ["Augmentation", "CropTransform", "Crops", "InMemory", "People", "crop_loader"]
