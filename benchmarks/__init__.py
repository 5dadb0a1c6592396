"""Measurements beside physical limits and peers; never part of the tests."""
