"""From bronze to silver: one task run a dataset."""

from __future__ import annotations

from prefect import task

from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import refine
from headworks.prefect.steps.extract import Run
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import RefineOutcome


@task(name="refine", task_run_name="refine {dataset.name}", **EFFECT)
@shielded
def refine_dataset(run: Run, dataset: Dataset) -> RefineOutcome:
    """Judge what silver has not consumed of bronze, and merge what passes; a closed gate is returned, not raised."""
    return refine.refine_dataset(run, dataset)
