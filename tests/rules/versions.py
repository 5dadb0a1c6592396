"""The rules of versions and deletions: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import Rule, rule

COMPARE, HISTORY, PARSE, REFERENCES, REPLAY, VANISHING = (
    "src/headworks/silver/compare.py",
    "src/headworks/silver/history.py",
    "src/headworks/silver/parse.py",
    "src/headworks/silver/references.py",
    "src/headworks/silver/replay.py",
    "src/headworks/silver/vanishing.py",
)
NESTED, QUARANTINE = "src/headworks/bronze/nested.py", "src/headworks/silver/quarantine.py"
GATE = "src/headworks/quality/gate.py"

_D = "tests/integration/test_deletions.py"
_N = "tests/integration/test_nested.py"
_A = "tests/integration/test_arrays.py"
_OWN = "tests/integration/test_own_names.py"

_MOVING = "tests/integration/test_moving_elements.py"

_LAST = "tests/unit/silver/test_last_values.py"

_K = "tests/integration/test_keeping.py"

_E = "tests/integration/test_element_versions.py"

RULES = (
    rule(
        "in a history versions that others follow end with an array, too",
        "src/headworks/silver/merging.py",
        "find_ended(work.lake, dataset, silver, merged, whole, accepted)",
        "find_ended(work.lake, dataset, silver, after, whole, accepted)",
        f"{_E}::test_a_history_has_a_gap_where_an_element_went_and_came_back",
    ),
    rule(
        "in a history of two arrays of one moment the later one counts",
        HISTORY,
        "newest_rows(placed, dataset.row_key).select(both.columns)",
        "placed",
        f"{_E}::test_of_two_arrays_of_one_moment_the_later_one_counts_in_a_history",
    ),
    rule(
        "in a history a new version is compared with all newer arrays",
        "src/headworks/silver/arrays.py",
        'if arrays.is_empty() or dataset.keeps == "history"',
        "if arrays.is_empty()",
        f"{_E}::test_a_version_that_comes_late_ends_with_an_array_that_had_nothing_to_end_when_it_came",
    ),
    rule(
        "in a history an element ends when its parent did",
        "src/headworks/silver/arrays.py",
        'orphans.with_columns(pl.col(_SINCE).alias("_ingested_at"))',
        "orphans",
        f"{_E}::test_in_a_history_an_element_ends_when_its_parent_did",
    ),
    rule(
        "a first version that went and came back in one range is there",
        "src/headworks/silver/refinement.py",
        "with_first_elements(bronze, silver, dataset, judged.versions, comparison, judged.arrays)",
        "comparison",
        f"{_E}::test_a_first_version_that_went_and_came_back_is_there_as_it_came_back",
    ),
    rule(
        "first versions of elements are not taken in parts",
        "src/headworks/silver/parts.py",
        "or dataset.table_contract is not None or dataset.keeps_first_elements",
        "or dataset.table_contract is not None",
        f"{_E}::test_a_first_version_that_went_and_came_back_is_there_as_it_came_back",
    ),
    rule(
        "a first version has the place of the newest array that shows it",
        "src/headworks/silver/lives.py",
        "    if dataset.has_parents_order:\n        comparison",
        "    if False:\n        comparison",
        f"{_E}::test_a_late_array_does_not_end_a_first_version_that_a_newer_one_shows",
    ),
    rule(
        "a replay follows first versions through the arrays",
        "src/headworks/silver/merging.py",
        "with_first_elements(bronze, silver, dataset, passed, found, pl.DataFrame())",
        "found",
        f"{_E}::test_a_replay_and_a_parent_raise_a_first_version_that_came_back_and_not_the_one_that_ended",
    ),
    rule(
        "of a first version that waits all rows are released",
        "src/headworks/silver/judged.py",
        "    if dataset.keeps_first_elements:\n        # Of",
        "    if False:\n        # Of",
        f"{_E}::test_a_replay_and_a_parent_raise_a_first_version_that_came_back_and_not_the_one_that_ended",
    ),
    rule(
        "the first version of a key is that which arrived first, whichever run ended first",
        "src/headworks/silver/arrivals.py",
        '    if dataset.keeps == "first":\n        units = _without_overlaps(units, counts)\n',
        "",
        f"{_K}::test_the_first_version_is_that_which_arrived_first_though_its_run_ended_last",
    ),
    rule(
        "an element that went and came back as it was has its later place",
        "src/headworks/silver/refinement.py",
        "    if not shown_again.is_empty():\n",
        "    if False:\n",
        f"{_A}::test_without_a_cursor_a_line_that_went_and_came_back_is_there_however_records_are_divided_into_runs",
    ),
    rule(
        "an element that went and came back as it was has its later place in parts too",
        "src/headworks/silver/refinement.py",
        "        if dataset.nested is not None and touched is not None and gone.vanished.deletes.height:\n",
        "        if False:\n",
        f"{_A}::test_without_a_cursor_a_line_that_went_and_came_back_is_there_however_records_are_divided_into_runs",
    ),
    rule(
        "a deletion keeps the last values of its range, and not those that silver had before",
        COMPARE,
        "known & dead & ~_lived_since())",
        "known & dead)",
        f"{_LAST}::test_any_division_of_a_sequence_gives_the_same_silver",
    ),
    rule(
        "what was no longer the newest when it arrived gives a deletion no values",
        COMPARE,
        "    return pl.col(_RANK) == pl.col(_RANK).cum_max().over(key)",
        "    return pl.col(_RANK).over(key) >= 0",
        f"{_LAST}::test_any_division_of_a_sequence_gives_the_same_silver",
    ),
    rule(
        "a deletion after a larger one is remembered",
        COMPARE,
        "        .when(~equal | _ends_later() | _confirms())",
        "        .when(~equal)",
        f"{_LAST}::test_any_division_of_a_sequence_gives_the_same_silver",
    ),
    rule(
        "of a key that came in several parts with a deletion all versions are compared",
        "src/headworks/silver/parts.py",
        "comparison = compare_again(self._with_versions(again))",
        "comparison = compare_again(again)",
        "tests/integration/test_last_values.py"
        "::test_a_key_that_is_deleted_in_two_parts_keeps_the_values_of_the_first_of_them",
    ),
    rule(
        "a newer array of a parent is no reason against an element that is another parent's since",
        "src/headworks/silver/versions.py",
        "    there = before_arrays(there, dataset)\n",
        "",
        f"{_MOVING}::test_an_element_belongs_to_the_parent_of_its_newest_version_and_ends_with_that_ones_array",
    ),
    rule(
        "of rows that were kept back the newest arrays of their parents are looked for in bronze",
        "src/headworks/silver/arrays.py",
        "    found = [released.select(place)]\n",
        "    found = [released.clear().select(place)]\n",
        f"{_MOVING}::test_an_element_that_was_kept_back_is_not_raised_where_a_newer_array_lacks_it",
    ),
    rule(
        "a replay raises no element that its parent's newest array lacks",
        "src/headworks/silver/replay.py",
        "kept = without_ended(work, dataset, bronze, silver, candidates, again.passed, comparison)",
        "kept = comparison",
        f"{_MOVING}::test_an_element_that_was_kept_back_is_not_raised_where_a_newer_array_lacks_it",
    ),
    rule(
        "ties of the cursor are decided by the order of landing",
        PARSE,
        "pl.when(pl.col(LANDED).is_null()).then(stamped).otherwise(noted)",
        "stamped",
        f"{_D}::test_within_a_stream_the_sequence_decides_and_no_clock",
        f"{_D}::test_of_two_full_reads_the_later_counts_and_no_clock",
    ),
    rule(
        "a tombstone without a cursor ends what arrived before it",
        COMPARE,
        "voided = pl.when(floating()).then(pl.max_horizontal(ARRIVAL, VOID)).otherwise(VOID)",
        "voided = pl.col(VOID)",
        f"{_D}::test_a_tombstone_with_nothing_but_its_key_ends_the_key",
        "tests/versions/test_versions.py::test_silver_holds_what_the_oracle_says[451]",
    ),
    rule(
        "of a batch the first version is kept where the first is asked for",
        COMPARE,
        'began = alive.unique(subset=list(key), keep="first", maintain_order=True)',
        'began = alive.unique(subset=list(key), keep="last", maintain_order=True)',
        f"{_D}::test_the_first_of_a_batch_is_the_first",
        "tests/versions/test_versions.py::test_silver_holds_what_the_oracle_says[5]",
    ),
    rule(
        "a row that lacks a part of its key is rejected",
        PARSE,
        "    return [name for name in dict.fromkeys([*dataset.key, *cursor]) if columns[name].nullable]",
        "    return [name for name in cursor if columns[name].nullable]",
        f"{_D}::test_a_row_without_a_key_is_rejected_and_not_there_once_more_with_each_reading",
        "tests/versions/test_versions.py::test_silver_holds_what_the_oracle_says[4]",
    ),
    rule(
        "a version without a beginning is rejected by a history",
        PARSE,
        "    return [name for name in dict.fromkeys([*dataset.key, *cursor]) if columns[name].nullable]",
        "    return [name for name in dataset.key if columns[name].nullable]",
        f"{_D}::test_a_version_without_a_beginning_is_rejected_by_a_history",
    ),
    rule(
        "a null in an optional reference refers to nothing",
        REFERENCES,
        "    if not dataset.is_optional(reference):",
        "    if True:",
        f"{_D}::test_a_null_refers_to_nothing_where_the_reference_is_optional",
        "tests/versions/test_versions.py::test_silver_holds_what_the_oracle_says[2]",
    ),
    Rule(
        "what arrived before a deletion is raised by nothing",
        COMPARE,
        (
            ("    void = _ended(ARRIVAL, _there(VOID)) & ~floating()", "    void = pl.lit(value=False)"),
            (".otherwise(pl.col(DELETED) | _ended(ARRIVAL, void))", ".otherwise(pl.col(DELETED))"),
        ),
        (f"{_LAST}::test_what_arrived_before_a_deletion_is_raised_by_nothing",),
    ),
    rule(
        "a full read ends the keys that only the quarantine knows",
        VANISHING,
        "        _kept_out(unshown, after, generation, floor, dataset),",
        "        none,",
        f"{_D}::test_a_replay_does_not_raise_a_key_that_was_deleted_since",
    ),
    rule(
        "a key that was wrongly missed comes back by its key",
        VANISHING,
        "        _back(back, generation, floor),",
        "        none,",
        f"{_D}::test_a_key_that_was_wrongly_missed_comes_back_by_its_key_alone",
    ),
    rule(
        "a first version that was deleted comes back when it is shown again",
        COMPARE,
        "otherwise(gone | ended)",
        "otherwise(ended)",
        f"{_D}::test_a_key_that_was_wrongly_deleted_comes_back_by_any_later_reading_of_it",
    ),
    rule(
        "a history takes a deletion back when its version is shown again",
        HISTORY,
        "any(one[VALID_FROM] == base and one[ARRIVAL] > row[ARRIVAL] for one in seen)",
        "False",
        f"{_D}::test_a_key_that_was_wrongly_deleted_comes_back_by_any_later_reading_of_it",
    ),
    rule(
        "a full read with a record that nobody can name deletes nothing",
        VANISHING,
        "    held = _unidentified(lake, dataset, silver, generation, landed, read)",
        "    held = 0",
        f"{_D}::test_a_full_read_with_a_record_that_nobody_can_name_deletes_nothing",
        "tests/versions/test_versions.py::test_silver_holds_what_the_oracle_says[3]",
    ),
    rule(
        "a deletion lies after the version that it ends, whatever the clocks say",
        HISTORY,
        "        moment = _next(base, dtype) if derived is None or derived <= base else derived",
        "        moment = _next(base, dtype) if derived is None else derived",
        f"{_D}::test_a_key_that_is_gone_is_not_current_whatever_the_clock_of_the_source",
    ),
    rule(
        "what was landed before a full read is known from the order of landing",
        VANISHING,
        "~pl.col(DELETED) & (pl.col(ARRIVAL) <= floor)",
        "~pl.col(DELETED) & ~_landed_since(generation.before)",
        f"{_D}::test_a_deletion_is_found_after_the_bronze_of_its_key_has_aged",
    ),
    rule(
        "what is in the place of an array is refused by name",
        NESTED,
        "            if elements is None:",
        "            if elements is None and [].append(1):",
        f"{_N}::test_what_stands_in_the_place_of_an_array_is_taken_or_refused_by_name",
    ),
    rule(
        "an array that is written as a text is read",
        NESTED,
        """text = _text.decode(raw) if raw.startswith(b'"') else None""",
        "text = None",
        f"{_N}::test_what_stands_in_the_place_of_an_array_is_taken_or_refused_by_name",
    ),
    rule(
        "elements have the order in which their parents were landed",
        NESTED,
        '            .sort("landed", "_ingested_at", "_stream", "_sequence", nulls_last=False)',
        '            .sort("_stream", "_sequence")',
        f"{_N}::test_a_parent_without_a_cursor_that_was_read_later_has_the_elements_that_count",
    ),
    rule(
        "a try that slept through others writes no rejected rows",
        QUARANTINE,
        "    if silver is not None and silver.transaction(WRITER) >= attempt.writer:",
        "    if False:",
        "tests/integration/test_quarantine.py::"
        "test_a_run_that_slept_through_two_others_leaves_no_rejected_row_twice",
    ),
    rule(
        "a replay is held against the contract for the table",
        REPLAY,
        "table_checks(work, dataset, silver, comparison))",
        "[])",
        "tests/integration/test_replay.py::test_a_replay_is_held_against_the_contract_for_the_table_too",
    ),
    rule(
        "a small batch without a good row closes the gate",
        GATE,
        "    too_many = none_good or ",
        "    too_many = ",
        "tests/unit/quality/test_gate.py::test_rejects_are_limited_by_share_and_by_number",
    ),
    rule(
        "an element of an array that is older than one that silver knows of is not raised",
        "src/headworks/silver/arrays.py",
        "    late = _late(dataset, silver, rest, typed)",
        "    late = _late(dataset, silver, rest.clear(), typed)",
        f"{_A}::test_an_array_that_comes_late_raises_nothing_though_bronze_has_not_the_newer_one_any_more",
    ),
    rule(
        "an empty array is noted",
        "src/headworks/bronze/nested.py",
        "if not elements and given and self.nested.field in parent:",
        "if False:",
        "tests/integration/test_arrays.py::test_elements_that_a_newer_array_lacks_are_deleted",
    ),
    rule(
        "an array that comes late raises nothing where the newest one was empty",
        "src/headworks/silver/arrays.py",
        "        known.append(_heads(bronze, dataset, arrays, NOTHING))\n",
        "        pass\n",
        "tests/integration/test_arrays.py::test_a_late_array_raises_nothing_where_the_newest_one_was_empty",
    ),
    rule(
        "a record without the field says nothing about its elements",
        "src/headworks/bronze/nested.py",
        "if not elements and given and self.nested.field in parent:",
        "if not elements and given:",
        "tests/integration/test_arrays.py::test_only_a_record_that_shows_its_array_ends_what_it_lacks",
    ),
    rule(
        "elements end and come back with their parents though nothing new came",
        "src/headworks/silver/refinement.py",
        " and not follows_parents(work, dataset, silver):",
        ":",
        "tests/integration/test_arrays.py::"
        "test_a_parent_that_goes_while_nothing_new_comes_takes_its_lines_along",
    ),
    rule(
        "an array with an element whose key cannot be read ends nothing",
        "src/headworks/silver/arrays.py",
        '.join(unknown, on=place, how="anti", nulls_equal=True)',
        "",
        "tests/integration/test_arrays.py::test_an_array_with_an_element_whose_key_cannot_be_read_ends_nothing",
    ),
    rule(
        "each newer array ends what it lacks, and not the newest alone",
        "src/headworks/silver/arrays.py",
        "    sets = typed.unique(place, maintain_order=True)",
        '    sets = typed.sort(*SET, nulls_last=False).unique(owner, keep="last")',
        f"{_A}::test_a_line_that_an_array_lacked_is_not_raised_by_one_that_is_no_better_however_both_come",
    ),
    rule(
        "an array that comes late is compared with the newer ones that came before it",
        "src/headworks/silver/arrays.py",
        "        found.append(late.select(place))\n",
        "",
        f"{_A}::test_an_array_that_comes_late_is_as_if_it_had_come_in_time",
    ),
    rule(
        "a version of an element follows another from when it was read first, not from its last reading",
        "src/headworks/silver/arrays.py",
        "        arrived = pl.min_horizontal(ARRIVAL, _FIRST)\n",
        "",
        "tests/integration/test_element_versions.py::"
        "test_an_empty_array_without_a_version_ends_nothing_that_a_later_reading_shows_again",
    ),
    rule(
        "a column of the source by the name of our mark makes no tombstones unless it is one",
        PARSE,
        "    marked = rows.schema.get(DELETED) == pl.Boolean()",
        "    marked = DELETED in rows.columns\n"
        '    rows = rows.with_columns((pl.col(DELETED) == "yes").alias(DELETED)) if marked else rows',
        f"{_OWN}::test_a_mark_that_is_no_truth_value_makes_no_tombstone",
    ),
    rule(
        "a source's columns that begin with an underscore reach gold",
        "src/headworks/gold/table.py",
        "if column not in OWN_IN_SILVER]",
        'if not column.startswith("_")]',
        f"{_OWN}::test_columns_that_begin_with_an_underscore_reach_gold",
    ),
    rule(
        "a deletion that a newer version followed is not taken back",
        "src/headworks/silver/history.py",
        "inferred() & pl.col(VALID_TO).is_null()",
        "inferred()",
        "tests/integration/test_deletions.py::test_a_key_that_comes_back_by_its_key_alone_was_gone_before_all_the_same",
    ),
)
