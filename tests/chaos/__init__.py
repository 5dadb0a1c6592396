"""The chaos campaign: real processes killed at seeded random moments, and every table compared to the row."""
