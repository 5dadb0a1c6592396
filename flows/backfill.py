"""The backfill flow: a range of time ingested again, window by window, alongside the live position."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from headworks.errors import BackfillIncomplete
from headworks.ops.backfills import Every, PlannedWindow, split
from headworks.prefect.console import run_as_program
from headworks.prefect.running import begin
from headworks.prefect.steps.alerting import incident_of, recovered
from headworks.prefect.steps.backfill import plan_backfill, run_windows
from headworks.project import this_project


@flow(name="backfill", flow_run_name="backfill {name}", result_serializer="json", persist_result=True)
def backfill(
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,60}$")],
    start: datetime,
    end: datetime,
    flow: str = "",
    every: Every = "day",
    zone: str = "UTC",
    parameters: dict[str, Any] | None = None,
    parallel: Annotated[int, Field(ge=1, le=16)] = 1,
    dry_run: bool = False,
    lake: str = "lake",
) -> tuple[PlannedWindow, ...]:
    """Take a range of time in again, window by window; windows that are done are not repeated.

    Args:
        name: Names this backfill. The same name continues where it stopped; another name restarts.
        start: First moment to ingest. Without a zone it counts as one of the zone below.
        end: First moment to leave out.
        flow: The flow that ingests one window, such as ingest_database; empty for the first one that the project names.
        every: How long a window is.
        zone: Time zone in which days, weeks and months begin.
        parameters: Further parameters of that flow.
        parallel: How many windows are ingested side by side.
        dry_run: Show the plan, but take nothing in.
        lake: Block of the lake that holds all tables.
    """
    flow = flow or next(iter(this_project().flows), "")
    run = begin(lake, "incremental", dry_run=dry_run)
    planned = plan_backfill(run, name, flow, split(start, end, every, zone))
    if dry_run:
        return planned
    done = run_windows(run, name, flow, planned, parameters or {}, parallel)
    failed = [each for each in done if each.state != "done"]
    if failed:
        raise BackfillIncomplete(
            f"{len(failed)} of {len(done)} windows failed, the first one {failed[0].window.start} "
            f"to {failed[0].window.end}: {failed[0].message}",
            where=f"backfill {name}",
            do="fix what it says and run the same backfill again: only these windows are repeated.",
        )
    recovered(run, incident_of("backfill"))
    return done


if __name__ == "__main__":
    sys.exit(run_as_program(backfill))
