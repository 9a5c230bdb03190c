"""Boundaries of retinal layers in B-scans."""
