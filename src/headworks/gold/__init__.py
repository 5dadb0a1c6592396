"""Gold tables: made from pinned silver, staged, audited, committed, and published together as products."""
