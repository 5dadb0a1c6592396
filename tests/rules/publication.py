"""The rules of contracts, of gold tables and of their publication."""

from __future__ import annotations

from tests.rules.base import rule

PREFLIGHT, CONTRACTS = "src/headworks/quality/preflight.py", "src/headworks/quality/contracts.py"
ON_POSTGRES = "src/headworks/quality/postgres_contracts.py"

CURATION, TOTALS, CODE, DATASET = (
    f"src/headworks/refine/{name}.py" for name in ("curation", "totals", "code", "dataset")
)

_U = "tests/integration/test_unchecked_contracts.py"
_UNCHECKED = f"{_U}::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why"

_T, _CODE = "tests/unit/refine/test_totals.py", "tests/unit/refine/test_code.py"
_SEEN = f"{_CODE}::test_a_change_is_seen_by_just_the_transforms_that_use_it"
_D, _M = "tests/unit/refine/test_declarations.py", "tests/integration/test_made_gold.py"

RULES = (
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
        "            if not problems and table.lower() not in _words(query):",
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
)
