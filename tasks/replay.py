"""Rejected rows judged again: one task run a dataset."""

from __future__ import annotations

from prefect import task

from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import replay
from headworks.prefect.steps.extract import Run
from headworks.silver.dataset import Dataset
from headworks.silver.rejects import Selection
from headworks.silver.replay import ReplayOutcome


@task(name="replay", task_run_name="replay {dataset.name}", **EFFECT)
@shielded
def replay_dataset(run: Run, dataset: Dataset, selection: Selection, by: str, note: str) -> ReplayOutcome:
    """Judge rejected rows again and merge those that pass now; a closed gate is returned, not raised."""
    return replay.replay_dataset(run, dataset, selection, by, note)
