"""Losses, each a claim about the density of a keypoint's error, called alike: `loss(mu, sigma, target, weight)`."""

from logpose.losses.fixed import Gaussian, L1Loss, L2Loss, Laplace
from logpose.losses.likelihood import Distribution, LikelihoodLoss
from logpose.losses.mixed import MixedRLELoss
from logpose.losses.rle import RLELoss

__all__ = ["Distribution", "Gaussian", "L1Loss", "L2Loss", "Laplace", "LikelihoodLoss", "MixedRLELoss", "RLELoss"]
