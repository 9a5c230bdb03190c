"""Densities on R^D that can be learned: each has `log_prob` and `sample`."""

from logpose.flows.adapters import DistributionDensity, as_density
from logpose.flows.density import Density, NamedDensity, density_from_config
from logpose.flows.mixture import GaussianMixture
from logpose.flows.packed import RealNVP
from logpose.flows.realnvp import PlainRealNVP
from logpose.flows.simple import SimpleDensity

__all__ = [
    "Density",
    "DistributionDensity",
    "GaussianMixture",
    "NamedDensity",
    "PlainRealNVP",
    "RealNVP",
    "SimpleDensity",
    "as_density",
    "density_from_config",
]
