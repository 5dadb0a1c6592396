"""Making a Prefect server as it is declared, and reporting what was changed: each module brings one kind of thing there."""
