"""The gate beside what can be written by hand, and beside its peers."""
