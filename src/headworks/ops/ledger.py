"""The run ledger: each run's report in ``ops.runs``, each check's outcome in ``ops.checks``."""

from __future__ import annotations

import polars as pl
from pydantic import ValidationError

from headworks.errors import LakeUnusable
from headworks.reports import RunReport
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

RUNS = pl.Schema(
    {
        "run_id": pl.String(),
        "flow": pl.String(),
        "status": pl.String(),
        "started_at": pl.Datetime("us", "UTC"),
        "finished_at": pl.Datetime("us", "UTC"),
        "report": pl.String(),
    }
)
CHECKS = pl.Schema(
    {
        "run_id": pl.String(),
        "checked_at": pl.Datetime("us", "UTC"),
        "scope": pl.String(),
        "name": pl.String(),
        "kind": pl.String(),
        "outcome": pl.String(),
        "detail": pl.String(),
        "severity": pl.String(),
        "value": pl.Float64(),
        "expected": pl.Float64(),
    }
)


def record_run(lake: Lake, report: RunReport) -> None:
    """Append a run's report and all of its checks; what is there already of the very report is not appended again.

    A step that records is tried again where it was killed, or its commit was reported as failed.
    """
    checks = [
        {
            "run_id": report.run_id,
            "checked_at": report.finished_at,
            **check.model_dump(),
        }
        for gate in report.gates
        for check in gate.checks
    ]
    of_checks = lake.ensure("ops", "checks", CHECKS) if checks else None
    if of_checks is not None and not _is_there(of_checks, report, "checked_at"):
        of_checks.append(pl.DataFrame(checks, schema=CHECKS), {})
    row = {
        "run_id": report.run_id,
        "flow": report.flow,
        "status": report.status,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "report": report.model_dump_json(),
    }
    runs = lake.ensure("ops", "runs", RUNS)
    if not _is_there(runs, report, "finished_at"):
        runs.append(pl.DataFrame([row], schema=RUNS), {})


def _is_there(table: Table, report: RunReport, moment: str) -> bool:
    """Return whether a table has rows of a run's report of this very moment."""
    same = (pl.col("run_id") == report.run_id) & (pl.col(moment) == report.finished_at)
    return not collected(table.scan().filter(same).select("run_id").head(1), table.name).is_empty()


def last_run(lake: Lake, flow: str | None = None) -> RunReport | None:
    """Return the report of the newest run, or of a flow's newest one; None where there is none.

    Raises `LakeUnusable` for a report that another version of headworks wrote and this one cannot read.
    """
    table = lake.open("ops", "runs")
    if table is None:
        return None
    runs = table.scan() if flow is None else table.scan().filter(pl.col("flow") == flow)
    newest = collected(runs.sort("finished_at").tail(1), table.name)
    if not newest.height:
        return None
    try:
        return RunReport.model_validate_json(newest.get_column("report").item())
    except ValidationError as problem:
        raise LakeUnusable(
            f"The report of the newest run{f' of {flow}' if flow else ''} cannot be read: another version of headworks "
            "wrote it.",
            where=f"ops.runs, run {newest.get_column('run_id').item()}",
            do="use the version here that runs the flow.",
        ) from problem


def flows_of(lake: Lake) -> list[str]:
    """Return the flows, and commands, of which a run is in the ledger."""
    table = lake.open("ops", "runs")
    if table is None:
        return []
    return sorted(collected(table.scan().select(pl.col("flow").unique()), table.name).to_series().to_list())
