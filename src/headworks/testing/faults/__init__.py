"""What can be wrong with an API, one class for each, and what must hold of a reading all the same."""
