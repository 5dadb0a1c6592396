"""Care for the lake: maintenance and the measuring of freshness, each a task."""

from __future__ import annotations

import json

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from headworks.errors import LakeUnusable
from headworks.ops.escaping import table_cells
from headworks.ops.freshness import FreshnessPromise, FreshnessReport, measure_freshness
from headworks.ops.maintenance import MaintenanceSettings, TableCare, maintain
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps.extract import Run


@task(name="maintain-lake", task_run_name="maintain {run.lake}", **EFFECT)
@shielded
def maintain_lake(run: Run, settings: MaintenanceSettings) -> tuple[TableCare, ...]:
    """Care for every table of the lake, and show what was done to each."""
    done = maintain(run.open_lake(), settings, dry_run=run.dry_run)
    for care in done:
        get_run_logger().info(
            "%s: %d files became %d, %d files removed, %d old rows, %d objects%s",
            care.table,
            care.files_before,
            care.files_after,
            care.files_removed,
            care.rows_expired,
            care.objects_removed,
            f"; left: {', '.join(care.left)}" if care.left else "",
        )
    create_table_artifact(
        table_cells([{**care.model_dump(mode="json"), "left": "; ".join(care.left)} for care in done]),
        key="maintenance",
        description="dry run" if run.dry_run else "what was done to each table",
    )
    failed = [care for care in done if care.failed]
    for care in failed:
        get_run_logger().error("%s was not cared for: %s", care.table, care.failed)
    if failed:
        raise LakeUnusable(
            f"{len(failed)} of {len(done)} tables were not cared for, such as {failed[0].table}: {failed[0].failed}",
            where=run.lake,
            do="read the log of this run; the other tables were cared for.",
        )
    return done


@task(name="measure-freshness", task_run_name="measure {run.lake}", **EFFECT)
@shielded
def freshness_of(run: Run, promises: list[FreshnessPromise]) -> FreshnessReport:
    """Measure how fresh the tables are, and show all of them."""
    report = measure_freshness(run.open_lake(), promises)
    for late in report.late:
        get_run_logger().error("%s is %s: %s", late.table, late.state, late.why)
    rows = json.loads(report.model_dump_json())["tables"]
    create_table_artifact(
        table_cells(rows), key="freshness", description=f"{len(report.late)} of {len(rows)} tables are late"
    )
    if not rows:
        create_markdown_artifact("The lake has no tables yet.", key="freshness-note")
    return report
