"""The rules of what a small change costs: what is left out of a reading, and that nothing is lost by it."""

from __future__ import annotations

from tests.rules.base import rule

_NEAR = "tests/unit/storage/test_near.py::test_rows_with_one_of_some_keys_are_those_of_a_join"

RULES = (
    rule(
        "bounds leave out no row that is asked for",
        "src/headworks/storage/near.py",
        "for value in (values.min(), values.max()))",
        "for value in (values.min(), values.min()))",
        _NEAR,
    ),
    rule(
        "a list of keys has all of them",
        "src/headworks/storage/near.py",
        "pl.col(name).is_in(listed.implode())",
        "pl.col(name).is_in(listed.head(1).implode())",
        _NEAR,
    ),
)
