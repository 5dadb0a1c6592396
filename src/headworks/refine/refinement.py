"""One dataset from bronze to silver: a pending range is judged, compared, gated and merged.

What belongs here: the order of the steps, and the account of the rows. What does not: how any step works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from headworks.lake.delta import Table
from headworks.lake.generations import newest_complete
from headworks.lake.quarantine import Try, next_try, put_rejected, rejected_rows
from headworks.lake.resolutions import unresolved
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
from headworks.quality.rules import REASONS, Verdict, judge
from headworks.quality.views import AsItWouldBe, Rows
from headworks.refine.compare import Comparison, compare, newest
from headworks.refine.dataset import CURRENT, DELETED, ORIGIN, PROVENANCE, VALID_FROM, Dataset
from headworks.refine.history import compare_history, versions
from headworks.refine.parse import (
    UNREADABLE,
    key_text,
    parse,
    raw_records,
    readable,
    refused,
    tombstones,
    without_future,
)
from headworks.refine.references import split_orphans
from headworks.refine.screening import Range, screen_idle, screen_silver
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
    """A pending range, judged: its rows, newest accepted versions, rejected rows with reasons, and counts."""

    rows: pl.DataFrame
    candidates: pl.DataFrame
    rejected: pl.DataFrame
    landed: int
    good: int
    warned: dict[str, int]
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
            report=_report(work, dataset, silver).model_copy(update={"waiting": judged.waiting}),
            gate=screen_idle(work.lake, dataset, silver, work.run_id, work.clock()),
        )
    comparison = compare_with(silver, judged.candidates, dataset)
    comparison = _touching_rejected(work, dataset, silver, judged.rejected, comparison)
    after = _after(silver, comparison.changes, dataset)
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
    limited = generation is not None and generation.largest_share is not None
    taken = Range(todo, judged.rows, judged.candidates.filter(~pl.col(DELETED)), report, limited)
    screened = screen_silver(work.lake, dataset, silver, taken, work.run_id, work.clock())
    checks = [
        *check_vanished(f"silver.{dataset.name}", deletes, after, generation),
        *screened.checks,
        *_table_checks(work, dataset, silver, judged.candidates),
    ]
    gate = _gate(dataset, judged, report, checks)
    if dry_run or not gate.open:
        if not dry_run:
            screened.keep(work.lake, gate)
        return RefineOutcome(report=report, gate=gate)
    merge = _with_deletes(silver, judged.candidates, comparison, deletes, dataset)
    commit_merge(work, dataset, silver, merge, todo, attempt)
    # Only now: a profile whose candidate was never committed is nothing to compare with.
    screened.keep(work.lake, gate)
    done = report.model_copy(update={"table": silver_reference(work.lake, silver), "committed": True})
    return RefineOutcome(report=done, gate=gate)


def compare_with(silver: Table, candidates: pl.DataFrame, dataset: Dataset) -> Comparison:
    """Compare candidates with silver, as the dataset keeps versions."""
    if dataset.keeps == "history":
        return compare_history(candidates, silver.scan(), dataset)
    return compare(candidates, silver.scan(), dataset.key, keep_first=dataset.keeps == "first")


def _touching_rejected(
    work: Refinement, dataset: Dataset, silver: Table, rejected: pl.DataFrame, comparison: Comparison
) -> Comparison:
    """Keep the later reading of unchanged rows only where a rejected row has the same key.

    Such a row may lie between both readings; judged again after a fix, it must not win over the later one. To keep it
    for all would write silver anew with every full read.
    """
    again = comparison.closings
    if dataset.keeps == "history" or again.is_empty():
        return comparison
    kept = rejected_rows(work.lake, dataset.name, silver)
    keys = key_text(rejected, dataset.key)
    known = keys if kept is None else pl.concat([keys, kept.select("key").collect().to_series()])
    touched = again.filter(key_text(again, dataset.key).is_in(known.drop_nulls().unique().implode()))
    return replace(comparison, closings=touched)


def latest_versions(good: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows that are compared with silver: one a key, or in a history one a key and moment."""
    return versions(good, dataset) if dataset.keeps == "history" else newest(good, dataset.key)


def commit_merge(
    work: Refinement, dataset: Dataset, silver: Table, merge: Comparison, todo: Pending, attempt: Try
) -> None:
    """Commit the changes that a comparison came to, and look whether silver then holds what it should."""
    rows = silver.row_count() + merge.inserts.height
    changes = merge.changes.select(list(dataset.silver_schema()))
    commit_silver(silver, dataset.name, dataset.row_key, changes, todo, attempt)
    check_committed(work.lake, dataset.name, silver, attempt, rows)


