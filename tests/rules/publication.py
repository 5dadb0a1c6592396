"""The rules of contracts, of gold tables and of their publication."""

from __future__ import annotations

from tests.rules.base import rule

PREFLIGHT, CONTRACTS = "src/headworks/quality/preflight.py", "src/headworks/quality/contracts.py"
ON_POSTGRES = "src/headworks/quality/postgres_contracts.py"

_U = "tests/integration/test_unchecked_contracts.py"
_UNCHECKED = f"{_U}::test_a_check_that_would_pass_unchecked_keeps_the_gate_closed_and_one_reason_says_why"

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
)
