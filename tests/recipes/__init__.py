"""The recipes of real APIs, each read from a small server that does what its vendor documents."""
