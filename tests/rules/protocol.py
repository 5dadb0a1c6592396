"""The rules of the protocol: where each is in the code, and the tests that fail without it.

The table in ``docs/protocol-tests.md`` is this one.
"""

from __future__ import annotations

from tests.rules.base import Rule, rule

LANDING, GENERATIONS, SILVER = (
    "src/headworks/bronze/landing.py",
    "src/headworks/bronze/generations.py",
    "src/headworks/silver/table.py",
)
VANISHING = "src/headworks/silver/vanishing.py"
GOLD, PRODUCTS, DELTA = (
    "src/headworks/gold/table.py",
    "src/headworks/gold/products.py",
    "src/headworks/storage/delta.py",
)
QUARANTINE, NAMES = "src/headworks/silver/quarantine.py", "src/headworks/names.py"
COMPARE, CURATION, REFINEMENT, REFERENCES, SCREENING = (
    "src/headworks/silver/compare.py",
    "src/headworks/gold/curation.py",
    "src/headworks/silver/refinement.py",
    "src/headworks/silver/references.py",
    "src/headworks/silver/screening.py",
)
POSTGRES = "src/headworks/publish/postgres.py"
CONTRACTS, GATE = "src/headworks/quality/contracts.py", "src/headworks/quality/gate.py"

_L, _R = "tests/integration/test_landing.py", "tests/integration/test_landing_races.py"
_S, _Q = "tests/integration/test_silver.py", "tests/integration/test_quarantine.py"
_G, _W = "tests/integration/test_generations.py", "tests/integration/test_windows.py"
_O, _C = "tests/integration/test_order.py", "tests/unit/silver/test_compare.py"
_GOLD, _P = "tests/integration/test_gold.py", "tests/integration/test_products.py"
_PG = "tests/integration/test_publish_postgres.py"
_SCREENED, _REFERRED = "tests/integration/test_screening.py", "tests/integration/test_references.py"
_K, _GATE = "tests/unit/quality/test_contracts.py", "tests/unit/quality/test_gate.py"

