"""Prefect tasks: one boundary each, with retries, a cache policy, a timeout, a name and a log line."""
