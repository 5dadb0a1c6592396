"""The reference company: an online shop with a database, an API, known dirt, and a way to tell the truth.

What belongs here is about this one company: its data, its rules and its sources. The engine that moves and
checks data knows nothing of it and lives in `headworks`.
"""
