"""Making a Prefect server as it is declared, and reporting what was changed: one module a kind of thing."""
