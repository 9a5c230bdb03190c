"""Densities on R^D that can be learned: each has `log_prob` and `sample`."""

from logpose.flows.adapters import DistributionDensity, as_density
from logpose.flows.compose import Clamped, Mirrored, Mixture, Symmetric
from logpose.flows.density import Density, NamedDensity, density_from_config
from logpose.flows.mixture import GaussianMixture
from logpose.flows.packed import RealNVP
from logpose.flows.realnvp import PlainRealNVP
from logpose.flows.simple import SimpleDensity

__all__ = [
    "Clamped",
    "Density",
    "DistributionDensity",
    "GaussianMixture",
    "Mirrored",
    "Mixture",
    "NamedDensity",
    "PlainRealNVP",
    "RealNVP",
    "SimpleDensity",
    "Symmetric",
    "as_density",
    "density_from_config",
]
