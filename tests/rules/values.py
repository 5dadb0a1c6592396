"""The rules of values that nobody knows or no type holds: refused alone, kept, named, and never chosen for."""

from __future__ import annotations

from tests.rules.base import rule

REPEATED = "src/headworks/sources/repeated.py"
PARSE, VANISHING = (f"src/headworks/silver/{name}.py" for name in ("parse", "vanishing"))
NESTED = "src/headworks/bronze/nested.py"

_TWICE, _TAKEN = "tests/unit/sources/test_repeated_names.py", "tests/integration/test_repeated_names.py"

RULES = (
    rule(
        "a record that gives a name twice with different values is rejected",
        PARSE,
        "REPEATED if unknown else None\n",
        "None\n",
        f"{_TAKEN}::test_a_record_with_a_name_twice_is_rejected_alone_and_kept_and_can_be_taken",
    ),
    rule(
        "a name with blanks before its colon is counted",
        REPEATED,
        "text.translate(None, _BLANKS).count",
        "text.count",
        f"{_TWICE}::test_a_name_that_comes_twice_with_different_values_is_seen_wherever_it_is",
    ),
    rule(
        "a number is not the text of it, nor another writing of it",
        REPEATED,
        "        return isinstance(other, _Number) and str.__eq__(self, other)\n",
        "        return str.__eq__(self, other)\n",
        f"{_TWICE}::test_a_name_that_comes_twice_with_different_values_is_seen_wherever_it_is",
    ),
    rule(
        "a line that gives a name twice is left to its own rules as it is",
        NESTED,
        "                if own is not None and conflicting(bytes(element), own):\n",
        "                if False:\n",
        f"{_TAKEN}::test_a_name_that_comes_twice_in_a_line_costs_that_line_alone",
    ),
    rule(
        "lines whose parent gives their key twice are refused",
        NESTED,
        "            if text is not None and self._is_in_doubt(text, parent):\n",
        "            if False:\n",
        f"{_TAKEN}::test_a_name_that_comes_twice_in_a_line_costs_that_line_alone",
    ),
)
