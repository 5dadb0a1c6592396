"""From silver to gold: pin, stage, audit, commit, each a task.

Staging and auditing have pinned input, so their results are kept for an hour under what they were made from.
"""

from __future__ import annotations

from prefect import task

from headworks.gold.curation import GoldTable
from headworks.gold.table import Pins, Staged
from headworks.prefect.policy import EFFECT, PINNED_FOR, RETRYING, shielded
from headworks.prefect.steps import gold as steps
from headworks.prefect.steps.extract import Run
from headworks.prefect.steps.gold import Audit, audit_key, staged_key
from headworks.reports import CurateReport


@task(name="pin-silver", task_run_name="pin silver", **EFFECT)
@shielded
def pin_silver(run: Run, datasets: tuple[str, ...]) -> Pins:
    """Pin the silver versions that all tables of a product are made from."""
    return steps.pin_silver(run, datasets)


@task(
    name="stage-gold",
    task_run_name="stage {gold.name}",
    cache_key_fn=staged_key,
    cache_expiration=PINNED_FOR,
    **RETRYING,
)
@shielded
def stage_gold(run: Run, gold: GoldTable, pins: Pins) -> Staged:
    """Make the candidate of a gold table from the pinned versions."""
    return steps.stage_gold(run, gold, pins)


@task(
    name="audit-gold",
    task_run_name="audit {gold.name}",
    cache_key_fn=audit_key,
    cache_expiration=PINNED_FOR,
    **RETRYING,
)
@shielded
def audit_gold(run: Run, gold: GoldTable, staged: Staged) -> Audit:
    """Check a candidate before anybody sees it; a closed gate is returned, not raised, and never kept."""
    return steps.audit_gold(run, gold, staged)


@task(name="commit-gold", task_run_name="commit {staged.dataset}", **EFFECT)
@shielded
def commit_gold(run: Run, staged: Staged, audited: Audit) -> CurateReport:
    """Replace a gold table by its audited candidate in one commit."""
    return steps.commit_gold(run, staged, audited)
