"""What users of headworks test their own work with: a hostile API server, checks that any source must pass, and rules.

It ships with headworks, so that who writes a source, a paginator or a dataset tests it as ours are tested. See
docs/testing.md and docs/quality.md.
"""
