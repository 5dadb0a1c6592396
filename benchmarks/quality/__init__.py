"""The gate alongside what can be written by hand, and alongside its peers."""
