"""Deciding about a delivery."""

from __future__ import annotations

from prefect import get_run_logger

from headworks.gold.holding import decide_gold
from headworks.ports import system_clock
from headworks.prefect.steps.extract import Run
from headworks.quality.deliveries import Delivery
from headworks.silver.dataset import Dataset
from headworks.silver.decisions import Action, Decided, decide
from headworks.silver.refinement import Refinement


def decide_delivery(
    run: Run,
    dataset: Dataset,
    number: str,
    action: Action,
    by: str,
    note: str,
    despite_contract: bool,
    as_baseline: bool = False,
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
        as_baseline=as_baseline,
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


def decide_about_gold(run: Run, one: Delivery, action: Action, by: str, note: str) -> Delivery:
    """Release a gold table that is held, or undo that; repeated, it finds that it is done."""
    done = decide_gold(
        run.open_lake(),
        one,
        action,
        by=by,
        note=note,
        run_id=run.run_id,
        moment=system_clock(),
        dry_run=run.dry_run,
    )
    get_run_logger().info("%s %s %s", done.dataset, "would be" if run.dry_run else "is", done.state)
    return done
