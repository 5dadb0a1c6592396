"""The rules of scans that end early, and of tokens that are numbers."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"
_TESTS = "tests/hostile/test_early_ends.py"

RULES = (
    rule(
        "an empty or last page that nothing confirms is asked for twice",
        f"{_API}/reading.py",
        "        if not self._is_to_be_seen_twice(turn, fetched):\n            return fetched\n",
        "        return fetched\n",
        f"{_TESTS}::test_no_scan_that_ends_early_is_called_complete",
    ),
    rule(
        "an empty page in the middle is a gap where no other page shows that the API filters",
        f"{_API}/paginate/base.py",
        '        if self.sparse or not state.get("hollow") or',
        "        if True or",
        f"{_TESTS}::test_no_scan_that_ends_early_is_called_complete",
    ),
    rule(
        "a token that is a number proves an end only as a key, or where each page begins with the key that follows",
        f"{_API}/paginate/shifting.py",
        '    return not numbers.get("gap") and _is_next(numbers, page)\n',
        "    return True\n",
        f"{_TESTS}::test_no_scan_that_ends_early_is_called_complete",
    ),
    rule(
        "a count that left something out is a gap",
        f"{_API}/paginate/shifting.py",
        "self._gap(state)) or _leap(",
        'self._gap(state)) or "" and _leap(',
        f"{_TESTS}::test_no_scan_that_ends_early_is_called_complete",
    ),
    rule(
        "a reading whose span may be divided keeps what it has landed in its position",
        f"{_API}/progress.py",
        " or incremental.until_parameter is not None)",
        ")",
        "tests/hostile/test_caps.py::test_a_kill_in_between_changes_nothing_about_that",
    ),
)
