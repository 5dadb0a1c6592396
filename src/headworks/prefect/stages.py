"""Stages that flows have in common: land what a product needs, refine it, make its gold tables, publish them.

They run the tasks of the project, which it hands over as `Tasks`: their retries, caches and names are its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prefect.futures import PrefectFuture
from prefect.tasks import Task

from headworks.gold.products import ProductVersion
from headworks.gold.table import Pins, Staged
from headworks.prefect.running import RunContext, results
from headworks.prefect.steps.database import Chosen, Ingested
from headworks.prefect.steps.gold import Audit
from headworks.project import Api, Database, FileStore, Needs, Product
from headworks.reports import CurateReport, LandingReport, PublishReport
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import RefineOutcome


@dataclass
class Tasks:
    """The tasks of a project that the stages run; each has the parameters of the step of its name."""

    extract_resource: Task[..., tuple[LandingReport, ...]]
    extract_files: Task[..., tuple[LandingReport, ...]]
    ingest_table: Task[..., Ingested]
    refine_dataset: Task[..., RefineOutcome]
    pin_silver: Task[..., Pins]
    stage_gold: Task[..., Staged]
    audit_gold: Task[..., Audit]
    commit_gold: Task[..., CurateReport]
    check_publication: Task[..., None]
    name_product: Task[..., ProductVersion]
    publish_tables: Task[..., PublishReport]


def land(context: RunContext, needs: Needs, tasks: Tasks, blocks: Mapping[str, str] | None = None) -> None:
    """Land everything that is new, all sources at once: none depends on another.

    ``blocks`` names other blocks in the place of those that the project names.
    """
    tables: list[PrefectFuture[Ingested]] = []
    others: list[PrefectFuture[tuple[LandingReport, ...]]] = []
    for source in needs.sources:
        block = (blocks or {}).get(source.block, source.block)
        # What cannot be read for a window is read from where it was, so that the window's rows find what they refer to.
        window = context.window if source.takes_windows else None
        match source:
            case Database():
                chosen = Chosen(dataset=source.into, table=source.table)
                tables.append(tasks.ingest_table.submit(context.run, block, chosen, window))
            case Api():
                others.append(
                    tasks.extract_resource.submit(context.run, block, source.resource, source.into, window)
                )
            case FileStore():
                others.append(
                    tasks.extract_files.submit(context.run, block, source.files, source.into, window)
                )
    keep = context.recorder.landings.extend
    results(tables, keep=lambda table: keep(table.landings))
    results(others, keep=keep)


def refine(context: RunContext, ranks: Iterable[Iterable[Dataset]], tasks: Tasks) -> None:
    """Judge and merge into silver: first what others refer to, then what refers to it."""
    for rank in ranks:
        refined = [tasks.refine_dataset.submit(context.run, dataset) for dataset in rank]
        for outcome in results(refined, keep=context.refined):
            context.require_open(outcome.gate)


def curate(context: RunContext, product: Product, tasks: Tasks, block: str = "") -> tuple[CurateReport, ...]:
    """Make a product's gold tables from the same silver; none is committed unless all pass and can be published.

    ``block`` is the database that it is published to, where that is another than the product's own.
    """
    if context.run.dry_run and not context.recorder.has_silver():
        return ()
    pins = tasks.pin_silver(context.run, product.inputs)
    staged = results([tasks.stage_gold.submit(context.run, table, pins) for table in product.tables])
    pairs = list(zip(product.tables, staged, strict=True))
    looks = [tasks.audit_gold.submit(context.run, table, candidate) for table, candidate in pairs]
    audits = results(looks, keep=lambda audited: context.recorder.gate(audited.gate))
    for audited in audits:
        context.require_open(audited.gate)
    target = product.publish
    if target is not None:
        tasks.check_publication(
            context.run, block or target.block, target.schema, product.name, target.tables, tuple(staged)
        )
    if context.run.dry_run:
        return ()
    made = []
    for candidate, audited in zip(staged, audits, strict=True):
        made.append(tasks.commit_gold(context.run, candidate, audited))
        context.recorder.gold.append(made[-1])
    return tuple(made)


def publish(
    context: RunContext, product: Product, made: Iterable[CurateReport], tasks: Tasks, block: str = ""
) -> None:
    """Name the new versions of a product's tables as one publication, and show it where it is published."""
    if context.run.dry_run:
        return
    version = tasks.name_product(context.run, product.name, tuple(table.table for table in made))
    target = product.publish
    if target is None:
        return
    published = tasks.publish_tables(
        context.run, block or target.block, target.schema, version, target.tables
    )
    for gate in published.gates:
        context.require_open(gate)
    context.recorder.publications.append(published)
