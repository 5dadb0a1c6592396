"""The rules of tokens that show nothing, and of habits of real APIs."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"
_EARLY = "tests/hostile/test_early_ends.py"
_HABITS = (
    "tests/hostile/test_real_habits.py::test_a_habit_of_real_apis_makes_no_reading_that_is_short_complete"
)

RULES = (
    rule(
        "a token that nothing shows to be a place after a key proves no end",
        f"{_API}/paginate/shifting.py",
        "        opaque = opaque and not shows_place(",
        "        opaque = False and not shows_place(",
        f"{_EARLY}::test_a_token_that_shows_nothing_is_shown_by_a_declaration_a_total_or_two_scans_that_agree",
    ),
    rule(
        "a token that holds a value of the last record is a place after a key",
        f"{_API}/paginate/places.py",
        '    seen["last"] = _narrowed(',
        "    _ = _narrowed(",
        f"{_EARLY}::test_what_is_as_it_should_be_is_read_exactly_and_shown_where_it_can_be",
    ),
    rule(
        "records that are numbered without a gap leave nothing out, also on the page that ends the scan",
        f"{_API}/paginate/places.py",
        "        if path not in now:\n            continue\n",
        "        if path not in now:\n            found[path] = [begun, reached]\n            continue\n",
        f"{_EARLY}::test_no_scan_that_ends_early_is_called_complete",
    ),
    rule(
        "what a token holds is not in the position",
        f"{_API}/paginate/places.py",
        '    seen["new"] = [_digest(pair) for pair in new]\n',
        '    seen["new"] = [_digest(pair) for pair in new]\n    seen["texts"] = _leaves(new)\n',
        "tests/unit/sources/api/test_echoed_credentials.py"
        "::test_what_an_api_repeats_of_our_credentials_is_in_nothing_that_anybody_reads",
    ),
    rule(
        "what an earlier reading may have missed keeps later ones from being called complete",
        f"{_API}/progress.py",
        "            missed=mark is not None and (",
        "            missed=False and (",
        _HABITS,
    ),
    rule(
        "a page before the first one is noticed",
        f"{_API}/reading.py",
        "        return _PRECEDED if before and first and",
        "        return _PRECEDED if False and",
        _HABITS,
    ),
    rule(
        "an empty page whose flag says that more follows shows no end",
        f"{_API}/reading.py",
        "_MORE_OF_NOTHING.format(flag=flag) if flag else",
        "_MORE_OF_NOTHING.format(flag=flag) if False else",
        _HABITS,
    ),
    rule(
        "without a key, what comes twice is counted for no other record",
        f"{_API}/reading.py",
        "self._verdict.twice and not resource.key",
        "False and not resource.key",
        _HABITS,
    ),
    rule(
        "an answer without records that speaks of too many requests is no empty page",
        f"{_API}/failing.py",
        "(limited := _LIMITED.search(value)) is not None",
        "(limited := _LIMITED.search(value)) is not None and False",
        _HABITS,
    ),
    rule(
        "a Link header whose next page cannot be read shows no end",
        f"{_API}/paginate/links.py",
        "        if not url and _NEXT_LINK.search(header)",
        "        if False and _NEXT_LINK.search(header)",
        _HABITS,
    ),
    rule(
        "a field alongside a record that nobody can read is read",
        f"{_API}/records.py",
        "        rest\n        and not isinstance(rest[0], Chosen)",
        "        False\n        and not isinstance(rest[0], Chosen)",
        "tests/unit/sources/api/test_records.py::test_a_record_that_is_odd_hides_no_field_alongside_it",
    ),
)
