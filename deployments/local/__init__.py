"""The local stack: everything that the demo needs, on this machine, without Docker and without an account."""
