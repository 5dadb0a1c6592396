"""The rules of reading APIs: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import rule

_API = "src/headworks/sources/api"
_ECHO = "tests/unit/sources/api/test_echoed_credentials.py"
_TABLE = "tests/unit/sources/api/test_header_table.py"
_ECHOED = f"{_ECHO}::test_what_an_api_repeats_of_our_credentials_is_in_nothing_that_anybody_reads"
_POISON = (
    "tests/hostile/test_poisoned_records.py"
    "::test_a_record_that_nobody_can_read_is_refused_alone_and_kept_and_comes_once_it_is_fixed"
)
_WHOLE = "tests/integration/test_api_wholeness.py"

RULES = (
    rule(
        "an excerpt of an answer is cut after its secrets were taken out, and not before",
        "src/headworks/redaction.py",
        '    said = redacted(" ".join(held.split()))\n',
        '    said = redacted(" ".join(held.split())[:most])\n',
        "tests/unit/test_redaction.py::test_an_excerpt_holds_no_piece_of_a_secret_wherever_it_is_cut",
    ),
    rule(
        "what an error was raised from holds no secret either",
        "src/headworks/redaction.py",
        "        clean.__cause__ = below\n",
        "        clean.__cause__ = shown\n",
        "tests/unit/test_redaction.py::test_no_secret_is_left_in_an_exception_nor_in_what_it_was_raised_from",
    ),
    rule(
        "what an API wrote into an address of ours is taken out before the address is kept",
        f"{_API}/reading.py",
        "self._compose.clean(url)})",
        "url})",
        _ECHOED,
    ),
    rule(
        "a secret of another source takes nothing out of an address",
        f"{_API}/request.py",
        "holds_secret(value, least=_NEVER_BY_CHANCE)",
        "holds_secret(value)",
        f"{_ECHO}::test_a_secret_of_another_source_takes_nothing_out_of_an_address",
    ),
    rule(
        "a credential that was made for one request is looked for too",
        f"{_API}/transport.py",
        "                _know_signed(response.request, made.url)\n",
        "                pass\n",
        _ECHOED,
    ),
    rule(
        "a number that is a moment is not taken for a number of seconds",
        f"{_API}/waiting.py",
        "    if number < _POINT_IN_TIME:",
        "    if number < 1e18:",
        f"{_TABLE}::test_moments_spans_and_several_limits_are_read_as_they_are_meant",
    ),
    rule(
        "no header asks for a wait beyond the bound",
        f"{_API}/waiting.py",
        "        return min(number, LONGEST_S)\n",
        "        return number\n",
        f"{_TABLE}::test_every_made_up_header_asks_for_nothing_or_for_a_bounded_wait",
    ),
    rule(
        "every member of a compressed answer is unpacked",
        f"{_API}/encodings.py",
        "                left = inflating.unused_data\n",
        '                left = b""\n',
        f"{_TABLE}::test_a_body_is_read_whatever_its_header_says_where_its_bytes_say_what_it_is",
    ),
    rule(
        "a record that is no UTF-8 is refused, and its neighbours land",
        f"{_API}/records.py",
        "        return replace(found, faults=_faults(found.records))\n",
        "        return found\n",
        _POISON,
    ),
    rule(
        "a record that is no JSON is refused, and its neighbours land",
        f"{_API}/records.py",
        "    return Body(records, fields, _faults(records))\n",
        "    return Body(records, fields)\n",
        _POISON,
    ),
    rule(
        "a field that no page has had ends no scan",
        f"{_API}/reading.py",
        "            step = await self._settled(turn, page, fetched, step)\n",
        "            pass\n",
        f"{_WHOLE}::test_an_end_that_rests_on_a_field_which_is_never_there_is_refused_by_name",
    ),
    rule(
        "a link with a page's number proves no end",
        f"{_API}/paginate/shifting.py",
        '        if not (state.get("numbered") or by_number or opaque):\n',
        "        if True:\n",
        f"{_WHOLE}::test_links_and_tokens_that_hide_a_pages_number_prove_no_end_while_rows_are_deleted",
    ),
    rule(
        "what a split window's page held is not taken for landed",
        f"{_API}/reading.py",
        "            except WindowTooLarge as problem:\n                self._put_back()\n",
        "            except WindowTooLarge as problem:\n",
        f"{_WHOLE}::test_a_cap_loses_nothing_with_a_key_and_without_and_over_many_splits",
    ),
    rule(
        "a full read that is not shown to be complete deletes nothing",
        "src/headworks/bronze/ingest.py",
        "    if report.shown is False:\n",
        "    if False:\n",
        f"{_WHOLE}::test_a_full_read_that_is_not_shown_to_be_complete_deletes_nothing",
    ),
    rule(
        "much less than was announced fails the run",
        f"{_API}/verdict.py",
        "count < total * _NEARLY_ALL",
        "False",
        "tests/integration/test_api_source.py"
        "::test_much_less_than_was_announced_is_landed_and_fails_the_run_unless_it_was_an_estimate",
    ),
    rule(
        "an answer without records is asked whether it failed",
        f"{_API}/failing.py",
        "        if why:\n",
        "        if False:\n",
        "tests/unit/sources/api/test_failed_answers.py"
        "::test_an_answer_without_records_that_says_that_it_failed_is_the_error_that_it_says",
    ),
)
