"""The flow that runs any product of the project: what it needs is landed, refined, audited and published."""

from __future__ import annotations

import sys
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from flows.console import run_as_program
from flows.running import THREADS, OnConflict, RunContext, begin, results, run_flow
from headworks.names import Window
from headworks.project import Api, Database, FileStore, Needs, Product, this_project
from headworks.reports import LandingReport, RunReport
from tasks.database import Chosen, Ingested, ingest_table
from tasks.extract import extract_files, extract_resource
from tasks.gold import audit_gold, commit_gold, pin_silver, stage_gold
from tasks.publish import check_publication, name_product, publish_tables
from tasks.refine import refine_dataset


@flow(
    name="pipeline",
    flow_run_name="{product} {mode}",
    task_runner=THREADS,
    result_serializer="json",
    persist_result=True,
)
def pipeline(
    product: str,
    mode: Literal["incremental", "full"] = "incremental",
    window: Window | None = None,
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    blocks: dict[str, str] | None = None,
    lake: str = "lake",
) -> RunReport | State[RunReport]:
    """Land what a product needs, judge it, and publish the product; the project says what that is.

    Args:
        product: The product, as the project names it.
        mode: incremental takes what is new; full reads everything again and finds deletions.
        window: Read only what changed in this time, in addition to the live position.
        dry_run: Read, judge and check, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        blocks: Other blocks in the place of those that the project names, such as {"crm-api": "crm-sandbox"}.
        lake: Block of the lake that holds all tables.
    """
    project = this_project()
    wanted, needs, other = project.product(product), project.needs(product), blocks or {}

    def steps(context: RunContext) -> None:
        land(context, needs, other)
        refine(context, needs)
        publish(context, wanted, other)

    return run_flow("pipeline", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=product)


def land(context: RunContext, needs: Needs, other: dict[str, str]) -> None:
    """Land everything that is new, all sources at once: none depends on another."""
    tables: list[PrefectFuture[Ingested]] = []
    others: list[PrefectFuture[tuple[LandingReport, ...]]] = []
    for source in needs.sources:
        block = other.get(source.block, source.block)
        # What cannot be read for a window is read from where it was, so that the window's rows find what they refer to.
        window = context.window if source.takes_windows else None
        match source:
            case Database():
                chosen = Chosen(dataset=source.into, table=source.table)
                tables.append(ingest_table.submit(context.run, block, chosen, window))
            case Api():
                others.append(
                    extract_resource.submit(context.run, block, source.resource, source.into, window)
                )
            case FileStore():
                others.append(extract_files.submit(context.run, block, source.files, source.into, window))
    keep = context.recorder.landings.extend
    results(tables, keep=lambda table: keep(table.landings))
    results(others, keep=keep)


def refine(context: RunContext, needs: Needs) -> None:
    """Judge and merge into silver: first what others refer to, then what refers to it."""
    for rank in needs.ranks:
        refined = [refine_dataset.submit(context.run, dataset) for dataset in rank]
        for outcome in results(refined, keep=context.refined):
            context.require_open(outcome.gate)


def publish(context: RunContext, product: Product, other: dict[str, str]) -> None:
    """Make the product's tables from the same silver, and show them as one; a closed gate lets nothing through."""
    if context.run.dry_run and not context.recorder.has_silver():
        return
    pins = pin_silver(context.run, product.inputs)
    staged = results([stage_gold.submit(context.run, table, pins) for table in product.tables])
    pairs = list(zip(product.tables, staged, strict=True))
    looks = [audit_gold.submit(context.run, table, candidate) for table, candidate in pairs]
    audits = results(looks, keep=lambda audited: context.recorder.gate(audited.gate))
    for audited in audits:
        context.require_open(audited.gate)
    target = product.publish
    block = "" if target is None else other.get(target.block, target.block)
    if target is not None:
        check_publication(context.run, block, target.schema, product.name, target.tables, tuple(staged))
    if context.run.dry_run:
        return
    made = [
        commit_gold(context.run, candidate, audited)
        for candidate, audited in zip(staged, audits, strict=True)
    ]
    context.recorder.gold.extend(made)
    version = name_product(context.run, product.name, tuple(table.table for table in made))
    if target is not None:
        published = publish_tables(context.run, block, target.schema, version, target.tables)
        for gate in published.gates:
            context.require_open(gate)
        context.recorder.publications.append(published)


if __name__ == "__main__":
    sys.exit(run_as_program(pipeline))
