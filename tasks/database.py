"""Databases into bronze, and into silver where no rules are declared: one task run a table."""

from __future__ import annotations

from prefect import task

from headworks.names import Window
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import database as steps
from headworks.prefect.steps.database import Chosen, Ingested
from headworks.prefect.steps.extract import Run
from headworks.silver.refinement import RefineOutcome
from headworks.sources.sql.catalogue import SchemaTables


@task(name="choose-tables", task_run_name="choose tables of {database}", **EFFECT)
@shielded
def choose(run: Run, database: str, wanted: SchemaTables, prefix: str) -> tuple[Chosen, ...]:
    """List the tables of a schema that the patterns choose."""
    return steps.choose(run, database, wanted, prefix)


@task(name="ingest-table", task_run_name="ingest {chosen.dataset}", **EFFECT)
@shielded
def ingest_table(
    run: Run, database: str, chosen: Chosen, window: Window | None = None, *, keys: bool = False
) -> Ingested:
    """Land what a table has that bronze has not; with ``keys``, note its keys to find deletions by."""
    return steps.ingest_table(run, database, chosen, window, keys=keys)


@task(name="mirror-table", task_run_name="mirror {ingested.dataset}", **EFFECT)
@shielded
def mirror_table(run: Run, ingested: Ingested) -> RefineOutcome:
    """Keep the newest version of each row in silver; a closed gate is returned, not raised."""
    return steps.mirror_table(run, ingested)
