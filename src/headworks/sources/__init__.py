"""Everything that can be read in batches from a position."""
