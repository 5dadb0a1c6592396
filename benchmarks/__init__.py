"""Measurements: headworks alongside its peers and alongside the physical limit, in one run. Nothing here is a test."""
