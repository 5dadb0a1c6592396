"""Sources into bronze: one task run a source."""

from __future__ import annotations

from prefect import task

from headworks.names import Window
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import extract
from headworks.prefect.steps.extract import Run
from headworks.reports import LandingReport
from headworks.sources.api.resource import Resource
from headworks.sources.files.selection import Files


@task(name="extract-table", task_run_name="extract {dataset}", **EFFECT)
@shielded
def extract_table(
    run: Run,
    database: str,
    schema_name: str,
    table: str,
    cursor: str,
    dataset: str,
    window: Window | None = None,
) -> tuple[LandingReport, ...]:
    """Land what a table of a database has that bronze has not."""
    return extract.extract_table(run, database, schema_name, table, cursor, dataset, window)


@task(name="extract-resource", task_run_name="extract {dataset}", **EFFECT)
@shielded
def extract_resource(
    run: Run, api: str, resource: Resource, dataset: str, window: Window | None = None
) -> tuple[LandingReport, ...]:
    """Land what an API's resource has that bronze has not, or what a window of it holds."""
    return extract.extract_resource(run, api, resource, dataset, window)


@task(name="extract-files", task_run_name="extract {dataset}", **EFFECT)
@shielded
def extract_files(
    run: Run, location: str, files: Files, dataset: str, window: Window | None = None
) -> tuple[LandingReport, ...]:
    """Land what a location's files have that bronze has not."""
    return extract.extract_files(run, location, files, dataset, window)
