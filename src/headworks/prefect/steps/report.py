"""Reporting what a run did: the ledger in the lake, and the artifacts in the UI."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from headworks.ops.account import account_markdown
from headworks.ops.ledger import record_run
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps.extract import Run
from headworks.reports import RunReport


@task(name="record-run", task_run_name="record {report.status}", **EFFECT)
@shielded
def record(run: Run, report: RunReport) -> None:
    """Append the run's report to the ledger, and show its account as an artifact."""
    if not run.dry_run:
        record_run(run.open_lake(), report)
    create_markdown_artifact(
        account_markdown(report),
        key=f"{report.flow.replace('_', '-')}-account",
        description=f"{report.status}",
    )
    get_run_logger().info("the account: %s, %.1f s", report.status, report.seconds)
