"""The local stack: everything that the demo needs, on this machine, without Docker and without an account.

What belongs here: starting and stopping a Postgres, the shop's API and a Prefect server. What does not: anything that
production uses.
"""
