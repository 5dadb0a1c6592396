"""Replaying the quarantine: one task run a dataset."""

from __future__ import annotations

from prefect import get_run_logger

from headworks.prefect.steps.extract import Run
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement
from headworks.silver.rejects import Selection
from headworks.silver.replay import ReplayOutcome, replay


def replay_dataset(run: Run, dataset: Dataset, selection: Selection, by: str, note: str) -> ReplayOutcome:
    """Judge rejected rows again and merge those that pass now; a closed gate is reported, not raised."""
    work = Refinement(run.open_lake(), run.run_id)
    outcome = replay(work, dataset, selection, by=by, note=note, dry_run=run.dry_run)
    report = outcome.report
    get_run_logger().info(
        "%s: %d judged again, %d released, %d known in a newer version, %d still rejected",
        dataset.name,
        report.judged,
        report.released,
        report.superseded + report.unchanged,
        report.still_rejected,
    )
    if outcome.gate is not None and not outcome.gate.open:
        get_run_logger().error("%s: gate closed: %s", dataset.name, "; ".join(outcome.gate.reasons))
    return outcome
