"""Helpers of the engine's tests: sources of known records, a small dataset, and ways to break things on purpose."""
