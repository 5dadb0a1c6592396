"""The flow that ingests any paginated API: one resource, described by a parameter, into bronze."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from headworks.names import Window
from headworks.prefect.console import run_as_program
from headworks.prefect.running import OnConflict, RunContext, begin, run_flow
from headworks.reports import RunReport
from headworks.sources.api.resource import Resource
from tasks.extract import extract_resource

DATASET = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"


@flow(
    name="ingest-api", flow_run_name="ingest {dataset} {mode}", result_serializer="json", persist_result=True
)
def ingest_api(
    api: str,
    resource: Resource,
    dataset: Annotated[str, Field(pattern=DATASET)],
    mode: Literal["incremental", "full"] = "incremental",
    window: Window | None = None,
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    lake: str = "lake",
) -> RunReport | State[RunReport]:
    """Ingest one resource of an API, exactly once, as the bytes that it gave.

    Args:
        api: Block of the API: its address, its credentials, and how hard it may be asked.
        resource: Where the resource is, where its records are, how its pages follow each other, and what is new.
        dataset: Name of the dataset in bronze, such as crm.products.
        mode: incremental takes what is new; full reads everything again and finds deletions.
        window: Read only what changed in this time, alongside the live position.
        dry_run: Read and count, but land nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        lake: Block of the lake that holds all tables.
    """

    def steps(context: RunContext) -> None:
        context.recorder.landings.extend(
            extract_resource(context.run, api, resource, dataset, context.window)
        )

    return run_flow("ingest_api", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=dataset)


if __name__ == "__main__":
    sys.exit(run_as_program(ingest_api))
