"""Fixtures of the operator's suite: the demo, run once for all tests that look at it."""

from tests.support.demo import Command, Demo, demo, run_in

__all__ = ["Command", "Demo", "demo", "run_in"]
