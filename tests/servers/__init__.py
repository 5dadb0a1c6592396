"""API servers that we did not write, run for real on data that everybody knows."""
