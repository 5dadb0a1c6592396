"""The conformance kit: a hostile API server, known data, and a pytest suite that any source must pass.

It ships with headworks, so that who writes a source or a paginator tests it as ours are tested. See docs/testing.md.

What belongs here: servers, data whose truth is known, and checks. What does not: sources, and what a run needs.
Only ``suite`` imports pytest.
"""
