"""Prefect tasks: one boundary each, with retries, a cache policy, a timeout, a name and a log line.

What belongs here: those, and the loading of blocks by name. What does not: business logic, and frames: tasks take and
return references.
"""
