"""Readers and makers of labelled people, each yielding `Sample`s, and the way from there to batches of crops."""

from logpose.data.crops import Crops, InMemory, People, crop_loader
from logpose.data.transforms import Augmentation, CropTransform

__all__ = ["Augmentation", "CropTransform", "Crops", "InMemory", "People", "crop_loader"]
