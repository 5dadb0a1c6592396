"""A reader killed, and a Postgres restarted, at seeded moments: every row lands exactly once."""
