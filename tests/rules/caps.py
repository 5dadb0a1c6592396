"""The rules of queries that are cut off, and of descriptions that nothing can be made of."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"

RULES = (
    rule(
        "a query that may have been cut off is compared with its parts",
        f"{_API}/reading.py",
        '        if not suspect:\n            return ""\n',
        '        return ""\n',
        "tests/hostile/test_caps.py::test_a_query_that_is_cut_off_in_silence_is_not_called_complete",
    ),
    rule(
        "records that share their moment show no cap",
        f"{_API}/capped.py",
        "        return self._values.above(low) <= high\n",
        "        return True\n",
        "tests/hostile/test_caps.py::test_a_query_that_is_cut_off_in_silence_is_not_called_complete",
    ),
    rule(
        "what was in hand when a scan expired is not taken for landed",
        f"{_API}/reading.py",
        "            except ScanExpired as problem:\n                self._put_back()\n",
        "            except ScanExpired as problem:\n",
        "tests/hostile/test_caps.py"
        "::test_a_scan_that_expires_while_it_is_compared_loses_nothing_of_the_page_in_hand",
    ),
    rule(
        "a number in a path of a body needs an array that is there",
        f"{_API}/paths.py",
        "        if step.isdigit() and step not in held:\n",
        "        if False:\n",
        "tests/hostile/test_odd_descriptions.py"
        "::test_a_name_that_is_no_place_in_the_body_is_refused_where_it_is_declared",
    ),
    rule(
        "what is held from earlier runs is compared with each record",
        f"{_API}/memory.py",
        "        self._compares = bool(self._held)\n",
        "        self._compares = False\n",
        "tests/integration/test_api_again.py::test_without_marks_only_what_is_new_or_changed_or_back_lands",
    ),
)
