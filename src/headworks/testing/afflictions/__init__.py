"""What can be wrong with an API, one class for each, and what must hold of a reading all the same.

What belongs here: afflictions and their catalogue. What does not: the API that has them (``hostile.py``).
"""
