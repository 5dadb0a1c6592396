"""Stages that flows have in common: land what a product needs, refine it, make its gold tables, publish them.

They run the tasks of the project, which it hands over as `Tasks`: their retries, caches and names are its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from prefect.futures import PrefectFuture
from prefect.tasks import Task

from headworks.errors import SettingsError
from headworks.gold.products import ProductVersion
from headworks.gold.table import Pins, Staged
from headworks.models.learning import Accepted, FeatureRef, Lesson, Scored, Verdict, asked_of
from headworks.models.model import Model
from headworks.models.registry import Registered
from headworks.models.training import Trained
from headworks.prefect.running import RunContext, results
from headworks.prefect.steps.database import Chosen, Ingested
from headworks.prefect.steps.gold import Audit
from headworks.project import Api, Database, FileStore, Needs, Product, Publish
from headworks.reports import CurateReport, GateReport, LandingReport, PublishReport, TableRef
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import RefineOutcome

R = TypeVar("R")


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
    check_publication: Task[..., tuple[GateReport, ...]]
    name_product: Task[..., ProductVersion]
    publish_tables: Task[..., PublishReport]
    prepare_model: Task[..., GateReport] | None = None
    train_model: Task[..., Trained] | None = None
    judge_model: Task[..., Verdict] | None = None
    score_model: Task[..., Scored] | None = None
    commit_model: Task[..., tuple[CurateReport, ...]] | None = None
    register_model: Task[..., Registered | None] | None = None


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
        _require_publishable(context, product, target, tuple(staged), tasks, block)
    if context.run.dry_run:
        return ()
    made = []
    for candidate, audited in zip(staged, audits, strict=True):
        made.append(tasks.commit_gold(context.run, candidate, audited))
        context.recorder.gold.append(made[-1])
    return tuple(made)


def _require_publishable(
    context: RunContext,
    product: Product,
    target: Publish,
    staged: tuple[Staged, ...],
    tasks: Tasks,
    block: str,
) -> None:
    """End the run where the target would refuse the candidates, or a contract of its tables would: the lake stays."""
    gates = tasks.check_publication(
        context.run, block or target.block, target.schema, product.name, target.tables, staged
    )
    # Tasks that a project made before there were these gates return none.
    for gate in gates or ():
        if context.run.dry_run or not gate.open:
            context.require_open(gate)


@dataclass(frozen=True)
class Question:
    """What a run asks of the models of a product, in place of what they declare."""

    cut: datetime | None = None
    horizon_days: float | None = None
    seed: int = 1
    accepted: Accepted = field(default_factory=Accepted)


def question_of(
    product: Product,
    *,
    accept: tuple[str, ...] = (),
    note: str = "",
    seed: int = 1,
    horizon_days: float | None = None,
    cut: datetime | None = None,
) -> Question:
    """Return what parameters of a run ask of a product's models; raises `SettingsError` where it has none to ask."""
    asked = Question(cut, horizon_days, seed, Accepted(names=accept, by="a parameter of the run", note=note))
    if not product.models and asked != Question(accepted=asked.accepted.model_copy(update={"names": ()})):
        raise SettingsError(
            f"The product {product.name} has no model, which accept, seed, horizon_days and cut are about.",
            where=f"product {product.name}",
            do="leave them out; what holds a delivery is let through by headworks delivery.",
        )
    if accept and not note.strip():
        raise SettingsError(
            "Checks are let through without a word on why.",
            where=f"product {product.name}",
            do="say why with note; it is kept with the checks.",
        )
    return asked


@dataclass(frozen=True)
class Learned:
    """What came of a product's models: their tables, and the gates of challengers that were refused."""

    made: tuple[CurateReport, ...] = ()
    refused: tuple[GateReport, ...] = ()


def learn(
    context: RunContext,
    product: Product,
    made: Iterable[CurateReport],
    tasks: Tasks,
    question: Question | None = None,
    block: str = "",
) -> Learned:
    """Train, judge, and score by the models of a product.

    Features that the gate closes for leave all as it is. A challenger that it refuses is not promoted: the champion
    scores, and `require_promoted` ends the run when that is published.
    """
    if not product.models or (context.run.dry_run and not context.recorder.has_silver()):
        return Learned()
    asking, references = question or Question(), {one.table.table: one.table for one in made}
    pins = tasks.pin_silver(context.run, product.inputs)
    done: list[CurateReport] = []
    refused: list[GateReport] = []
    for model in product.models:
        features = _features(context, model, pins, references, tasks)
        asked = asked_of(
            model,
            cut=asking.cut,
            horizon_days=asking.horizon_days,
            seed=asking.seed,
            dry_run=context.run.dry_run,
        )
        lesson = Lesson(product.name, model, features, asked, pins, asking.accepted)
        verdict, scored = _learned(context, lesson, tasks)
        if not verdict.gate.open:
            refused.append(verdict.gate)
        if context.run.dry_run:
            continue
        target = product.publish
        if target is not None:
            staged = tuple(one for one in (scored.scores, scored.champions) if one is not None)
            _require_publishable(context, product, target, staged, tasks, block)
        reports = _task(tasks.commit_model, model)(context.run, lesson, scored, verdict)
        context.recorder.gold.extend(reports)
        done += reports
    return Learned(tuple(done), tuple(refused))


def _learned(context: RunContext, lesson: Lesson, tasks: Tasks) -> tuple[Verdict, Scored]:
    run, model = context.run, lesson.model
    data = _task(tasks.prepare_model, model)(run, lesson)
    if not data.open:
        context.require_open(data)
    trained = _task(tasks.train_model, model)(run, lesson)
    verdict = _task(tasks.judge_model, model)(run, lesson, trained, data)
    context.recorder.gate(verdict.gate)
    if verdict.champion is None:
        context.require_open(verdict.gate)
    scored = _task(tasks.score_model, model)(run, lesson, verdict)
    context.require_open(scored.gate)
    return verdict, scored


def _features(
    context: RunContext, model: Model, pins: Pins, references: Mapping[str, TableRef], tasks: Tasks
) -> FeatureRef:
    """Return what a model learns from: the version that was just made, or in a dry run the candidate."""
    name = f"gold.{model.features.name}"
    if not context.run.dry_run:
        return FeatureRef(table=references[name])
    staged = tasks.stage_gold(context.run, model.features, pins)
    table = TableRef(table=name, version=staged.base_version, uri="")
    return FeatureRef(table=table, staging_id=staged.staging_id if staged.fresh else "")


def _task(task: Task[..., R] | None, model: Model) -> Task[..., R]:
    if task is None:
        raise SettingsError(
            f"The project's tasks do not say how the model {model.name} is made.",
            where="tasks",
            do="name the tasks of tasks/models.py in TASKS; headworks upgrade brings them.",
        )
    return task


def require_promoted(context: RunContext, learned: Learned) -> None:
    """End the run where a challenger was refused, now that the champion's scores are published."""
    for gate in learned.refused:
        context.require_open(gate)


def publish(
    context: RunContext, product: Product, made: Iterable[CurateReport], tasks: Tasks, block: str = ""
) -> None:
    """Name the new versions of a product's tables as one publication, and show it where it is published."""
    if context.run.dry_run:
        return
    version = tasks.name_product(context.run, product.name, tuple(table.table for table in made))
    target = product.publish
    if target is not None:
        published = tasks.publish_tables(
            context.run, block or target.block, target.schema, version, target.tables
        )
        for gate in published.gates:
            context.require_open(gate)
        context.recorder.publications.append(published)
    for model in product.models:
        if model.registry is not None:
            _task(tasks.register_model, model)(context.run, product.name, model)
