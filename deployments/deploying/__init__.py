"""Making a Prefect server as it is declared, and telling what was changed: each module brings one kind of thing there.

What belongs here: comparing what is wanted with what the server holds, and writing the difference. What does not: what
is wanted, which ``prefect.yaml`` and ``deployments/server.yaml`` say.
"""
