"""Deciding about a delivery."""

from __future__ import annotations

from prefect import get_run_logger

from headworks.prefect.steps.extract import Run
from headworks.silver.dataset import Dataset
from headworks.silver.decisions import Action, Decided, decide
from headworks.silver.refinement import Refinement


def decide_delivery(
    run: Run, dataset: Dataset, number: str, action: Action, by: str, note: str, despite_contract: bool
) -> Decided:
    """Release, discard or undo; repeated, it finds that it is done. A closed gate is reported, not raised."""
    decided = decide(
        Refinement(run.open_lake(), run.run_id),
        dataset,
        number,
        action,
        by=by,
        note=note,
        despite_contract=despite_contract,
        dry_run=run.dry_run,
    )
    get_run_logger().info(
        "%s: delivery %s %s %s: %d rows inserted, %d updated, %d removed",
        dataset.name,
        number,
        "would be" if run.dry_run else "is",
        decided.delivery.state,
        decided.inserted,
        decided.updated,
        decided.removed,
    )
    return decided
