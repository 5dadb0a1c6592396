"""The rules of contracts, of gold tables and of their publication."""

from __future__ import annotations

from tests.rules.base import rule

PREFLIGHT, CONTRACTS = "src/headworks/quality/preflight.py", "src/headworks/quality/contracts.py"
ON_POSTGRES = "src/headworks/quality/postgres_contracts.py"

CURATION, TOTALS, CODE, DATASET = (
    "src/headworks/gold/curation.py",
    "src/headworks/gold/totals.py",
    "src/headworks/gold/code.py",
    "src/headworks/silver/dataset.py",
)

POSTGRES, OWNED, COLUMNS = (f"src/headworks/publish/{name}.py" for name in ("postgres", "owned", "columns"))
CHANGES, SHOWN = "src/headworks/publish/changes.py", "src/headworks/publish/shown.py"
DIFFERENCES, GROUPS = "src/headworks/gold/differences.py", "src/headworks/storage/groups.py"
RECONCILE, CONNECT = "src/headworks/reconcile.py", "src/headworks/sources/sql/connect.py"

_U = "tests/integration/test_unchecked_contracts.py"
_UNCHECKED = f"{_U}::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why"

_T, _CODE = "tests/unit/gold/test_totals.py", "tests/unit/gold/test_code.py"
_SEEN = f"{_CODE}::test_a_change_is_seen_by_just_the_transforms_that_use_it"
_D, _M = "tests/unit/silver/test_declarations.py", "tests/integration/test_made_gold.py"
_P = "tests/integration/test_publish_targets.py"

_B = "tests/integration/test_publish_changes.py"

