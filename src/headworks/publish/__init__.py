"""Gold to the people who use it: published whole, or not at all."""
