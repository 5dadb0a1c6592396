"""Rules of the house: what a project's people see and decide."""

from __future__ import annotations

from tests.rules.base import rule

RULES = (
    rule(
        "a password that is a word of a scheme leaves the scheme readable",
        "src/headworks/redaction.py",
        "            if _is_of_scheme(text, start, end):\n                continue\n",
        "",
        "tests/unit/test_redaction.py",
    ),
    rule(
        "a secret that is more than a scheme is taken out",
        "src/headworks/redaction.py",
        "one.start() <= start and end <= one.end()",
        "one.start() <= start",
        "tests/unit/test_redaction.py",
    ),
)
