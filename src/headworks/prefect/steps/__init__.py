"""The steps of a run, one boundary each: a source, a dataset, a gold table, a publication, an alert.

They load blocks by name, and take and return references, never frames.
"""
