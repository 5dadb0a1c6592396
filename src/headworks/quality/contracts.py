"""Soda contracts over a candidate: every outcome is told, and whatever was not checked counts as not passed.

Soda's own ``is_ok`` is true when every check is NOT_EVALUATED, and a contract without checks is PASSED; so neither
is used. Looked at are the status, each check's outcome, and the list of errors. Two more things pass unchecked: a key
that Soda does not know, such as ``must_b`` in a threshold, is left out in silence and the check passes by its defaults;
so contracts are held against Soda's own JSON schema first. And a filter that leaves no row makes every check pass; so a
check that tested no row of the dataset counts as not evaluated.

What belongs here: running one contract over one frame. What does not: deciding, which the gate does, and tables in
Postgres (``postgres_contracts.py``).
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import duckdb
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from headworks.observe.report import CheckReport
from headworks.quality.views import Candidate, show

# Else each process tries to reach a collector, and hangs for seconds where there is no internet.
os.environ.setdefault("SODA_CORE_TELEMETRY_ENABLED", "false")

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

    def scan() -> Any:
        schema, table = names(contract, _DATA_SOURCE)
        with _view(candidate, schema, table) as cursor:
            return _verify(contract, cursor)

    return scanned(contract, scope, scan)


def scanned(contract: Path, scope: str, scan: Callable[[], Any]) -> list[CheckReport]:
    """Return the reports of one scan of Soda's, which is made alone in this process; whatever it raises is a report."""
    try:
        with _one_scan:
            result = scan()
        return _reports(result, contract, scope)
    except Exception as problem:  # noqa: BLE001 - whatever a scan raises closes the gate; that is the point
        detail = f"{type(problem).__name__}: {problem}"
        return [
            CheckReport(
                scope=scope,
                name=contract.name,
                kind="contract",
                outcome="error",
                detail=detail,
            )
        ]


def names(contract: Path, data_source: str) -> tuple[str, str]:
    """Return schema and table of a contract's ``dataset``; raises `ValueError` for a contract that is wrong."""
    content = yaml.safe_load(contract.read_text(encoding="utf-8"))
    fault = best_match(_validator().iter_errors(content))
    if fault is not None:
        raise ValueError(f"the contract is wrong at {fault.json_path}: {fault.message}")
    parts = str(content["dataset"]).split("/")
    if len(parts) != 3 or parts[0] != data_source:
        raise ValueError(
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
    connection = duckdb.connect()
    try:
        show(connection, candidate, schema, table)
        yield connection
    finally:
        connection.close()


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
    if outcome in {"passed", "warned"} and metrics.get("dataset_rows_tested") == 0:
        outcome = "not evaluated"
    return CheckReport(
        scope=scope,
        name=f"{column}{name}",
        kind="contract",
        outcome=outcome,
        detail=values,
    )


def _rounded(value: object) -> object:
    """Return a number as people read it: with six digits that count; whole numbers are left as they are."""
    if isinstance(value, float | Decimal) and math.isfinite(value):
        whole = int(value) == value
        return int(value) if whole else f"{value:.6g}"
    return value
