"""The groups of the ``headworks`` command, one module each, with ``add(commands)`` that puts its parsers in.

What belongs here: arguments and messages. What does not: the work. Prefect takes a second to import, so modules import
what needs it when they run, and ``--help`` need not wait.
"""
