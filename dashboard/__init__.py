"""The sales dashboard: the published product as people look at it. It reads, and nobody imports it."""
