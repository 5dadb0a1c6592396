"""The rules of values that nobody knows or no type holds: refused alone, kept, named, and never chosen for."""

from __future__ import annotations

from tests.rules.base import rule

REPEATED = "src/headworks/sources/repeated.py"
PARSE, VANISHING = (f"src/headworks/silver/{name}.py" for name in ("parse", "vanishing"))
NESTED = "src/headworks/bronze/nested.py"

_TWICE, _TAKEN = "tests/unit/sources/test_repeated_names.py", "tests/integration/test_repeated_names.py"
MISFITS, POSTGRES, LANDING, STAMPING, KEYS = (
    f"src/headworks/{name}.py"
    for name in (
        "sources/sql/misfits",
        "sources/sql/postgres",
        "bronze/landing",
        "bronze/stamping",
        "bronze/key_sets",
    )
)
_ODD = "tests/integration/databases/test_misfits.py"

REBUILD, EMPTIED, QUARANTINE, JUDGED = (
    f"src/headworks/silver/{name}.py" for name in ("rebuild", "emptied", "quarantine", "judged")
)
REFUSED_ROWS = "src/headworks/silver/refused.py"
_REFUSALS = "tests/integration/test_refusals.py"
_REBUILT = "tests/integration/test_rebuild.py"

_NULLS = (
    "tests/integration/files/test_null_types.py"
    "::test_what_has_no_type_lands_as_it_was_or_its_file_is_refused_by_name"
)
_HELD = "tests/integration/dialects/test_held_values.py"

_DECLARED = "tests/integration/test_declared_types.py"
_EACH_TYPE = (
    f"{_DECLARED}::test_each_value_is_as_the_source_has_it_or_its_row_is_rejected_or_the_run_names_the_column"
)

