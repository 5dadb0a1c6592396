"""Paginated HTTP APIs as sources."""
