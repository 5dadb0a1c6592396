"""The sales flow: the shop's orders and catalogue into the tables behind the sales dashboard.

What belongs here: the story. What does not: how any step works, and the shop's rules and transforms.
"""

from __future__ import annotations

import sys
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from flows.console import run_as_program
from flows.running import THREADS, OnConflict, Story, begin, results, tell
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
    """Take in the shop's orders, customers, products and rates, and publish revenue for the sales dashboard.

    Args:
        mode: incremental takes what is new; full reads everything again and finds deletions.
        window: Read only orders, lines and customers changed in this time, beside the live position.
        dry_run: Read, judge and check, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        shop_database: Block of the database that orders are read from.
        shop_api: Block of the API that products and rates are read from.
        lake: Block of the lake that holds all tables.
        analytics_database: Block of the database that the dashboard's tables are published to.
    """

    def story(told: Story) -> None:
        extract(told, shop_database, shop_api)
        refine(told)
        curate(told, analytics_database)
        publish(told, analytics_database)

    return tell("sales", begin(lake, mode, dry_run=dry_run), window, on_conflict, story, on=gold.PRODUCT)


def extract(told: Story, database: str, api: str) -> None:
    """Land everything that is new, all sources at once: none depends on another."""
    tables = [
        extract_table.submit(
            told.run,
            database,
            table.schema_name,
            table.table,
            table.cursor,
            dataset.name,
            told.window,
        )
        for dataset, table in datasets.TABLES
    ]
    resources = [
        extract_resource.submit(told.run, api, resource, dataset.name)
        for dataset, resource in datasets.RESOURCES
    ]
    results([*tables, *resources], keep=told.recorder.landings.extend)


def refine(told: Story) -> None:
    """Judge and merge into silver: first what others refer to, then what refers to it."""
    for independent in datasets.IN_ORDER:
        refined = [refine_dataset.submit(told.run, dataset) for dataset in independent]
        for outcome in results(refined, keep=told.refined):
            told.require_open(outcome.gate)


def curate(told: Story, database: str) -> None:
    """Make both gold tables from the same silver; none is committed unless all passed the gate and can be published."""
    if told.run.dry_run and not told.recorder.has_silver():
        return
    pins = pin_silver(told.run, gold.INPUTS)
    staged = results([stage_gold.submit(told.run, table, pins) for table in gold.TABLES])
    pairs = list(zip(gold.TABLES, staged, strict=True))
    looks = [audit_gold.submit(told.run, table, candidate) for table, candidate in pairs]
    audits = results(looks, keep=lambda audited: told.recorder.gate(audited.gate))
    for audited in audits:
        told.require_open(audited.gate)
    check_publication(told.run, database, gold.SCHEMA, gold.PRODUCT, gold.PUBLISHED, tuple(staged))
    if not told.run.dry_run:
        for candidate, audited in zip(staged, audits, strict=True):
            told.recorder.gold.append(commit_gold(told.run, candidate, audited))


def publish(told: Story, database: str) -> None:
    """Name the new versions as one publication, and show it in Postgres in one transaction."""
    if told.run.dry_run:
        return
    product = name_product(told.run, gold.PRODUCT, tuple(table.table for table in told.recorder.gold))
    published = publish_tables(told.run, database, gold.SCHEMA, product, gold.PUBLISHED)
    for gate in published.gates:
        told.require_open(gate)
    told.recorder.publications.append(published)


if __name__ == "__main__":
    sys.exit(run_as_program(sales))
