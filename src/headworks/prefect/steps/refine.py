"""From bronze to silver: one task run a dataset."""

from __future__ import annotations

from prefect import get_run_logger

from headworks.prefect.steps.extract import Run
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement, RefineOutcome, refine


def refine_dataset(run: Run, dataset: Dataset) -> RefineOutcome:
    """Judge what silver has not consumed of bronze, and merge what passes; a closed gate is reported, not raised."""
    outcome = refine(Refinement(run.open_lake(), run.run_id, counts_on=True), dataset, dry_run=run.dry_run)
    report = outcome.report
    get_run_logger().info(
        "%s: %d in range, %d accepted, %d rejected, %d superseded, %d unchanged, %d deleted, %d waiting",
        dataset.name,
        report.landed,
        report.accepted,
        report.rejected,
        report.superseded,
        report.unchanged,
        report.deleted,
        report.waiting,
    )
    for change in report.columns:
        get_run_logger().warning("%s: column %s.", dataset.name, change)
    if outcome.gate is not None and not outcome.gate.open:
        get_run_logger().error("%s: gate closed: %s", dataset.name, "; ".join(outcome.gate.reasons))
    return outcome
