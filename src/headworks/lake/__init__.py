"""Delta tables: layout, commits, checkpoints, and the protocols that make them exactly-once.

Nothing outside this package imports deltalake.
"""
