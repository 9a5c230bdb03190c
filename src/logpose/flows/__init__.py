"""Densities on R^D that can be learned: each has `log_prob` and `sample`."""

from logpose.flows.adapters import DistributionDensity, as_density
from logpose.flows.density import Density
from logpose.flows.mixture import GaussianMixture
from logpose.flows.realnvp import RealNVP

__all__ = ["Density", "DistributionDensity", "GaussianMixture", "RealNVP", "as_density"]