RULES = (
    rule(
        "the contracts of Postgres are asked before the lake moves",
        "src/headworks/publish/postgres.py",
        "        found = _audit(connection, schema, tuple(audited)) if sends else []",
        "        found: list[tuple[PublishedTable, GateReport]] = []",
        "tests/integration/test_postgres_contracts.py"
        "::test_what_is_asked_before_the_lake_moves_is_what_the_publication_says",
    ),
    rule(
        "a table that somebody else wrote to is compared whole",
        CHANGES,
        "    if expected.rows != change.rows or mark_of(connection, target) != expected:",
        "    if False:",
        f"{_B}::test_whatever_somebody_else_did_all_rows_are_compared_and_right",
        f"{_B}::test_a_trigger_that_does_anything_else_is_noticed_before_anybody_sees_it",
    ),
    rule(
        "what came is there as it was given",
        CHANGES,
        "    return found\n\n\ndef _stage",
        "    return came.height\n\n\ndef _stage",
        f"{_B}::test_a_trigger_that_does_anything_else_is_noticed_before_anybody_sees_it",
    ),
    rule(
        "all rows are compared on a schedule",
        SHOWN,
        "        return not timedelta(0) <= now - self.compared_at < every",
        "        return False",
        f"{_B}::test_whatever_somebody_else_did_all_rows_are_compared_and_right",
    ),
    rule(
        "rows that are not in order are not compared like lists",
        DIFFERENCES,
        "        if not larger or any(",
        "        if False and any(",
        "tests/unit/gold/test_differences.py::test_nothing_is_said_of_rows_without_an_order",
    ),
    rule(
        "rows that are not read are the same byte by byte",
        GROUPS,
        "        if here.read(length) != there.read(length):",
        "        if False:",
        f"{_B}::test_only_what_differs_is_sent",
    ),
    rule(
        "a query of a contract is one statement that reads",
        CONTRACTS,
        "            if len(statements) != 1:",
        "            return None\n            if len(statements) != 1:",
        _UNCHECKED,
    ),
    rule(
        "a query of a contract looks at the contract's table",
        PREFLIGHT,
        "            if not problems and table.lower() not in names_in(query):",
        "            if False:",
        _UNCHECKED,
    ),
    rule(
        "a contract of the lake names the table that it is scanned on",
        PREFLIGHT,
        "    if named[0] != layer or ",
        "    if False and ",
        _UNCHECKED,
    ),
    rule(
        "a column that is not there is one sentence",
        PREFLIGHT,
        "    if unknown:",
        "    if False:",
        f"{_U}::test_one_column_that_is_missing_is_one_sentence_however_many_checks_there_are",
    ),
    rule(
        "a check whose own filter leaves no row was not evaluated",
        CONTRACTS,
        '    return metrics.get("check_rows_tested") == 0',
        "    return False",
        _UNCHECKED,
    ),
    rule(
        "NaN passes no comparison",
        PREFLIGHT,
        "        if count and compared:",
        "        if not count or count:\n            continue\n        if count and compared:",
        _UNCHECKED,
    ),
    rule(
        "a check in a scope is refused, since it would not be run",
        PREFLIGHT,
        '    if content.get("scopes") or scoped:',
        "    if False:",
        _UNCHECKED,
    ),
    rule(
        "a contract on Postgres cannot end the transaction",
        ON_POSTGRES,
        "            self.connection.execute(asked, prepare=True)",
        "            self.connection.execute(asked)",
        _UNCHECKED,
    ),
    rule(
        "the text of a contract reads no file",
        CONTRACTS,
        '"enable_external_access = false"',
        '"enable_external_access = true"',
        f"{_U}::test_the_text_of_a_contract_reads_no_file_of_the_machine",
    ),
    rule(
        "totals of floats may differ by what rounding does",
        TOTALS,
        "        allowed = Fraction(totals.rounded.get(name, 0.0) + _bound(column))",
        "        allowed = Fraction(0)",
        f"{_T}::test_no_order_no_grouping_and_no_scale_closes_the_gate_and_one_cent_always_does",
        f"{_T}::test_a_day_of_sales_in_floats_balances_and_misses_no_cent",
    ),
    rule(
        "totals of floats may differ by no more than what rounding does",
        TOTALS,
        "_SAFETY = 32",
        "_SAFETY = 32_000_000",
        f"{_T}::test_a_day_of_sales_in_floats_balances_and_misses_no_cent",
    ),
    rule(
        "what functions call is part of the code of a gold table",
        CODE,
        "        self._uses(function)\n",
        "",
        _SEEN,
    ),
    rule(
        "closures are part of the code of a gold table",
        CODE,
        "        for cell in function.__closure__ or ():",
        "        for cell in ():",
        _SEEN,
    ),
    rule(
        "default arguments are part of the code of a gold table",
        CODE,
        "        self._each((function.__defaults__, function.__kwdefaults__))\n",
        "",
        _SEEN,
    ),
    rule(
        "what is imported when a transform runs is part of its code",
        CODE,
        "            if use.imported:\n                self._imported(use, function.__globals__)\n            elif",
        "            if use.imported:\n                continue\n            elif",
        _SEEN,
    ),
    rule(
        "a contract is part of what a gold table is made by",
        CURATION,
        "        return fingerprint(self.transform, self.totals, contract, checked, pl.__version__)",
        "        return fingerprint(self.transform, self.totals, checked, pl.__version__)",
        f"{_M}::test_a_changed_contract_audits_again_although_silver_and_transform_did_not_change",
    ),
    rule(
        "a key with a null closes the gate of gold",
        CURATION,
        '        outcome="failed" if surplus or nulls.height else "passed",',
        '        outcome="failed" if surplus else "passed",',
        f"{_M}::test_a_key_with_a_null_closes_the_gate_and_names_the_row",
    ),
    rule(
        "a column of gold keeps its type",
        CURATION,
        '        outcome="failed" if changed else "passed",',
        '        outcome="passed",',
        f"{_M}::test_a_type_that_widens_is_let_through_and_another_one_closes_the_gate",
    ),
    rule(
        "a declaration names contracts that are there",
        DATASET,
        "    if contract.is_file():",
        "    if True:",
        f"{_D}::test_a_slip_is_an_error_at_declaration_with_what_there_is",
    ),
    rule(
        "a declaration names columns and rules that there are",
        DATASET,
        '        if unknown:\n            raise SettingsError(\n                f"{what} names',
        '        if False:\n            raise SettingsError(\n                f"{what} names',
        f"{_D}::test_a_slip_is_an_error_at_declaration_with_what_there_is",
    ),
    rule(
        "a table that the product did not make is not written",
        OWNED,
        '    raise PublicationRefused(\n        f"There is a table of that name,',
        '    return found, owned\n    raise PublicationRefused(\n        f"There is a table of that name,',
        f"{_P}::test_what_somebody_else_has_under_that_name_is_refused_by_name_and_untouched",
        f"{_P}::test_a_table_of_ours_that_somebody_made_again_is_not_ours_and_one_that_is_gone_is_made_again",
    ),
    rule(
        "a table is known by its own number",
        OWNED,
        "    if owned is not None and (owned.oid == oid or restored):",
        "    if owned is not None:",
        f"{_P}::test_a_table_of_ours_that_somebody_made_again_is_not_ours_and_one_that_is_gone_is_made_again",
    ),
    rule(
        "a schema that was restored is known as such",
        OWNED,
        "    restored = record is not None and record[2] != _oid(connection, schema, LEDGER)",
        "    restored = False",
        f"{_P}::test_a_schema_that_was_restored_from_a_dump_is_still_ours",
    ),
    rule(
        "only a table is written",
        OWNED,
        '    if kind != "r":',
        "    if False:",
        f"{_P}::test_what_somebody_else_has_under_that_name_is_refused_by_name_and_untouched",
    ),
    rule(
        "a column that gold no longer has is emptied",
        POSTGRES,
        "        _empty(connection, target, gone, where)",
        "        pass",
        f"{_P}::test_a_column_that_gold_no_longer_has_never_shows_old_values",
    ),
    rule(
        "a value that cannot be shown is refused with its row",
        POSTGRES,
        '    return refuse_rows(rows.batches(), rows.whole, table.key, f"{schema}.{table.name}")',
        "    return sum(frame.height for frame in rows.batches())",
        f"{_P}::test_a_value_that_cannot_be_shown_is_named_by_table_column_and_row",
        f"{_P}::test_a_key_that_tells_no_rows_apart_is_named",
    ),
    rule(
        "a name that Postgres would cut is refused",
        COLUMNS,
        "    if long:",
        "    if False:",
        f"{_P}::test_names_that_postgres_would_cut_or_keeps_for_itself_are_refused",
    ),
    rule(
        "what Postgres would refuse is asked before the lake moves",
        POSTGRES,
        "    if not asked:\n        return ()\n",
        "    if True:\n        return ()\n",
        f"{_P}::test_another_type_is_refused_before_the_lake_moves_and_changes_nothing",
        f"{_P}::test_what_somebody_else_has_under_that_name_is_refused_by_name_and_untouched",
    ),
    rule(
        "the question before the lake moves changes nothing",
        POSTGRES,
        "        found = _audit(connection, schema, tuple(audited)) if sends else []\n        connection.rollback()",
        "        found = _audit(connection, schema, tuple(audited)) if sends else []\n        connection.commit()",
        "tests/integration/test_publish_targets.py::test_the_question_alone_changes_nothing",
    ),
    rule(
        "a schema is made only where there is none",
        POSTGRES,
        "    if not schema_exists(connection, schema):",
        "    if True:",
        f"{_P}::test_the_grants_of_the_documentation_are_enough_word_for_word",
    ),
    rule(
        "a publisher that is still is ended",
        CONNECT,
        '            + (idle or "")\n',
        "",
        f"{_P}::test_a_publisher_that_stands_still_is_ended_and_holds_nobody_up",
    ),
    rule(
        "a publication is held against the tables that it shows",
        RECONCILE,
        "            if rows is not None and rows != table.rows:",
        "            if sum(gold.values()) != table.rows:",
        "tests/unit/ops/test_report_and_account.py::"
        "test_a_publication_of_some_of_the_tables_is_held_against_just_these",
    ),
    rule(
        "a condition that names no column checks nothing",
        PREFLIGHT,
        "not problems and not _depends_on(of(text), there)",
        "False",
        "tests/integration/test_unchecked_contracts.py"
        "::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why",
    ),
    rule(
        "a comparison with NULL is true of no value",
        PREFLIGHT,
        "        elif compared := compared_with_null(sql):",
        '        elif compared := "" and compared_with_null(sql):',
        "tests/integration/test_unchecked_contracts.py"
        "::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why",
    ),
    rule(
        "a condition that can be true of no row checks nothing",
        PREFLIGHT,
        "        elif selects and engine.is_empty_always(query):",
        "        elif False:",
        "tests/integration/test_unchecked_contracts.py"
        "::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why",
    ),
    rule(
        "an empty threshold is no bound",
        PREFLIGHT,
        '        if check.body.get("threshold") == {}:',
        "        if False:",
        "tests/integration/test_unchecked_contracts.py"
        "::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why",
    ),
    rule(
        "a rule that compares with null is refused when it is declared",
        "src/headworks/silver/dataset.py",
        "if void := [name for name, text in written.items() if _WITH_NULL.search(text)]:",
        "if void := []:",
        "tests/unit/silver/test_declarations.py::test_a_rule_that_compares_with_null_is_refused",
    ),
)
