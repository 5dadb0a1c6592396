"""API servers that we did not write, run for real on data that everybody knows.

What belongs here: starting them and filling them. What does not: reading them, which the tests do.
"""
