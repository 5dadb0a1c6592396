"""Deciding about a delivery: one task run."""

from __future__ import annotations

from prefect import task

from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import deliveries
from headworks.prefect.steps.extract import Run
from headworks.quality.deliveries import Delivery
from headworks.silver.dataset import Dataset
from headworks.silver.decisions import Action, Decided


@task(name="decide", task_run_name="{action} {number}", **EFFECT)
@shielded
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
    """Release, discard or undo; a closed gate is returned, not raised."""
    return deliveries.decide_delivery(run, dataset, number, action, by, note, despite_contract, as_baseline)


@task(name="decide-gold", task_run_name="{action} {one.dataset}", **EFFECT)
@shielded
def decide_gold(run: Run, one: Delivery, action: Action, by: str, note: str) -> Delivery:
    """Release a gold table that is held, or undo that."""
    return deliveries.decide_about_gold(run, one, action, by, note)