RULES = (
    rule(
        "a day that no calendar has is no value of silver",
        PARSE,
        "    if (dated := within_calendar(exact, dtype)) is not None:\n        held.append(dated)\n",
        "",
        f"{_DECLARED}::test_a_day_that_no_calendar_has_is_rejected_and_the_others_are_published",
    ),
    rule(
        "a text is a float only where that float is the same number",
        "src/headworks/silver/expressions.py",
        "    same = same_numbers(texts, read)\n",
        "    same = read.is_not_null()\n",
        f"{_EACH_TYPE}",
    ),
    rule(
        "a number is no moment",
        "src/headworks/declared.py",
        'return pl.col(source).dt.convert_time_zone("UTC")',
        'return pl.col(source).cast(pl.Datetime("us", "UTC"))',
        f"{_EACH_TYPE}",
    ),
    rule(
        "a moment is compared in UTC, whatever the zone of the machine",
        "src/headworks/quality/profiles.py",
        "in_utc > latest.astimezone(UTC)",
        "in_utc > latest.astimezone()",
        "tests/integration/test_machine_zones.py::test_silver_and_gold_are_the_same_and_open_their_gates_in_every_zone",
    ),
    rule(
        "SQL sees moments in UTC",
        "src/headworks/quality/views.py",
        "        connection.execute(\"SET TimeZone = 'UTC'\")\n",
        "",
        "tests/integration/test_machine_zones.py::test_silver_and_gold_are_the_same_and_open_their_gates_in_every_zone",
    ),
    rule(
        "a gold query of some rows by chance is refused",
        "src/headworks/gold/sql.py",
        'return "a sample" if node.get("sample") else ""',
        'return ""',
        "tests/integration/test_gold_by_sql.py"
        "::test_a_query_that_is_none_or_moves_by_itself_is_refused_when_it_is_declared",
    ),
    rule(
        "what is read again after a failed commit is counted once",
        LANDING,
        "    return committed, failures\n",
        "    return report, failures\n",
        "tests/integration/test_landing.py::test_what_is_read_again_after_a_failed_commit_is_counted_once",
    ),
    rule(
        "a page of nothing new does not begin the count of failed commits again",
        LANDING,
        "                if landed.batches > report.batches:\n",
        "                if True:\n",
        "tests/integration/test_landing.py::test_a_commit_that_keeps_failing_ends_also_where_each_reading_begins_with_a_page_of_nothing_new",
    ),
    rule(
        "a list without a type that has elements or is empty refuses its file",
        "src/headworks/sources/files/fitting.py",
        "            if frame.get_column(name).null_count() < frame.height:",
        "            if False:",
        _NULLS,
    ),
    rule(
        "bytes in SQLite's text are no text",
        "src/headworks/sources/sql/rows.py",
        "if column.mixed and isinstance(value, bytes) and isinstance(column.dtype, pl.String):",
        "if False:",
        f"{_HELD}::test_bytes_in_a_column_of_text_land_as_bytes_next_to_it_and_are_never_read_as_text",
    ),
    rule(
        "a text of SQLite that is no UTF-8 does not end the reading",
        "src/headworks/sources/sql/engines.py",
        "    connection.text_factory = _text_or_bytes",
        "    assert connection",
        f"{_HELD}::test_a_text_that_is_no_utf_8_refuses_its_row_and_its_neighbours_land",
    ),
    rule(
        "a float of 32 bits has the text of 64 as a key",
        PARSE,
        "    parts = [_double(name) if types[name].is_float() else pl.col(name) for name in key]",
        "    parts = [pl.col(name) for name in key]",
        "tests/integration/test_key_texts.py"
        "::test_a_number_has_one_text_in_every_type_that_holds_it_and_is_read_back_from_it",
    ),
    rule(
        "nothing agrees with NaN",
        "src/headworks/silver/references.py",
        "~one.holds | _compares_no_number(one, marked)",
        "~one.holds",
        "tests/integration/test_agreements.py::test_nothing_agrees_with_a_value_that_is_no_number",
    ),
    rule(
        "a day that Python has not is kept as text",
        PARSE,
        "in in_calendar(rows.select(columns)).iter_rows(",
        "in rows.select(columns).iter_rows(",
        "tests/unit/silver/test_parse.py"
        "::test_a_row_with_a_day_that_python_has_not_is_kept_as_text_for_the_quarantine",
    ),
    rule(
        "rejected rows from before a rebuild count no more",
        QUARANTINE,
        ' & (pl.col("_writer") >= rebuilt)',
        "",
        f"{_REBUILT}::test_a_rebuild_is_what_a_fresh_lake_makes_of_the_same_bronze_and_further_runs_go_on",
    ),
    rule(
        "what is noted of released rows is forgotten when silver is made again",
        EMPTIED,
        "        self._first()\n",
        "",
        f"{_REBUILT}::test_what_was_released_and_would_be_rejected_now_waits_again_and_what_was_discarded_stays_so",
    ),
    rule(
        "what a person has discarded is not taken by a rebuild",
        JUDGED,
        "        parsed = _without_discarded(parsed, discarded)\n",
        "        pass\n",
        f"{_REBUILT}::test_what_was_released_and_would_be_rejected_now_waits_again_and_what_was_discarded_stays_so",
    ),
    rule(
        "a refused row has the key that it was read with",
        REFUSED_ROWS,
        "name in present and ",
        "False and ",
        f"{_ODD}::test_a_refused_row_leaves_the_open_ones_once_its_source_has_corrected_it",
    ),
    rule(
        "a key that lost a byte is no key of the source",
        REFUSED_ROWS,
        "    if parsed.schema[name] != pl.String():\n",
        "    if True:\n",
        f"{_REFUSALS}::test_a_refused_json_record_leaves_the_open_ones_by_its_key_and_none_where_that_is_damaged",
    ),
    rule(
        "a refused row whose cursor lies in the future is replaced by what comes later",
        REFUSED_ROWS,
        "pl.concat_list(pl.col(REFUSED), future)",
        "pl.concat_list(pl.col(REFUSED))",
        f"{_REFUSALS}::test_a_refused_row_of_the_future_is_replaced_by_what_arrives_later",
    ),
    rule(
        "silver is not made again from a bronze that has not all rows",
        REBUILD,
        "        check_whole(bronze, silver, dataset.name)\n",
        "",
        f"{_REBUILT}::test_a_bronze_that_has_not_all_rows_any_more_is_refused_by_name",
    ),
    rule(
        "gold is made again of a silver that was",
        EMPTIED,
        "            CHANGE: super().transaction(CHANGE) + 1,\n",
        "            CHANGE: super().transaction(CHANGE),\n",
        f"{_REBUILT}::test_a_rebuild_is_what_a_fresh_lake_makes_of_the_same_bronze_and_further_runs_go_on",
    ),
    rule(
        "of a row that does not fit nothing but reason and text lands",
        MISFITS,
        "    good = [pl.when(pl.col(REFUSED).is_null()).then(pl.col(name)).alias(name) for name in names]\n",
        "    good = [pl.col(name) for name in names]\n",
        f"{_ODD}::test_rows_with_several_odd_values_and_an_odd_key_are_each_counted_once",
    ),
    rule(
        "a column of which none of the first rows fits stops the run",
        MISFITS,
        "bad.height == frame.height >= _MOST",
        "bad.height == frame.height >= _MOST**9",
        f"{_ODD}::test_a_column_of_which_none_of_the_first_rows_fits_stops_the_run",
    ),
    rule(
        "refused rows are no change of the source's columns",
        LANDING,
        "for name, dtype in columns.items() if name not in REFUSAL}",
        "for name, dtype in columns.items()}",
        f"{_ODD}::test_refused_rows_are_no_change_of_columns_by_any_policy_and_silver_rejects_them",
    ),
    rule(
        "what makes a row a refused one lands by every policy",
        STAMPING,
        "        new = {name: dtype for name, dtype in new.items() if name in REFUSAL}\n",
        "        new = {}\n",
        f"{_ODD}::test_refused_rows_are_no_change_of_columns_by_any_policy_and_silver_rejects_them",
    ),
    rule(
        "keys that may be hidden delete nothing",
        KEYS,
        """    if not warnings:
""",
        "    if True:\n",
        "tests/integration/databases/test_left_out.py::test_keys_that_a_policy_hides_delete_nothing",
    ),
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
    rule(
        "a key's text is compared without the zeros that a larger scale adds",
        PARSE,
        '    shorter = text.str.replace_all(r"(\\.\\d*?)0+( / |$)", "${1}${2}")\n',
        "    shorter = text\n",
        "tests/integration/test_key_texts.py::test_a_rejected_row_between_two_readings_loses_whatever_its_key_has_become",
    ),
)
