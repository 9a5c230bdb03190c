"""Keypoint regression by maximum likelihood: where each joint is, and how sure the network is."""

__version__ = "0.1.0"
