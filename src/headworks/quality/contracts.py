"""Soda contracts over a candidate: every outcome is reported, and whatever was not checked counts as not passed.

Soda's own ``is_ok`` is true when every check is NOT_EVALUATED, and a contract without checks is PASSED; so neither
is used. Looked at are the status, each check's outcome, and the list of errors. Two more things pass unchecked: a key
that Soda does not know, such as ``must_b`` in a threshold, is left out in silence and the check passes by its defaults;
so contracts are held against Soda's own JSON schema first, and against the table that they are about
(``preflight.py``). And a filter that leaves no row makes every check pass; so a check that tested no row counts as not
evaluated, unless the contract says that its filter may leave none.

The database that a contract is scanned on shows the candidate and what it may be compared with. It reads no other file,
writes none, and its configuration is locked: a contract is text that somebody wrote.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from headworks.errors import ContractRefused
from headworks.quality.preflight import (
    MAY_TEST_NO_ROW,
    found_before,
    refuse_another_table,
    refuse_what_checks_nothing,
)
from headworks.quality.views import Candidate, duckdb_in_utc, files_of, show
from headworks.reports import CheckReport

if TYPE_CHECKING:
    import duckdb

# Else each process tries to reach a collector, and hangs for seconds where there is no internet.
os.environ.setdefault("SODA_CORE_TELEMETRY_ENABLED", "false")

Scanned = tuple[list[CheckReport], Any]
"""What was found before the scan, and what Soda says."""

Outcome = Literal["passed", "failed", "warned", "not evaluated", "error"]

_OUTCOMES: dict[str, Outcome] = {
    "PASSED": "passed",
    "FAILED": "failed",
    "WARN": "warned",
    "NOT_EVALUATED": "not evaluated",
    "EXCLUDED": "not evaluated",
}
_DATA_SOURCE = "lake"
# Soda reads YAML with one reader for the whole process: two scans at once mix up their contracts, and fail.
_one_scan = Lock()
_CONTRACT_SCHEMA = "soda_data_contract_json_schema_1_0_0.json"


def run_contract(contract: Path, candidate: Candidate, scope: str) -> list[CheckReport]:
    """Run a contract over a candidate, and return one report for each check.

    The contract's ``dataset`` is ``lake/<schema>/<table>``; the candidate is what it sees under that name. A contract
    that cannot be read, a scan that raises or logs errors, and a scan without a single check each give a report with
    the outcome ``error`` or ``not evaluated``, never silence.
    """

    def scan() -> Scanned:
        content = read_contract(contract)
        schema, table = names(content, _DATA_SOURCE)
        refuse_another_table((schema, table), scope, content["dataset"])
        with _view(candidate, schema, table) as cursor:
            engine = _DuckDB(cursor, f"{_quoted(schema)}.{_quoted(table)}")
            refuse_what_checks_nothing(content, table, engine)
            return found_before(content, engine, scope), _verify(contract, cursor)

    return scanned(contract, scope, scan)


def scanned(contract: Path, scope: str, scan: Callable[[], Scanned]) -> list[CheckReport]:
    """Return the reports of one scan of Soda's, which is made alone in this process; whatever it raises is a report."""
    try:
        with _one_scan:
            before, result = scan()
        return [*before, *_reports(result, contract, scope)]
    except ContractRefused as refused:
        detail = refused.what
    except Exception as problem:  # noqa: BLE001 - whatever a scan raises closes the gate; that is the point
        detail = f"{type(problem).__name__}: {problem}"
    return [CheckReport(scope=scope, name=contract.name, kind="contract", outcome="error", detail=detail)]