RULES = (
    rule(
        "a batch is committed through the table object whose transactions were read",
        LANDING,
        "    table.append_part(rows, ",
        '    landing.lake.must_open("bronze", landing.dataset).append_part(rows, ',
        f"{_R}::test_of_two_runs_on_one_stream_one_wins_and_the_other_ends",
    ),
    rule(
        "the checkpoint is written before the commit",
        LANDING,
        "            put_checkpoint(landing, head.sequence + 1, token, batch.position, after)\n"
        "            written = ",
        "            written = ",
        f"{_L}::test_the_checkpoint_is_readable_before_the_table_names_it",
    ),
    rule(
        "the checkpoint's name holds the token",
        LANDING,
        "/{sequence}-{token}.json",
        "/{sequence}.json",
        f"{_L}::test_two_runs_that_write_different_positions_for_one_sequence",
    ),
    rule(
        "each commit has a fresh token",
        LANDING,
        "            token = landing.token()\n",
        "            token = 1\n",
        f"{_R}::test_a_run_that_moved_the_stream_to_the_same_sequence_is_told_apart_by_the_token",
    ),
    rule(
        "after a failed commit the transactions say whether it happened",
        LANDING,
        "    if token == failed.token:",
        "    if False:",
        f"{_L}::test_a_commit_that_happened_and_is_reported_as_failed_lands_once",
    ),
    rule(
        "a stream that moved with another token ends the run",
        LANDING,
        "    if sequence != failed.before.sequence or token != failed.before.token:",
        "    if False:",
        f"{_R}::test_of_two_runs_on_one_stream_one_wins_and_the_other_ends",
    ),
    rule(
        "a commit that keeps failing is given up",
        LANDING,
        "    if failures >= COMMIT_ATTEMPTS:",
        "    if failures >= 1000:",
        f"{_L}::test_a_commit_that_keeps_failing_ends_in_commit_unclear_and_moves_nothing",
    ),
    rule(
        "appends of other streams are rebased often enough",
        DELTA,
        "APPEND_RETRIES = 100",
        "APPEND_RETRIES = 0",
        f"{_R}::test_many_streams_land_in_one_table_at_once",
    ),
    rule(
        "what a table object sees after its commit is held against that commit",
        DELTA,
        "        self._overtaken = any(",
        "        self._overtaken = False and any(",
        "tests/integration/test_data_files.py::test_a_stream_that_moved_just_after_a_commit_is_not_written_on",
    ),
    rule(
        "a table that forgets transactions is refused",
        DELTA,
        "        if _FORBIDDEN in ",
        "        if not _FORBIDDEN in ",
        f"{_L}::test_a_table_that_forgets_transactions_is_refused",
    ),
    rule(
        "a table that several make at once is made once",
        DELTA,
        "make it again, as a version on top of what was written meanwhile.\n"
        "                commit_properties=CommitProperties(max_commit_retries=0),",
        "make it again, as a version on top of what was written meanwhile.\n"
        "                commit_properties=CommitProperties(max_commit_retries=15),",
        f"{_R}::test_of_many_makers_of_one_table_one_makes_it_and_all_write_to_it",
    ),
    rule(
        "silver's commit carries the last sequence of each stream",
        SILVER,
        "        transactions |= {r.stream: r.upto for r in todo.ranges}\n",
        "",
        f"{_S}::test_a_consumed_range_is_not_read_again",
    ),
    rule(
        "the upper bound of a range comes from bronze's transactions",
        SILVER,
        "        StreamRange(stream, silver.transaction(stream), bronze.transaction(stream))",
        '        StreamRange(stream, silver.transaction(stream), int(bronze.scan().filter(pl.col("_stream") == stream)'
        '.select(pl.col("_sequence").max().fill_null(0)).collect().item()))',
        f"{_S}::test_empty_batches_move_the_upper_bound",
    ),
    rule(
        "a range that changes nothing is committed all the same",
        SILVER,
        "            silver.append(changes.select(silver.columns), transactions, retries=0)",
        "            return",
        f"{_S}::test_a_range_that_changes_nothing_is_consumed_all_the_same",
    ),
    rule(
        "an audited candidate is never rebased: replacing",
        DELTA,
        "AT: base + 1}, 0))",
        "AT: base + 1}, 15))",
        f"{_GOLD}::test_a_stale_replacement_is_refused_without_a_number_in_common_too_since_it_is_never_rebased",
    ),
    rule(
        "gold's commit carries the writer number",
        GOLD,
        "    transactions[WRITER] = table.transaction(WRITER) + 1\n",
        "",
        f"{_GOLD}::test_a_gold_commit_carries_the_writer_number",
    ),
    rule(
        "rejected rows count only with the try that silver named",
        QUARANTINE,
        ' & (pl.col("_try") == token))\n    rebuilt = ',
        ")\n    rebuilt = ",
        f"{_Q}::test_rejects_of_a_crashed_try_do_not_count_and_are_taken_away",
    ),
    rule(
        "rejected rows of a try that silver did not name are taken away",
        QUARANTINE,
        "        _take_away_unnamed(table, attempt)\n",
        "",
        f"{_Q}::test_rejects_of_a_crashed_try_do_not_count_and_are_taken_away",
    ),
    rule(
        "every try commits to the quarantine",
        QUARANTINE,
        "    with reading(table.name), refused_when_stale(table.name):\n        _take_away_unnamed",
        "    if frame.is_empty():\n        return attempt\n"
        "    with reading(table.name), refused_when_stale(table.name):\n        _take_away_unnamed",
        f"{_Q}::test_every_try_commits_to_the_quarantine_even_without_rejects",
    ),
    rule(
        "an older version does not replace a newer one",
        COMPARE,
        "known & ~void & _not_older()",
        "known & ~void",
        f"{_O}::test_an_old_backfill_does_not_overwrite_the_new",
        f"{_C}::test_any_order_and_any_portions_show_the_values_of_the_newest_versions",
    ),
    rule(
        "of the versions in a range the newest counts",
        COMPARE,
        "    found = marked.sort(list(PROVENANCE), nulls_last=False).unique(",
        "    found = marked.unique(",
        f"{_C}::test_any_order_and_any_portions_show_the_values_of_the_newest_versions",
    ),
    rule(
        "a deleted key that comes back lives again",
        COMPARE,
        "pl.col(name).eq_missing(_there(name)) for name in [*compared, DELETED]",
        "pl.col(name).eq_missing(_there(name)) for name in compared",
        f"{_G}::test_a_key_that_the_source_shows_again_unchanged_lives_again",
    ),
    rule(
        "a window is a stream of its own",
        NAMES,
        '    return f"{check_dataset(dataset)}@w{_stamp(window.start)}-{_stamp(window.end)}-{reading}"',
        "    return check_dataset(dataset)",
        f"{_W}::test_a_window_never_moves_the_live_position",
    ),
    rule(
        "a full read is a stream of its own",
        NAMES,
        '    return f"{check_dataset(dataset)}@g{generation}"',
        "    return check_dataset(dataset)",
        f"{_G}::test_a_generation_never_moves_the_live_position",
    ),
    rule(
        "each full read has a number of its own",
        GENERATIONS,
        "    number = table.transaction(_begun(landing.dataset)) + 1",
        "    number = max(1, table.transaction(_begun(landing.dataset)))",
        f"{_G}::test_each_generation_has_a_stream_of_its_own",
    ),
    rule(
        "only the latest full read is marked as complete",
        GENERATIONS,
        "    if table.transaction(_begun(generation.dataset)) != generation.number:",
        "    if False:",
        f"{_G}::test_a_second_generation_that_began_invalidates_the_first",
    ),
    rule(
        "an end mark is held against the transactions",
        GENERATIONS,
        "        if table.transaction(stream) < sequence:",
        "        if False:",
        f"{_G}::test_an_end_mark_that_names_sequences_that_are_not_there_is_not_believed",
    ),
    Rule(
        "a full read deletes only keys that were last seen before it began",
        VANISHING,
        (
            (
                "bronze.scan().filter(_landed_since(generation.before))",
                'bronze.scan().filter(pl.col("_stream") == generation.stream)',
            ),
            ("~pl.col(DELETED) & (pl.col(ARRIVAL) <= floor)", "~pl.col(DELETED)"),
        ),
        (f"{_G}::test_keys_that_the_live_stream_showed_since_its_start_are_not_deleted",),
    ),
    rule(
        "gold is made of pinned versions of silver",
        GOLD,
        'lake.must_open("silver", name, pins.version_of(name).version)',
        'lake.must_open("silver", name)',
        f"{_GOLD}::test_gold_is_made_of_the_pinned_version_even_if_silver_moved_on",
    ),
    rule(
        "gold is committed from the version that was audited",
        GOLD,
        '    table = lake.must_open("gold", staged.dataset, staged.base_version)',
        '    table = lake.must_open("gold", staged.dataset)',
        f"{_GOLD}::test_a_candidate_is_refused_when_another_run_committed_since_it_was_staged",
    ),
    rule(
        "a candidate is committed only with an open gate of its own",
        CURATION,
        "    if staged.fresh and (",
        "    if False and (",
        f"{_GOLD}::test_a_closed_gate_commits_nothing",
        f"{_GOLD}::test_a_fresh_candidate_without_a_decision_about_it_is_not_committed",
    ),
    rule(
        "a staged file is there whole or not at all",
        GOLD,
        '            partial = f"{uri}.{uuid.uuid4().hex}"\n            frame.write_parquet(partial)\n'
        "            Path(partial).replace(uri)",
        "            frame.write_parquet(uri) if not Path(uri).exists() else None",
        f"{_GOLD}::test_a_staged_file_is_there_whole_or_not_at_all",
    ),
    rule(
        "readers open the versions that the product names",
        PRODUCTS,
        "_named(lake, version, version.table(name)).scan()",
        'lake.must_open("gold", name).scan()',
        f"{_P}::test_readers_see_the_named_versions_until_the_next_are_named",
    ),
    rule(
        "a product does not go back to versions that were replaced",
        PRODUCTS,
        "        _refuse_older(lake, current, tables)\n",
        "",
        f"{_P}::test_a_zombie_does_not_name_versions_that_were_replaced_meanwhile",
    ),
    rule(
        "an older publication is refused",
        POSTGRES,
        "        if recorded > product.sequence:",
        "        if False:",
        f"{_PG}::test_an_older_publication_is_refused_and_changes_nothing",
    ),
    rule(
        "the sequence is recorded in the transaction of the rows",
        POSTGRES,
        "            _record(connection, schema, product)",
        "            connection.commit()\n            _record(connection, schema, product)",
        f"{_PG}::test_readers_see_all_tables_change_at_once",
        f"{_PG}::test_a_crash_in_the_middle_leaves_the_last_publication",
    ),
    rule(
        "what is visible is compared with gold before the transaction ends",
        POSTGRES,
        "    _check_visible(connection, parts,",
        "    (lambda *_: None)(connection, parts,",
        f"{_PG}::test_a_trigger_that_swallows_a_row_is_noticed_before_anybody_sees_it",
    ),
    rule(
        "a schema shows one lake's publications",
        POSTGRES,
        "    if lake_id is not None and recorded_id != lake_id:",
        "    if False:",
        f"{_PG}::test_a_publication_of_another_lake_is_refused",
    ),
    rule(
        "whatever did not pass closes the gate",
        GATE,
        "        if check.outcome not in _NO_OBJECTION\n",
        '        if check.outcome == "failed"\n',
        f"{_GATE}::test_it_is_open_exactly_if_all_passed_and_one_of_the_contract_was_evaluated",
    ),
    rule(
        "a contract without an evaluated check closes the gate",
        GATE,
        "    if contract_required and not evaluated and not unscanned:",
        "    if False:",
        f"{_GATE}::test_checks_of_another_kind_do_not_stand_in_for_the_contract",
    ),
    rule(
        "pending rows of several readings are each compared with their like",
        SCREENING,
        "    if len(kinds) == 1:\n",
        "    if kinds:\n",
        f"{_SCREENED}::test_rows_that_a_gate_held_back_do_not_get_in_with_a_window",
    ),
    rule(
        "what is new has no other window to wait for",
        REFERENCES,
        "windows = [stream for stream in streams if window_of(stream)]",
        "windows = list(streams)",
        f"{_REFERRED}::test_what_is_new_has_no_other_window_to_wait_for",
    ),
    rule(
        "a contract is held against Soda's own schema",
        CONTRACTS,
        "    if fault is not None:",
        "    if False:",
        f"{_K}::test_a_contract_that_checks_nothing_closes_the_gate_and_says_why",
    ),
    rule(
        "a check that tested no row was not evaluated",
        CONTRACTS,
        '    if metrics.get("dataset_rows_tested") == 0:',
        "    if False:",
        f"{_K}::test_a_contract_that_checks_nothing_closes_the_gate_and_says_why",
    ),
    rule(
        "Soda scans one contract at a time",
        CONTRACTS,
        "        with _one_scan:\n            before, result = scan()",
        "        before, result = scan()",
        f"{_K}::test_scans_side_by_side_do_not_mix_up_their_contracts",
    ),
)
