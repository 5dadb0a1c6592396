"""The rules of a lake that was set back, and of commits that are not what they are reported as."""

from __future__ import annotations

from tests.rules.base import rule

CONSUMED, DELTA, SILVER, QUARANTINE, LANDING, STORE = (
    "src/headworks/bronze/consumed.py",
    "src/headworks/storage/delta.py",
    "src/headworks/silver/table.py",
    "src/headworks/silver/quarantine.py",
    "src/headworks/bronze/landing.py",
    "src/headworks/storage/store.py",
)
MAINTENANCE, PRODUCTS, PARTS = (
    "src/headworks/ops/maintenance.py",
    "src/headworks/gold/products.py",
    "src/headworks/storage/parts.py",
)
REFINEMENT, GOLD = "src/headworks/silver/refinement.py", "src/headworks/gold/table.py"
_BACK, _NAMES = "tests/integration/test_set_back.py", "tests/integration/test_dataset_names.py"
_FAILED = "tests/integration/test_failed_commits.py"
_GROWTH = "tests/integration/test_growth.py"
_Q = "tests/integration/test_quarantine.py"
_LEFT, _READ = "tests/integration/test_left_behind.py", "tests/storage/test_refused.py"

RULES = (
    rule(
        "a bronze older than silver is refused before anything lands",
        LANDING,
        "        check_not_set_back(landing.lake, landing.dataset, table)\n        head = read_head(",
        "        head = read_head(",
        f"{_BACK}::test_bronze_that_is_older_than_silver_is_refused_before_anything_is_read",
    ),
    rule(
        "silver keeps the token of the last consumed commit of each stream",
        CONSUMED,
        "        if landed == consumed and token and token != ",
        "        if landed == consumed and token and token == -",
        f"{_BACK}::test_a_bronze_of_the_same_length_with_other_rows_is_refused",
    ),
    rule(
        "what was landed in a range is held against what is there",
        SILVER,
        "        if one.rows is not None and there != one.rows:",
        "        if False:",
        f"{_BACK}::test_landed_rows_that_are_gone_before_silver_took_them_are_named",
    ),
    rule(
        "a silver that was restored is refused",
        CONSUMED,
        "    if to is not None and to < at:",
        "    if False:",
        f"{_BACK}::test_a_table_that_was_set_back_is_refused_or_the_lake_is_exact_again",
    ),
    rule(
        "a quarantine older than silver is refused",
        QUARANTINE,
        "    if silver is not None and silver.transaction(QUARANTINED) > quarantine.transaction(WRITER):",
        "    if False:",
        f"{_BACK}::test_a_table_that_was_set_back_is_refused_or_the_lake_is_exact_again",
    ),
    rule(
        "a try whose number silver has passed keeps no rejected rows",
        QUARANTINE,
        "    if silver is not None and silver.transaction(WRITER) >= attempt.writer:",
        "    if False:",
        f"{_Q}::test_a_try_that_slept_through_two_commits_leaves_no_rejected_rows",
    ),
    rule(
        "headworks' own transactions have names that no dataset can bear",
        QUARANTINE,
        'WRITER = "#writer"',
        'WRITER = "writer"',
        f"{_NAMES}::test_a_dataset_of_any_name_lives_a_full_life",
    ),
    rule(
        "a dataset's folder may lie in another's",
        STORE,
        "            pending += [",
        '            pending += [] if "_delta_log" in names else [',
        f"{_NAMES}::test_a_dataset_whose_name_goes_on_where_another_ends_is_one_of_its_own",
    ),
    rule(
        "a commit that is reported as failed is looked for before it counts as failed",
        DELTA,
        "            if happened is not None:",
        "            if False:",
        f"{_FAILED}::test_a_rarer_commit_that_is_reported_as_failed_counts_as_what_it_is",
    ),
    rule(
        "an append that is reported as failed is looked for before it counts as failed",
        DELTA,
        "            if since > 0 and any(",
        "            if False and any(",
        f"{_FAILED}::test_a_rarer_commit_that_is_reported_as_failed_counts_as_what_it_is",
    ),
    rule(
        "a run that was killed just after silver's commit finds its account",
        REFINEMENT,
        "        earlier = None if before is None else RefineOutcome(report=before.report, gate=before.gate)\n",
        "        earlier = None\n",
        f"{_FAILED}::test_whatever_becomes_of_a_commit_the_lake_and_the_account_are_the_same",
    ),
    rule(
        "gold that was restored is made again",
        GOLD,
        "    if gold is None or gold.restored_since(gold.transaction(AT)) is not None:",
        "    if gold is None:",
        f"{_BACK}::test_gold_that_was_set_back_is_exact_again_though_nothing_new_came",
    ),
    rule(
        "files are removed by looking at those that are there",
        MAINTENANCE,
        "        if not table.remembers_replaced(self._replaced_days()):",
        "        if True:",
        f"{_GROWTH}::test_what_the_log_forgot_is_removed_all_the_same",
        f"{_GROWTH}::test_files_of_killed_writers_go_once_no_run_can_be_so_long",
    ),
    rule(
        "files that were replaced a moment ago stay",
        MAINTENANCE,
        "needed = live | (replaced - old_enough)",
        "needed = live",
        f"{_GROWTH}::test_files_that_were_replaced_a_moment_ago_stay_for_those_who_read_them",
    ),
    rule(
        "files younger than the longest run stay",
        MAINTENANCE,
        "[each for each in files if each.modified_at < young or _name(each) in old_enough]",
        "files",
        f"{_GROWTH}::test_files_of_killed_writers_go_once_no_run_can_be_so_long",
    ),
    rule(
        "what goes wrong with one table does not stop the care of others",
        MAINTENANCE,
        "        return TableCare(table=place.table, failed=str(problem))\n\n\nclass",
        "        raise\n\n\nclass",
        f"{_GROWTH}::test_one_broken_table_does_not_stop_the_care_of_others",
    ),
    rule(
        "a version of a table that was made again is not the one that was published",
        MAINTENANCE,
        'if each.version <= table.version and each.id in {"", table.id}',
        "",
        f"{_GROWTH}::test_publications_of_a_table_that_was_made_again_hold_nothing_of_its_successor",
    ),
    rule(
        "the log keeps bounds of headworks' own columns alone",
        DELTA,
        "                    **as_property(bounds),\n",
        "",
        f"{_GROWTH}::test_a_table_says_from_its_first_version_on_which_bounds_its_log_keeps",
    ),
    rule(
        "footers have bounds of headworks' own columns alone",
        DELTA,
        "        return writing(bounded(self.schema) if said is None else said, columns)",
        "        return writing(list(columns), columns)",
        f"{_GROWTH}::test_no_value_of_a_source_is_in_the_log_the_checkpoints_or_the_footers",
    ),
    rule(
        "incidents are in the order of their table, and not in that of the machines' clocks",
        "src/headworks/ops/incidents.py",
        '        .sort("number", "at", nulls_last=False, maintain_order=True)',
        '        .sort("at", maintain_order=True)',
        "tests/integration/test_clocks_of_machines.py::"
        "test_a_new_failure_is_told_and_an_old_one_is_over_once",
    ),
    rule(
        "what the clock of another machine says takes no lease",
        "src/headworks/ops/leases.py",
        "    if alive is not None and _seconds(term.renewed_at, now) > lease_s:",
        "    if _seconds(term.renewed_at, now) > lease_s:",
        "tests/integration/test_clocks_of_machines.py::"
        "test_a_living_run_keeps_its_lease_whatever_the_clock_of_another_machine",
    ),
    rule(
        "a checkpoint that was collected while its run slept is written again",
        LANDING,
        "            if landing.clock() - written > _ASLEEP:",
        "            if False:",
        "tests/integration/test_streams.py::"
        "test_a_checkpoint_that_was_collected_while_its_run_slept_is_there_again",
    ),
    rule(
        "a row that waits for another outlives the retention of the quarantine",
        "src/headworks/ops/ageing.py",
        ", waiting=waiting, kept=kept)",
        ", kept=kept)",
        f"{_LEFT}::test_a_row_that_waits_for_its_parent_outlives_the_retention_of_the_quarantine",
    ),
    rule(
        "rejected rows of a try behind a closed gate go with the next one",
        QUARANTINE,
        "        (number == attempt.writer) & (token == closed)\n",
        "        pl.lit(value=False)\n",
        f"{_LEFT}::test_a_gate_that_stays_closed_keeps_each_rejected_row_once",
    ),
    rule(
        "rejected rows of a try that may still be committed stay",
        QUARANTINE,
        "(_writer = {attempt.writer} AND _try = {closed})",
        "(_writer = {attempt.writer})",
        f"{_LEFT}::test_a_try_that_is_not_closed_keeps_its_rejected_rows_whoever_comes_after_it",
    ),
    rule(
        "a run is in the ledger once, however often it is recorded",
        "src/headworks/ops/ledger.py",
        '    if not _is_there(runs, report, "finished_at"):\n        runs',
        "    if True:\n        runs",
        f"{_LEFT}::test_a_run_that_is_recorded_again_is_in_the_ledger_once",
    ),
    rule(
        "what became of a window last counts by its number",
        "src/headworks/ops/backfills.py",
        'noted.sort("number", "at", nulls_last=False, maintain_order=True)',
        'noted.sort("at", maintain_order=True)',
        f"{_LEFT}::test_what_became_of_a_window_last_counts_whatever_the_clocks_say",
    ),
    rule(
        "a position that may not be read is not lost",
        STORE,
        "            if isinstance(problem.__cause__, FileNotFoundError):",
        "            if True:",
        f"{_READ}::test_a_position_that_may_not_be_read_is_not_lost",
    ),
    rule(
        "rows that are read lazily raise errors of headworks'",
        "src/headworks/storage/translating.py",
        "    with reading(name):\n        return rows.collect()",
        "    return rows.collect()",
        f"{_READ}::test_a_table_whose_files_are_gone_or_damaged_is_named_by_whatever_reads_it",
    ),
)
