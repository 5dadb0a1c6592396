"""Taking databases in: one task run a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from prefect import get_run_logger

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.readers import TableIngest
from headworks.bronze.stamping import METADATA
from headworks.names import Window
from headworks.prefect.blocks import load_database
from headworks.prefect.progress import log_batch, log_landings
from headworks.prefect.steps.extract import Run
from headworks.reports import LandingReport, Report
from headworks.silver.mirror import mirror
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.sources.sql.table import Table

if TYPE_CHECKING:
    from headworks.sources.sql.catalogue import SchemaTables


class Chosen(Report):
    """A table and the dataset that it lands in."""

    dataset: str
    table: Table


class Ingested(Report):
    """What became of one table: a report for each stream, and what identifies its rows."""

    dataset: str
    landings: tuple[LandingReport, ...]
    key: tuple[str, ...] = ()
    cursor: str | None = None


def choose(run: Run, database: str, wanted: SchemaTables, prefix: str) -> tuple[Chosen, ...]:
    """List the tables of a schema that the patterns choose."""
    from headworks.sources.sql.catalogue import choose_tables

    found = choose_tables(load_database(database), wanted, prefix)
    get_run_logger().info("%d tables of %s are chosen", len(found), wanted.schema_name or "the schema")
    return tuple(Chosen(dataset=dataset, table=table) for dataset, table in found)


def ingest_table(
    run: Run, database: str, chosen: Chosen, window: Window | None = None, *, keys: bool = False
) -> Ingested:
    """Land what a table has that bronze has not; with ``keys``, note its keys to find deletions by."""
    from headworks.sources.sql.reader import reader_of

    table = chosen.table
    source = reader_of(load_database(database), table, run_id=run.run_id)
    intake = TableIngest(source)
    request = IngestRequest(
        run.open_lake(),
        chosen.dataset,
        run.run_id,
        mode=run.mode,
        window=window,
        dry_run=run.dry_run,
        drift=table.drift,
        largest_vanishing_share=table.largest_vanishing_share,
    )
    if keys and not run.dry_run:
        reports = compare_keys(
            request.landing(), source, intake.live(), table.largest_vanishing_share, log_batch
        )
    else:
        reports = ingest(request, intake, log_batch)
    log_landings(reports)
    return Ingested(dataset=chosen.dataset, landings=reports, key=source.key, cursor=table.cursor)


def mirror_table(run: Run, ingested: Ingested) -> RefineOutcome:
    """Keep the newest version of each row in silver; a closed gate is reported, not raised."""
    lake = run.open_lake()
    bronze = lake.must_open("bronze", ingested.dataset)
    columns = pl.Schema({name: dtype for name, dtype in bronze.schema.items() if name not in METADATA})
    dataset = mirror(ingested.dataset, ingested.key, columns, ingested.cursor)
    outcome = refine(Refinement(lake, run.run_id, counts_on=True), dataset, dry_run=run.dry_run)
    report = outcome.report
    get_run_logger().info(
        "%s: %d in range, %d accepted, %d rejected, %d superseded, %d unchanged, %d deleted",
        dataset.name,
        report.landed,
        report.accepted,
        report.rejected,
        report.superseded,
        report.unchanged,
        report.deleted,
    )
    for change in report.columns:
        get_run_logger().warning("%s: column %s.", dataset.name, change)
    return outcome
