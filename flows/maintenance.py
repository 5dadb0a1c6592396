"""The maintenance flow: small files joined, old ones removed, in quiet hours and alongside running flows."""

from __future__ import annotations

import sys

from prefect import flow

from headworks.ops.maintenance import MaintenanceSettings, TableCare
from headworks.prefect.console import run_as_program
from headworks.prefect.running import begin
from headworks.prefect.steps.alerting import incident_of, recovered
from headworks.prefect.steps.care import maintain_lake


@flow(
    name="maintenance", flow_run_name="maintenance of {lake}", result_serializer="json", persist_result=True
)
def maintenance(
    lake: str = "lake", settings: MaintenanceSettings | None = None, dry_run: bool = False
) -> tuple[TableCare, ...]:
    """Care for every table of the lake: join small files, delete what has aged, remove what nothing needs.

    Args:
        lake: Block of the lake that holds all tables.
        settings: How long things are kept; the defaults are safe for flows that take up to a day.
        dry_run: Report what would be taken away, but change nothing.
    """
    run = begin(lake, "incremental", dry_run=dry_run)
    done = maintain_lake(run, settings or MaintenanceSettings())
    if not dry_run:
        recovered(run, incident_of("maintenance"))
    return done


if __name__ == "__main__":
    sys.exit(run_as_program(maintenance))
