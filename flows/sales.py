"""The sales flow: the shop's orders and catalogue into the tables behind the sales dashboard."""

from __future__ import annotations

import sys
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from flows.console import run_as_program
from flows.running import THREADS, OnConflict, RunContext, begin, results, run_flow
from headworks.names import Window
from headworks.reports import RunReport
from shop import datasets, gold
from tasks.extract import extract_resource, extract_table
from tasks.gold import audit_gold, commit_gold, pin_silver, stage_gold
from tasks.publish import check_publication, name_product, publish_tables
from tasks.refine import refine_dataset


@flow(
    name="sales",
    flow_run_name="sales {mode}",
    task_runner=THREADS,
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
        refine(context)
        curate(context, analytics_database)
        publish(context, analytics_database)

    return run_flow("sales", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=gold.PRODUCT)


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


def refine(context: RunContext) -> None:
    """Judge and merge into silver: first what others refer to, then what refers to it."""
    for independent in datasets.IN_ORDER:
        refined = [refine_dataset.submit(context.run, dataset) for dataset in independent]
        for outcome in results(refined, keep=context.refined):
            context.require_open(outcome.gate)


def curate(context: RunContext, database: str) -> None:
    """Make both gold tables from the same silver; none is committed unless all passed the gate and can be published."""
    if context.run.dry_run and not context.recorder.has_silver():
        return
    pins = pin_silver(context.run, gold.INPUTS)
    staged = results([stage_gold.submit(context.run, table, pins) for table in gold.TABLES])
    pairs = list(zip(gold.TABLES, staged, strict=True))
    looks = [audit_gold.submit(context.run, table, candidate) for table, candidate in pairs]
    audits = results(looks, keep=lambda audited: context.recorder.gate(audited.gate))
    for audited in audits:
        context.require_open(audited.gate)
    check_publication(context.run, database, gold.SCHEMA, gold.PRODUCT, gold.PUBLISHED, tuple(staged))
    if not context.run.dry_run:
        for candidate, audited in zip(staged, audits, strict=True):
            context.recorder.gold.append(commit_gold(context.run, candidate, audited))


def publish(context: RunContext, database: str) -> None:
    """Name the new versions as one publication, and show it in Postgres in one transaction."""
    if context.run.dry_run:
        return
    product = name_product(context.run, gold.PRODUCT, tuple(table.table for table in context.recorder.gold))
    published = publish_tables(context.run, database, gold.SCHEMA, product, gold.PUBLISHED)
    for gate in published.gates:
        context.require_open(gate)
    context.recorder.publications.append(published)


if __name__ == "__main__":
    sys.exit(run_as_program(sales))
