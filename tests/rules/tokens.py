"""The rules of tokens that show nothing, and of habits of real APIs."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"
_EARLY = "tests/hostile/test_early_ends.py"
_PLACES = "tests/unit/sources/api/test_places.py"
_BESIDE = f"{_PLACES}::test_what_a_counter_holds_in_addition_makes_it_no_key"
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
        "a value that an earlier page has is no key",
        f"{_API}/paginate/places.py",
        'if worth < 0 or _digest((path, value)) in seen["known"]:',
        "if worth < 0:",
        f"{_PLACES}::test_a_value_that_an_earlier_page_has_is_no_key",
    ),
    rule(
        "a value that another record of its page has is no key",
        f"{_API}/paginate/places.py",
        "        if sum(record.get(path) == value for record in records) == 1:\n",
        "        if records:\n",
        f"{_PLACES}::test_a_value_that_another_record_of_the_page_has_is_no_key",
    ),
    rule(
        "a value that a later page has again is no key",
        f"{_API}/paginate/places.py",
        'for path, worth in before["last"].items() if not _comes_again(path, records, before)',
        'for path, worth in before["last"].items()',
        f"{_PLACES}::test_a_value_that_a_later_page_has_again_is_no_key",
    ),
    rule(
        "a day is no key but under the name of one",
        f"{_API}/paginate/places.py",
        "(_is_day(value) and not (of_key and is_number))",
        "False",
        f"{_BESIDE}[cursor-a day-6-all records]",
    ),
    rule(
        "a word is no key but under the name of one",
        f"{_API}/paginate/places.py",
        "not any(letter.isdigit() for letter in form)",
        "False",
        f"{_BESIDE}[cursor-an order-6-all records]",
    ),
    rule(
        "what names an order is no name of a key",
        f"{_API}/paginate/places.py",
        " and _ORDER_NAME.search(own) is None",
        "",
        f"{_BESIDE}[cursor-an order in JSON-6-all records]",
    ),
    rule(
        "the largest value there is, on a second page of one record, is no key",
        f"{_API}/paginate/places.py",
        '        if before["ways"] == 1 and page.records == 1:\n',
        "        if False:\n",
        f"{_BESIDE}[cursor-the largest id-6-all records]",
    ),
    rule(
        "numbers of rows that are no key leave no row out of sight",
        f"{_API}/paginate/places.py",
        "        if is_key(path, key) and not isinstance(value, float)",
        "        if not isinstance(value, float)",
        f"{_PLACES}::test_keys_without_a_gap_leave_nothing_out_and_numbers_of_rows_show_nothing",
    ),
    rule(
        "a count is a place where each page begins with the next key, and not with the next number of a row",
        f"{_API}/paginate/shifting.py",
        "    return {path: value for path, value in found.items() if is_key(path, page.key)}",
        "    return found",
        f"{_PLACES}::test_a_count_that_leads_to_the_next_number_is_a_place_where_that_is_a_key_alone",
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