def _with_deletes(
    silver: Table, candidates: pl.DataFrame, comparison: Comparison, deletes: pl.DataFrame, dataset: Dataset
) -> Comparison:
    """Add the keys that a full read found gone; in a history each becomes a version that ends the last one."""
    if deletes.is_empty():
        return comparison
    if dataset.keeps == "history":
        gone = deletes.with_columns(pl.col("_ingested_at").cast(deletes.schema[VALID_FROM]).alias(VALID_FROM))
        return compare_with(silver, pl.concat([candidates, gone.select(candidates.columns)]), dataset)
    deleted = deletes.select(comparison.inserts.columns)

    def without(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(deletes, on=list(dataset.key), how="anti")

    new = deleted.join(comparison.inserts, on=list(dataset.key), how="semi")
    known = deleted.join(comparison.inserts, on=list(dataset.key), how="anti")
    return replace(
        comparison,
        inserts=pl.concat([without(comparison.inserts), new]),
        updates=pl.concat([without(comparison.updates), known]),
        closings=without(comparison.closings),
    )


def judge_rows(work: Refinement, dataset: Dataset, rows: pl.DataFrame) -> tuple[Verdict, Verdict]:
    """Judge bronze rows by the rules, and what passes by the references; tombstones pass with nothing but a key."""
    parsed = without_future(parse(rows, dataset), dataset, latest_cursor(work, dataset))
    gone = tombstones(parsed, dataset)
    verdict = judge(parsed.filter(~gone), dataset.schema, UNREADABLE, dataset.warnings)
    linked = split_orphans(work.lake, dataset, verdict.good)
    return verdict, replace(linked, good=pl.concat([linked.good, parsed.filter(gone)]))


def _judge_range(work: Refinement, dataset: Dataset, bronze: Table, silver: Table, todo: Pending) -> _Judged:
    rows = read_range(bronze, todo)
    verdict, linked = judge_rows(work, dataset, readable(rows.lazy()).collect())
    released, waiting = _released(work, dataset, bronze, silver)
    good = pl.concat([linked.good, released]).drop(UNREADABLE)
    judged = pl.concat([verdict.rejected, linked.rejected]).select(*ORIGIN, *dataset.key, REASONS)
    rejected = with_refused(judged, rows)
    return _Judged(
        rows=rows,
        candidates=latest_versions(good, dataset),
        rejected=rejected,
        landed=rows.height,
        good=good.height,
        warned=verdict.warned,
        released=released.height,
        waiting=pl.concat([waiting, linked.rejected.select(dataset.key)]).n_unique(),
    )


def with_refused(rejected: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
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
    waiting = unresolved(work.lake, dataset.name, kept.filter(is_waiting))
    origins = waiting.select(ORIGIN).unique().collect()
    if origins.is_empty():
        return none, none.select(dataset.key)
    rows = bronze.scan().join(origins.lazy(), on=list(ORIGIN), how="semi").collect()
    verdict = judge(parse(rows, dataset), dataset.schema, UNREADABLE, dataset.warnings)
    fresh = compare_with(silver, latest_versions(verdict.good.drop(UNREADABLE), dataset), dataset).fresh
    still = verdict.good.join(fresh.select(ORIGIN), on=list(ORIGIN), how="semi")
    linked = split_orphans(work.lake, dataset, still)
    return linked.good, linked.rejected.select(dataset.key)


def _after(silver: Table, changes: pl.DataFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return silver as it would be with the changes; of a history what would be current."""
    kept = silver.scan().join(changes.lazy(), on=list(dataset.row_key), how="anti")
    after = pl.concat([kept, changes.lazy()], how="diagonal").select(list(dataset.silver_schema()))
    return after.filter(CURRENT) if dataset.keeps == "history" else after


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
            "warned": judged.warned,
            "superseded": comparison.superseded + judged.good - judged.candidates.height,
            "unchanged": comparison.unchanged,
            "inserted": comparison.inserts.height,
            "updated": comparison.updates.height,
            "deleted": deleted,
            "waiting": judged.waiting,
        }
    )


def _table_checks(
    work: Refinement, dataset: Dataset, silver: Table, candidates: pl.DataFrame
) -> list[CheckReport]:
    """Run the contract for the table as it would be, where there is one and anything would change."""
    if dataset.table_contract is None or candidates.is_empty():
        return []
    local = work.lake.settings.is_local

    def rows(table: Table) -> Rows:
        return table.files() if local else table.scan().collect()

    beside = {
        name.replace(".", "_"): rows(work.lake.must_open("silver", name)) for name in dataset.contract_sees
    }
    batch = candidates.drop(*PROVENANCE)
    would_be = AsItWouldBe(rows(silver), batch, dataset.row_key, beside)
    return run_contract(dataset.table_contract, would_be, f"silver.{dataset.name}")


def _gate(dataset: Dataset, judged: _Judged, report: RefineReport, made: Sequence[CheckReport]) -> GateReport:
    scope = f"silver.{dataset.name}"
    checks: list[CheckReport] = [
        check_account(scope, report),
        check_rejects(scope, report.rejected, report.landed, dataset.limits),
        *made,
    ]
    alive = live_rows(judged.candidates)
    contract = dataset.contract if not alive.is_empty() else None
    if contract is not None:
        checks += run_contract(contract, alive, scope)
    required = contract is not None or (
        dataset.table_contract is not None and not judged.candidates.is_empty()
    )
    return decide(scope, checks, contract_required=required)


def latest_cursor(work: Refinement, dataset: Dataset) -> datetime:
    """Return the latest moment that a cursor may have now."""
    return work.clock() + timedelta(hours=dataset.anomalies.future_hours)


def live_rows(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return candidates without tombstones and metadata: what a contract is about."""
    return candidates.filter(~pl.col(DELETED)).drop(*PROVENANCE, DELETED)


def _report(work: Refinement, dataset: Dataset, silver: Table) -> RefineReport:
    return RefineReport(dataset=dataset.name, table=silver_reference(work.lake, silver))


def silver_reference(lake: Lake, silver: Table) -> TableRef:
    """Name a version of a silver table."""
    return TableRef(
        table=silver.name,
        version=silver.version,
        change=silver.transaction(CHANGE),
        uri=lake.uri("silver", silver.name.removeprefix("silver.")),
    )
