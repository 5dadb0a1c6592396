"""The freshness flow: every table's age alongside what was promised; it fails where a promise is broken."""

from __future__ import annotations

import sys

from prefect import flow

from headworks.errors import FreshnessMissed
from headworks.ops.alerts import freshness_alert
from headworks.ops.freshness import FreshnessPromise, FreshnessReport
from headworks.prefect.console import run_as_program
from headworks.prefect.running import begin
from headworks.prefect.steps.alerting import alert_freshness, incident_of
from headworks.prefect.steps.care import freshness_of
from headworks.project import this_project


@flow(name="freshness", flow_run_name="freshness of {lake}", result_serializer="json", persist_result=True)
def freshness(promises: list[FreshnessPromise] | None = None, lake: str = "lake") -> FreshnessReport:
    """Measure how old the tables of the lake are, and fail where one is older than promised.

    Args:
        promises: What is promised of each table: the longest time since its last commit and since its newest event.
            Left out: what the project promises.
        lake: Block of the lake that holds all tables.
    """
    run = begin(lake, "incremental", dry_run=False)
    report = freshness_of(run, list(this_project().freshness) if promises is None else promises)
    incident = incident_of("freshness")
    alert_freshness(run, incident, freshness_alert(report, incident))
    if report.late:
        raise FreshnessMissed(
            f"{len(report.late)} of {len(report.tables)} tables are late: "
            f"{'; '.join(f'{each.table} ({each.why})' for each in report.late)}.",
            where=f"lake {lake}",
            do="look at the newest runs of the flows that fill them, and at their sources.",
        )
    return report


if __name__ == "__main__":
    sys.exit(run_as_program(freshness))
