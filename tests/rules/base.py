"""What a rule is: a piece of the code that is taken out, and the tests that must then fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule, the text that is the rule, what is there without it, and the tests that must then fail."""

    name: str
    file: str
    taken: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def rule(name: str, file: str, old: str, new: str, *tests: str) -> Rule:
    """Make a rule that is in one place."""
    return Rule(name, file, ((old, new),), tests)
