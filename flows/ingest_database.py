"""The database flow: any table, or all tables of a schema, into bronze, and into silver where that is wished."""

from __future__ import annotations

import sys
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from headworks.errors import SettingsError
from headworks.names import Window
from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, results, run_flow
from headworks.prefect.steps.database import Chosen, Ingested
from headworks.reports import RunReport
from headworks.sources.sql.catalogue import SchemaTables
from headworks.sources.sql.table import Table
from tasks.database import choose, ingest_table, mirror_table


@flow(
    name="ingest-database",
    flow_run_name="ingest {dataset} {mode}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def ingest_database(
    database: str,
    dataset: str,
    table: Table | None = None,
    tables: SchemaTables | None = None,
    mode: Literal["incremental", "full"] = "incremental",
    window: Window | None = None,
    compare_keys: bool = False,
    silver: bool = False,
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    lake: str = "lake",
) -> RunReport | State[RunReport]:
    """Take a table of a database in, or every table of a schema, at about the speed of its own COPY.

    Args:
        database: Block of the database that is read.
        dataset: The dataset that the table lands in, or with tables the first word of each table's dataset.
        table: The table or query to read. Either this or tables is given.
        tables: The tables of a schema to read, by patterns.
        mode: incremental takes what is new; full reads everything again and finds deletions.
        window: Read only what has its cursor in this time, alongside the live position.
        compare_keys: Read all keys as well, to find deletions and rows that were passed by.
        silver: Keep the newest version of each row in silver as well. For tables without declared rules.
        dry_run: Read and count, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        lake: Block of the lake that holds all tables.
    """

    def steps(context: RunContext) -> None:
        chosen = [Chosen(dataset=dataset, table=table)] if table else []
        if tables is not None:
            chosen += choose(context.run, database, tables, dataset)
        ingested = extract(context, database, chosen, compare_keys=compare_keys)
        if silver and not dry_run:
            keep(context, ingested)

    if (table is None) == (tables is None):
        raise SettingsError("Nothing says what to read.", do="give either a table, or tables of a schema.")
    return run_flow(
        "ingest_database", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=dataset
    )


def extract(
    context: RunContext, database: str, chosen: list[Chosen], *, compare_keys: bool
) -> list[Ingested]:
    """Land everything that is new, several tables at once."""
    ingested = results(
        [ingest_table.submit(context.run, database, one, context.window, keys=compare_keys) for one in chosen]
    )
    for table in ingested:
        context.recorder.landings.extend(table.landings)
    return ingested


def keep(context: RunContext, ingested: list[Ingested]) -> None:
    """Bring silver up to what was landed."""
    for outcome in results([mirror_table.submit(context.run, table) for table in ingested]):
        context.recorder.refinements.append(outcome.report)
        context.require_open(outcome.gate)


if __name__ == "__main__":
    sys.exit(run_as_program(ingest_database))
