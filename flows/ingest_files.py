"""The flow that ingests files: from a folder or an object store into a bronze table."""

from __future__ import annotations

import sys
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from headworks.names import Window
from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, run_flow
from headworks.reports import RunReport
from headworks.sources.files.formats import Compression, CsvOptions, Format, ParquetOptions
from headworks.sources.files.selection import HIDDEN, Files
from tasks.extract import extract_files


@flow(
    name="ingest-files",
    flow_run_name="ingest {dataset} {mode}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def ingest_files(
    location: str,
    dataset: str,
    format: Format,
    pattern: str = "**",
    csv: CsvOptions | None = None,
    parquet: ParquetOptions | None = None,
    compression: Compression = "auto",
    settle_s: float | None = None,
    hidden: tuple[str, ...] = HIDDEN,
    retake_refused: bool = False,
    mode: Literal["incremental", "full"] = "incremental",
    window: Window | None = None,
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    lake: str = "lake",
) -> RunReport | State[RunReport]:
    """Ingest files, each version of each file exactly once, into the bronze table of a dataset.

    Args:
        location: Block of the folder or object store that the files are in.
        dataset: The dataset that they become, such as sales.receipts.
        format: csv, ndjson (one JSON record a line), json (an array of records), or parquet.
        pattern: Which files below the location: * and ? within a folder, ** over any folders, [a-c], {csv,txt}.
        csv: How CSV files are written: delimiter, quote, header, encoding, null values, types of columns, and so on.
        parquet: How Parquet files are read: what becomes of times below a microsecond.
        compression: gz, zst, none, or auto, which goes by the ending of each file's name.
        settle_s: Leave files for the next run that were modified less than so many seconds ago.
        hidden: Names of files and folders that are left out, as patterns.
        retake_refused: Try files again that were refused whole, though neither they nor the settings have changed.
        mode: incremental takes what is new; full reads all files that are there again.
        window: Take the files that were modified in this time, alongside the live position.
        dry_run: Read and count, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        lake: Block of the lake that holds all tables.
    """
    files = Files(
        format=format,
        pattern=pattern,
        csv=csv or CsvOptions(),
        parquet=parquet or ParquetOptions(),
        retake_refused=retake_refused,
        compression=compression,
        settle_s=settle_s,
        hidden=hidden,
    )

    def steps(context: RunContext) -> None:
        context.recorder.landings.extend(extract_files(context.run, location, files, dataset, context.window))

    return run_flow(
        "ingest_files", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=dataset
    )


if __name__ == "__main__":
    sys.exit(run_as_program(ingest_files))
