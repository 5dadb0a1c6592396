"""Measurements: headworks beside its peers and beside the physical limit, in one run. Nothing here is a test."""
