"""Measured beside the physical limit and beside peers, in one run. Timings belong here and nowhere else."""
