"""One dataset from bronze to silver: a pending range is judged, compared, gated and merged.

What belongs here: the order of the steps, and the account of the rows. What does not: how any step works.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from headworks.lake.delta import Table
from headworks.lake.generations import newest_complete
from headworks.lake.quarantine import next_try, put_rejected, rejected_rows
from headworks.lake.silver import (
    CHANGE,
    Pending,
    check_committed,
    commit_silver,
    pending,
    read_range,
)
from headworks.lake.store import Lake
from headworks.observe.report import (
    CheckReport,
    GateReport,
    RefineReport,
    Report,
    TableRef,
)
from headworks.ports import Clock, TokenMaker, random_token, system_clock
from headworks.quality.contracts import run_contract
from headworks.quality.gate import check_account, check_rejects, decide
from headworks.quality.rules import REASONS, judge
from headworks.refine.compare import Comparison, compare, newest
from headworks.refine.dataset import ORIGIN, PROVENANCE, Dataset
from headworks.refine.parse import UNREADABLE, key_text, parse, raw_records, readable, refused
from headworks.refine.references import split_orphans
from headworks.refine.vanishing import check_vanished, find_deletes
from headworks.sources.base import PLACE, REFUSED


class RefineOutcome(Report):
    """What a refinement did, and what the gate said; with a closed gate silver is as it was."""

    report: RefineReport
    gate: GateReport | None = None


@dataclass(frozen=True)
class Refinement:
    """Where and for which run a refinement works."""

    lake: Lake
    run_id: str
    clock: Clock = system_clock
    token: TokenMaker = random_token


@dataclass(frozen=True)
class _Judged:
    """A pending range, judged: newest accepted versions, rejected rows with reasons, and counts."""

    candidates: pl.DataFrame
    rejected: pl.DataFrame
    landed: int
    good: int
    released: int
    waiting: int


def refine(work: Refinement, dataset: Dataset, *, dry_run: bool = False) -> RefineOutcome:
    """Take what silver has not consumed of bronze through rules, references, comparison and gate, and merge it.

    Nothing new gives a report with ``committed`` false and no gate. Raises `CandidateStale` where another run committed
    in between: the refinement can then be repeated as it is.
    """
    if dry_run and work.lake.open("bronze", dataset.name) is None:
        return RefineOutcome(
            report=RefineReport(
                dataset=dataset.name, table=TableRef(table=f"silver.{dataset.name}", version=0)
            )
        )
    bronze = work.lake.must_open("bronze", dataset.name)
    silver = work.lake.ensure("silver", dataset.name, dataset.silver_schema())
    todo = pending(dataset.name, bronze, silver)
    judged = _judge_range(work, dataset, bronze, silver, todo)
    if todo.is_empty() and not judged.released:
        return RefineOutcome(
            report=_report(work, dataset, silver).model_copy(update={"waiting": judged.waiting})
        )
    comparison = compare(judged.candidates, silver.scan(), dataset.key)
    changes = comparison.changes.with_columns(pl.lit(False).alias("_deleted"))
    after = _after(silver, changes, dataset)
    generation = newest_complete(work.lake, bronze, dataset.name) if todo.generation else None
    deletes = find_deletes(work.lake, dataset, bronze, after, generation)
    report = _account(_report(work, dataset, silver), judged, comparison, deletes.height)
    attempt = next_try(silver, work.token())
    if not dry_run:
        put_rejected(
            work.lake,
            dataset.name,
            attempt,
            _quarantined(work, dataset, bronze, judged.rejected),
        )
    gate = _gate(
        dataset, judged, report, check_vanished(f"silver.{dataset.name}", deletes, after, generation)
    )
    if dry_run or not gate.open:
        return RefineOutcome(report=report, gate=gate)
    rows = silver.row_count() + comparison.inserts.height
    changes = pl.concat([changes.join(deletes, on=list(dataset.key), how="anti"), deletes], how="diagonal")
    commit_silver(
        silver,
        dataset.name,
        dataset.key,
        changes.select(list(dataset.silver_schema())),
        todo,
        attempt,
    )
    check_committed(work.lake, dataset.name, silver, attempt, rows)
    done = report.model_copy(update={"table": _reference(work, silver), "committed": True})
    return RefineOutcome(report=done, gate=gate)


def _judge_range(work: Refinement, dataset: Dataset, bronze: Table, silver: Table, todo: Pending) -> _Judged:
    rows = read_range(bronze, todo)
    legible = readable(rows.lazy()).collect()
    verdict = judge(parse(legible, dataset), dataset.schema, UNREADABLE)
    linked = split_orphans(work.lake, dataset, verdict.good)
    released, waiting = _released(work, dataset, bronze, silver)
    good = pl.concat([linked.good, released]).drop(UNREADABLE)
    judged = pl.concat([verdict.rejected, linked.rejected]).select(*ORIGIN, *dataset.key, REASONS)
    rejected = _with_refused(judged, rows)
    return _Judged(
        candidates=newest(good, dataset.key),
        rejected=rejected,
        landed=rows.height,
        good=good.height,
        released=released.height,
        waiting=pl.concat([waiting, linked.rejected.select(dataset.key)]).n_unique(),
    )


def _with_refused(rejected: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Add the records that their source refused: the reason is the source's, and the key is not known."""
    told = refused(rows)
    if told.is_empty():
        return rejected
    reasons = told.select(*ORIGIN, pl.concat_list(REFUSED).alias(REASONS))
    return pl.concat([rejected, reasons], how="diagonal")


