"""The ingestion of sources: one task run a source."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

from headworks.bronze.ingest import IngestRequest, Mode, ingest
from headworks.bronze.readers import FileIngest, ResourceIngest, TableIngest
from headworks.errors import LakeUnusable
from headworks.names import Window
from headworks.ops.breakers import LakeBreakers
from headworks.prefect.blocks import api_settings, files_settings, lake_settings, load_database
from headworks.prefect.limits import shared_budget
from headworks.prefect.progress import Progress, log_batch, log_landings
from headworks.reports import LandingReport, Report
from headworks.sources.api.resource import Resource
from headworks.sources.files.selection import Files
from headworks.sources.sql.table import Table
from headworks.storage.format import format_of
from headworks.storage.store import Lake


class Run(Report):
    """What every step of a run needs to know: which run, which lake, how."""

    run_id: str
    lake: str
    mode: Mode = "incremental"
    dry_run: bool = False
    rolled_back: dict[str, int] | None = None
    """How often each product had been rolled back when the run began; None: it is not compared."""

    root: str = ""
    """Where the flow found the lake, for steps on other machines; empty where all run on one."""

    def open_lake(self) -> Lake:
        """Open the lake that the run's block describes; a dry run reads it, and writes to a folder of its own.

        Raises `LakeUnusable` on a machine where the block describes another lake than the flow's, or where its folder
        is not.
        """
        lake = Lake(lake_settings(self.lake), self.rehearsal if self.dry_run else None)
        if self.root and (lake.settings.root != self.root or format_of(lake) is None):
            raise LakeUnusable(
                f"On this machine the block {self.lake} describes {lake.settings.root}, where the flow's lake is not.",
                where=f"{self.root}, on {socket.gethostname()}",
                do="keep the lake in an object store or in a folder that all machines share, and the blocks on the "
                "Prefect server or in the same variables on each worker.",
            )
        return lake

    @property
    def rehearsal(self) -> Path:
        """The folder of a dry run, of this machine."""
        return Path(tempfile.gettempdir()) / f"headworks-dry-{self.run_id}"

    def forget_rehearsal(self) -> None:
        """Remove what a dry run has made, on this machine."""
        if self.dry_run:
            shutil.rmtree(self.rehearsal, ignore_errors=True)


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
    from headworks.sources.sql.reader import reader_of

    source = reader_of(
        load_database(database),
        Table(schema_name=schema_name, name=table, cursor=cursor),
        run_id=run.run_id,
    )
    reports = ingest(_request(run, dataset, window), TableIngest(source), log_batch)
    log_landings(reports)
    return reports


def extract_resource(
    run: Run, api: str, resource: Resource, dataset: str, window: Window | None = None
) -> tuple[LandingReport, ...]:
    """Land what an API's resource has that bronze has not, or what a window of it holds."""
    from headworks.sources.api.client import ApiClient
    from headworks.sources.api.source import ApiSource

    settings = api_settings(api)
    breakers = LakeBreakers(run.open_lake())
    client = ApiClient(settings, name=api, budget=shared_budget(api, settings), breakers=breakers)
    progress = Progress(dataset)

    def on_batch(report: LandingReport) -> None:
        log_batch(report)
        progress.show(report)

    reports = ingest(_request(run, dataset, window), ResourceIngest(ApiSource(client, resource)), on_batch)
    progress.done(reports)
    log_landings(reports)
    return reports


def extract_files(
    run: Run, location: str, files: Files, dataset: str, window: Window | None = None
) -> tuple[LandingReport, ...]:
    """Land what a location's files have that bronze has not."""
    from headworks.sources.files.location import Location
    from headworks.sources.files.source import FileSource
    from headworks.storage.shelf import LakeShelf

    request = _request(run, dataset, window)
    shelf = LakeShelf(request.lake, dataset, dry_run=run.dry_run)
    source = FileSource(Location(files_settings(location)), files, shelf)
    reports = ingest(request, FileIngest(source), log_batch)
    log_landings(reports)
    return reports


def _request(run: Run, dataset: str, window: Window | None) -> IngestRequest:
    return IngestRequest(
        run.open_lake(),
        dataset,
        run.run_id,
        mode=run.mode,
        window=window,
        dry_run=run.dry_run,
    )