def read_contract(contract: Path) -> dict[str, Any]:
    """Return a contract's content; raises `ContractRefused` where it is not there, or not as Soda's schema asks."""
    try:
        content = yaml.safe_load(contract.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise ContractRefused(
            "the contract's file is not there: put it back, or take it out of the declaration of its table"
        ) from problem
    fault = best_match(_validator().iter_errors(content))
    if fault is not None:
        raise ContractRefused(f"the contract is wrong at {fault.json_path}: {fault.message}")
    return dict(content)


def names(content: Mapping[str, Any], data_source: str) -> tuple[str, str]:
    """Return schema and table of a contract's ``dataset``; raises `ContractRefused` for another data source's."""
    parts = str(content["dataset"]).split("/")
    if len(parts) != 3 or parts[0] != data_source:
        raise ContractRefused(
            f"a contract's dataset reads {data_source}/<schema>/<table>, and not {content['dataset']!r}"
        )
    return parts[1], parts[2]


@cache
def _validator() -> Draft202012Validator:
    """Return the checker of contracts that Soda ships and does not use."""
    text = files("soda_core.contracts").joinpath(_CONTRACT_SCHEMA).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


@contextmanager
def _view(candidate: Candidate, schema: str, table: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Show a candidate to SQL under the contract's name, without copying it."""
    with duckdb_in_utc() as connection:
        show(connection, candidate, schema, table)
        files = ", ".join("'{}'".format(file.replace("'", "''")) for file in files_of(candidate))
        for setting in (f"allowed_paths = [{files}]", "enable_external_access = false"):
            connection.execute(f"SET {setting}")
        connection.execute("SET lock_configuration = true")
        yield connection


@dataclass(frozen=True)
class _DuckDB:
    """The view of a candidate, as a contract is held against it before the scan."""

    connection: duckdb.DuckDBPyConnection
    table: str

    def columns(self) -> dict[str, str]:
        """Return the type of each column."""
        rows = self.connection.execute(f"DESCRIBE {self.table}").fetchall()
        return {str(row[0]): str(row[1]) for row in rows}

    def problem(self, query: str) -> str | None:
        """Return why a query cannot be evaluated, without running it."""
        import duckdb

        try:
            statements = self.connection.extract_statements(query)
            if len(statements) != 1:
                return f"{len(statements)} statements, of which the last alone would count"
            if statements[0].type != duckdb.StatementType.SELECT:
                return f"it is no query, but {statements[0].type.name}"
            self.connection.execute(f"EXPLAIN {query}").fetchall()
        except duckdb.Error as problem:
            return first_lines(problem)
        return None

    def is_empty_always(self, query: str) -> bool:
        """Return whether a query gives no row whatever is in the tables: its plan says so without knowing a value."""
        import duckdb

        try:
            row = self._without_values.execute(f"EXPLAIN (FORMAT json) {query}").fetchone()
        except duckdb.Error:
            return False
        nodes = list(_nodes(json.loads(row[1]))) if row else []
        # An aggregate of no row is a row.
        return bool(nodes) and nodes[-1] == "EMPTY_RESULT" and not any("AGGREGATE" in node for node in nodes)

    @cached_property
    def _without_values(self) -> duckdb.DuckDBPyConnection:
        """The same tables with nothing in them, where plans are made without looking at how large values are."""
        import duckdb

        empty = duckdb.connect()
        empty.execute("SET disabled_optimizers = 'statistics_propagation'")
        tables: dict[str, list[str]] = {}
        for schema, table, column, kind in self.connection.execute(
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        ).fetchall():
            tables.setdefault(f"{_quoted(schema)}.{_quoted(table)}", []).append(f"{_quoted(column)} {kind}")
            empty.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
        for table, columns in tables.items():
            empty.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        return empty

    def number(self, query: str) -> int:
        """Return the one number that a query gives."""
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0


def _nodes(plan: list[dict[str, Any]]) -> Iterator[str]:
    """Return the names of a plan's nodes, from the top down to where it branches or ends."""
    while len(plan) == 1:
        yield str(plan[0]["name"])
        plan = plan[0]["children"]
    if plan:
        yield "a branch"


def first_lines(problem: Exception) -> str:
    """Return what a database says about SQL, without the drawing of where."""
    text = str(problem).partition("\nLINE ")[0]
    return " ".join(text.split())[:300]


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _verify(contract: Path, connection: duckdb.DuckDBPyConnection) -> Any:
    # Imported late: it takes half a second, and most steps of a run do not scan.
    from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl

    return verify(contract, DuckDBDataSourceImpl.from_existing_cursor(connection, name=_DATA_SOURCE))


def verify(contract: Path, source: Any) -> Any:
    """Let Soda verify a contract on one of its data sources; its result."""
    from soda_core.contracts import verify_contract_locally

    logging.getLogger("soda").setLevel(logging.ERROR)
    return verify_contract_locally(data_sources=[source], contract_file_path=str(contract), publish=False)


def _reports(result: Any, contract: Path, scope: str) -> list[CheckReport]:
    reports: list[CheckReport] = []
    for message in result.get_errors():
        reports.append(
            CheckReport(
                scope=scope,
                name=contract.name,
                kind="contract",
                outcome="error",
                detail=str(message)[:500],
            )
        )
    for verified in result.contract_verification_results:
        checks = [_check(check, scope) for check in verified.check_results]
        status = verified.status.name
        if status not in {"PASSED", "WARNED"} and all(
            check.outcome in {"passed", "warned"} for check in checks
        ):
            detail = f"the scan's status is {status}"
            reports.append(
                CheckReport(
                    scope=scope,
                    name=contract.name,
                    kind="contract",
                    outcome="error",
                    detail=detail,
                )
            )
        reports.extend(checks)
    if not reports:
        reports.append(
            CheckReport(
                scope=scope,
                name=contract.name,
                kind="contract",
                outcome="not evaluated",
                detail="the contract has no check",
            )
        )
    return reports


def _check(result: Any, scope: str) -> CheckReport:
    check = result.check
    name = check.name or f"{check.column_name or ''} {check.type}".strip()
    column = f"{check.column_name}: " if check.column_name else ""
    metrics = result.diagnostic_metric_values or {}
    values = ", ".join(f"{key}={_rounded(value)}" for key, value in metrics.items())
    if check.threshold is not None:
        values = ", ".join([values, *str(check.threshold).splitlines()[1:]])
    outcome = _OUTCOMES.get(result.outcome.name, "not evaluated")
    if _tested_nothing(result, metrics):
        outcome = "failed" if outcome == "failed" else "not evaluated"
        values = f"no row was tested: {values}"
    figure = result.threshold_value
    if isinstance(figure, float | Decimal) and math.isnan(figure):
        outcome, values = "not evaluated", f"the figure is not a number (NaN): {values}"
    return CheckReport(
        scope=scope,
        name=f"{column}{name}",
        kind="contract",
        outcome=outcome,
        detail=values,
    )


def _tested_nothing(result: Any, metrics: Mapping[str, Any]) -> bool:
    """Return whether a check had no row to look at."""
    if metrics.get("dataset_rows_tested") == 0:
        return True
    # How many rows there are is what a row count is about: none is an answer.
    if result.check.type == "row_count" or (result.check.attributes or {}).get(MAY_TEST_NO_ROW):
        return False
    return metrics.get("check_rows_tested") == 0


def _rounded(value: object) -> object:
    """Return a number as people read it: with six digits that count; whole numbers are left as they are."""
    if isinstance(value, float | Decimal) and math.isfinite(value):
        whole = int(value) == value
        return int(value) if whole else f"{value:.6g}"
    return value