def _released(
    work: Refinement, dataset: Dataset, bronze: Table, silver: Table
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge again the rows that wait for a parent; return those that silver can take now, and the keys still waiting.

    That a row was released is not written anywhere: a row that silver has, or has a newer version of, is not waiting.
    """
    none = judge(parse(bronze.scan().head(0).collect(), dataset), dataset.schema, UNREADABLE).good
    kept = rejected_rows(work.lake, dataset.name, silver) if dataset.references else None
    if kept is None:
        return none, none.select(dataset.key)
    is_waiting = pl.col("reasons").list.eval(pl.element().is_in(dataset.waiting_reasons)).list.all()
    origins = kept.filter(is_waiting).select(ORIGIN).unique().collect()
    if origins.is_empty():
        return none, none.select(dataset.key)
    rows = bronze.scan().join(origins.lazy(), on=list(ORIGIN), how="semi").collect()
    verdict = judge(parse(rows, dataset), dataset.schema, UNREADABLE)
    fresh = compare(newest(verdict.good.drop(UNREADABLE), dataset.key), silver.scan(), dataset.key).changes
    still = verdict.good.join(fresh.select(ORIGIN), on=list(ORIGIN), how="semi")
    linked = split_orphans(work.lake, dataset, still)
    return linked.good, linked.rejected.select(dataset.key)


def _after(silver: Table, changes: pl.DataFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return silver as it would be with the changes."""
    kept = silver.scan().join(changes.lazy(), on=list(dataset.key), how="anti")
    return pl.concat([kept, changes.lazy()], how="diagonal").select(list(dataset.silver_schema()))


def _quarantined(work: Refinement, dataset: Dataset, bronze: Table, rejected: pl.DataFrame) -> pl.DataFrame:
    """Return rejected rows as quarantine keeps them, each with its raw record out of bronze."""
    origins = rejected.select(ORIGIN)
    raw = bronze.scan().join(origins.lazy(), on=list(ORIGIN), how="semi").collect()
    place = [
        pl.col(name) if name in raw.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in PLACE.items()
    ]
    records = raw.select(*ORIGIN, "_ingested_at", *place).with_columns(
        pl.Series("record", raw_records(raw, dataset), dtype=pl.String)
    )
    told = rejected.with_columns(
        key_text(rejected, dataset.key),
        pl.col(REASONS).alias("reasons"),
        pl.lit(work.run_id).alias("run_id"),
        pl.lit(work.clock(), dtype=pl.Datetime("us", "UTC")).alias("rejected_at"),
    )
    return told.join(records, on=list(ORIGIN), how="left", maintain_order="left")


def _account(report: RefineReport, judged: _Judged, comparison: Comparison, deleted: int) -> RefineReport:
    reasons = Counter(reason for row in judged.rejected.get_column(REASONS).to_list() for reason in row)
    return report.model_copy(
        update={
            "landed": judged.landed,
            "released": judged.released,
            "rejected": judged.rejected.height,
            "reasons": dict(sorted(reasons.items())),
            "superseded": comparison.superseded + judged.good - judged.candidates.height,
            "unchanged": comparison.unchanged,
            "inserted": comparison.inserts.height,
            "updated": comparison.updates.height,
            "deleted": deleted,
            "waiting": judged.waiting,
        }
    )


def _gate(
    dataset: Dataset, judged: _Judged, report: RefineReport, vanished: tuple[CheckReport, ...]
) -> GateReport:
    scope = f"silver.{dataset.name}"
    checks: list[CheckReport] = [
        check_account(scope, report),
        check_rejects(scope, report.rejected, report.landed, dataset.limits),
        *vanished,
    ]
    contract = dataset.contract if not judged.candidates.is_empty() else None
    if contract is not None:
        checks += run_contract(contract, judged.candidates.drop(*PROVENANCE), scope)
    return decide(scope, checks, contract_required=contract is not None)


def _report(work: Refinement, dataset: Dataset, silver: Table) -> RefineReport:
    return RefineReport(dataset=dataset.name, table=_reference(work, silver))


def _reference(work: Refinement, silver: Table) -> TableRef:
    return TableRef(
        table=silver.name,
        version=silver.version,
        change=silver.transaction(CHANGE),
        uri=work.lake.uri("silver", silver.name.removeprefix("silver.")),
    )
