"""The rules of ingesting files: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import rule

_F = "src/headworks/sources/files"
_TYPES, _LEFT = "tests/integration/files/test_types.py", "tests/integration/files/test_left_out.py"
_POISON, _OPTIONS = "tests/integration/files/test_poison.py", "tests/unit/sources/files/test_csv_options.py"
_VALUES = (
    "tests/unit/sources/files/test_values.py::test_a_text_is_the_value_that_it_says_or_its_line_is_refused"
)
_TRIPS = "tests/unit/sources/files/test_round_trips.py"
_PIECES = "tests/unit/sources/files/test_piece_rows.py"
_LATER = f"{_TYPES}::test_of_any_later_type_bronze_holds_what_was_there_or_the_file_is_refused"

RULES = (
    rule(
        "a file with a column of another kind is refused before it is landed",
        f"{_F}/source.py",
        "yield replace(piece, frame=self._columns.fitted(piece.frame, declared))",
        "yield piece",
        f"{_LATER}",
    ),
    rule(
        "a batch that needs wider columns widens bronze before its commit",
        "src/headworks/bronze/landing.py",
        "            table = _holding(landing, table, head, batch)\n",
        "",
        f"{_LATER}",
    ),
    rule(
        "moments of Parquet's old type are read over all their years",
        f"{_F}/parquet.py",
        "                coerce_int96_timestamp_unit=int96,\n",
        "",
        f"{_TYPES}::test_moments_of_the_old_type_are_read_over_all_years_and_their_parts_refused",
    ),
    rule(
        "a refused file is tried again where its declaration changed",
        f"{_F}/progress.py",
        '        if taken.under and (self.again or taken.under != self.declared):\n            return "new"\n',
        "",
        f"{_TYPES}::test_a_refused_file_is_taken_again_where_the_settings_changed_or_it_is_asked_for",
    ),
    rule(
        "nothing but the end of its field follows a closing quote, in the fast way too",
        f"{_F}/delimited.py",
        "        if self._dialect.quote and not self._quotes_are_regular(text):\n            return None\n",
        "",
        f"{_OPTIONS}::test_a_value_behind_a_closing_quote_is_refused_and_not_put_together",
    ),
    rule(
        "a decimal with more digits than its type is not rounded",
        f"{_F}/values.py",
        "return _only(texts, exact).cast(",
        "return texts.cast(",
        f"{_OPTIONS}::test_a_value_that_its_type_would_change_is_refused",
    ),
    rule(
        "a float is the number of its text",
        f"{_F}/values.py",
        "return _only(read, same_numbers(texts, read)) if dtype == pl.Float64() else read",
        "return read",
        _VALUES,
    ),
    rule(
        "a day is written as its text is",
        f"{_F}/values.py",
        "return _only(read, _are_written(read.dt.to_string(form), texts, form))",
        "return read",
        _VALUES,
    ),
    rule(
        "a year of two digits has both of them",
        f"{_F}/values.py",
        'alike & texts.str.contains(_with_short_years(form)) if "%y" in form else alike',
        "alike",
        _VALUES,
    ),
    rule(
        "a moment is written as its text is",
        f"{_F}/values.py",
        "return _only(read, _are_written(written, texts, form))",
        "return read",
        _VALUES,
    ),
    rule(
        "a moment in UTC is in a year of the calendar",
        f"{_F}/values.py",
        "return _of_calendar(read)\n\n\ndef _distance",
        "return read\n\n\ndef _distance",
        _VALUES,
    ),
    rule(
        "text is decoded before it is divided where a byte need not be a character",
        f"{_F}/encodings.py",
        "    return table is not None and table[:128] == _ASCII",
        "    return True",
        f"{_TRIPS}::test_every_encoding_comes_back_though_its_characters_hold_delimiters",
    ),
    rule(
        "all that comes before a damage in a compressed file is landed",
        f"{_F}/content.py",
        "        for size in (_PART_BYTES, 1):",
        "        for size in ():",
        f"{_POISON}::test_all_that_comes_before_a_damage_is_landed",
    ),
    rule(
        "a link is not followed out of its location",
        f"{_F}/folder.py",
        "                if not _is_below(real, root):",
        "                if False:",
        f"{_LEFT}::test_what_is_not_read_is_counted_by_its_reason_and_stops_no_other_file",
    ),
    rule(
        "what is left out is counted in the account",
        f"{_F}/packing.py",
        "            left_out=dict(self.left.counts),\n",
        "",
        f"{_LEFT}::test_what_is_not_read_is_counted_by_its_reason_and_stops_no_other_file",
    ),
    rule(
        "a full read that left a file out deletes no key",
        "src/headworks/bronze/ingest.py",
        "    if report.shown is False:\n",
        "    if False:\n",
        f"{_LEFT}::test_a_full_read_that_could_not_read_a_file_is_not_complete",
    ),
    rule(
        "a small file written again with its size and time is known by its content",
        f"{_F}/progress.py",
        'return "written again" if',
        'return "known" if',
        f"{_LEFT}::test_a_file_that_was_written_again_with_its_size_and_time_is_noticed",
    ),
    rule(
        "a piece of CSV that Arrow reads has a bounded number of rows",
        f"{_F}/delimited.py",
        "    return len(data) if lines <= PIECE_ROWS else",
        "    return len(data) if lines >= 0 else",
        f"{_PIECES}::test_no_piece_has_more_rows_than_a_bounded_number",
    ),
    rule(
        "a piece of CSV that is read record by record has a bounded number of rows",
        f"{_F}/delimited.py",
        "            if rows >= PIECE_ROWS:\n                return at, line, True\n",
        "",
        f"{_PIECES}::test_no_piece_has_more_rows_than_a_bounded_number",
    ),
    rule(
        "a piece of JSON lines has a bounded number of rows",
        f"{_F}/ndjson.py",
        'text[head:].split(b"\\n", PIECE_ROWS)',
        'text[head:].split(b"\\n")',
        f"{_PIECES}::test_no_piece_has_more_rows_than_a_bounded_number",
    ),
    rule(
        "an array that continues in the next piece is not broken",
        f"{_F}/array.py",
        "        elif last and scan.state == _IN and not more:\n",
        "        elif last and scan.state == _IN:\n",
        f"{_PIECES}::test_pieces_of_few_rows_come_to_the_same_rows",
    ),
)
