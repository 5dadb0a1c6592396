"""The sales flow: the shop's orders and catalogue into the tables behind the sales dashboard."""

from __future__ import annotations

import sys
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from headworks.names import Window
from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, results, run_flow
from headworks.prefect.stages import curate, publish, refine
from headworks.reports import RunReport
from shop import datasets
from shop.project import SALES
from tasks import TASKS
from tasks.extract import extract_resource, extract_table


@flow(
    name="sales",
    flow_run_name="sales {mode}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def sales(
    mode: Literal["incremental", "full"] = "incremental",
    window: Window | None = None,
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    shop_database: str = "shop-database",
    shop_api: str = "shop-api",
    lake: str = "lake",
    analytics_database: str = "analytics-database",
) -> RunReport | State[RunReport]:
    """Ingest the shop's orders, customers, products and rates, and publish revenue for the sales dashboard.

    Args:
        mode: incremental takes what is new; full reads everything again and finds deletions.
        window: Read only orders, lines and customers changed in this time, alongside the live position.
        dry_run: Read, judge and check, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        shop_database: Block of the database that orders are read from.
        shop_api: Block of the API that products and rates are read from.
        lake: Block of the lake that holds all tables.
        analytics_database: Block of the database that the dashboard's tables are published to.
    """

    def steps(context: RunContext) -> None:
        extract(context, shop_database, shop_api)
        refine(context, datasets.IN_ORDER, TASKS)
        made = curate(context, SALES, TASKS, analytics_database)
        publish(context, SALES, made, TASKS, analytics_database)

    return run_flow("sales", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=SALES.name)


def extract(context: RunContext, database: str, api: str) -> None:
    """Land everything that is new, all sources at once: none depends on another."""
    tables = [
        extract_table.submit(
            context.run,
            database,
            table.schema_name,
            table.table,
            table.cursor,
            dataset.name,
            context.window,
        )
        for dataset, table in datasets.TABLES
    ]
    resources = [
        extract_resource.submit(context.run, api, resource, dataset.name)
        for dataset, resource in datasets.RESOURCES
    ]
    results([*tables, *resources], keep=context.recorder.landings.extend)


if __name__ == "__main__":
    sys.exit(run_as_program(sales))
