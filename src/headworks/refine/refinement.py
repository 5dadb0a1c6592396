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
from headworks.lake.nested import take_nested
from headworks.lake.quarantine import SCHEMA, Try, next_try, put_rejected, rejected_rows
from headworks.lake.resolutions import unresolved
from headworks.lake.silver import (
    CHANGE,
    Pending,
    check_committed,
    commit_silver,
    merged_ranges,
    pending,
    read_range,
    split,
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
from headworks.quality.views import AsItWouldBe, Candidate, Rows
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
from headworks.refine.parts import can_be_taken_in_parts, spilled
from headworks.refine.references import split_orphans
from headworks.refine.screening import Range, screen_idle, screen_silver
from headworks.refine.vanishing import check_vanished, find_deletes
from headworks.sources.base import PLACE, REFUSED

PART_ROWS = 250_000


class RefineOutcome(Report):
    """What a refinement did, and what the gate said; with a closed gate silver is as it was."""

    report: RefineReport
    gate: GateReport | None = None


@dataclass(frozen=True)
class Refinement:
    """Where and for which run a refinement works; of more rows than ``part_rows`` one part at a time is in memory."""

    lake: Lake
    run_id: str
    clock: Clock = system_clock
    token: TokenMaker = random_token
    part_rows: int = PART_ROWS


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
    waits: pl.DataFrame

    @property
    def waiting(self) -> int:
        """How many keys wait for the row that they refer to."""
        return self.waits.height


def refine(work: Refinement, dataset: Dataset, *, dry_run: bool = False) -> RefineOutcome:
    """Take what silver has not consumed of bronze through rules, references, comparison and gate, and merge it.

    Nothing new gives a report with ``committed`` false and no gate. Raises `CandidateStale` where another run committed
    in between: the refinement can then be repeated as it is.
    """
    if dataset.nested is not None and not dry_run:
        ports = {"clock": work.clock, "token": work.token}
        take_nested(work.lake, dataset.name, dataset.nested, work.run_id, **ports)
    if dry_run and work.lake.open("bronze", dataset.name) is None:
        return RefineOutcome(
            report=RefineReport(
                dataset=dataset.name, table=TableRef(table=f"silver.{dataset.name}", version=0)
            )
        )
    bronze = work.lake.must_open("bronze", dataset.name)
    silver = work.lake.ensure("silver", dataset.name, dataset.silver_schema())
    todo = pending(dataset.name, bronze, silver)
    parts = split(bronze, todo, work.part_rows) if can_be_taken_in_parts(dataset) else (todo,)
    if len(parts) > 1:
        return _refine_in_parts(work, dataset, bronze, silver, parts, dry_run=dry_run)
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
            _quarantined(work, dataset, judged),
        )
    limited = generation is not None and generation.largest_share is not None
    taken = Range(todo, judged.rows, judged.candidates.filter(~pl.col(DELETED)), report, limited)
    screened = screen_silver(work.lake, dataset, silver, taken, work.run_id, work.clock())
    checks = [
        *check_vanished(f"silver.{dataset.name}", deletes, after, generation),
        *screened.checks,
        *_table_checks(work, dataset, silver, judged.candidates),
    ]
    alive = live_rows(judged.candidates)
    gate = _gate(dataset, alive if alive.height else None, report, checks, judged.candidates.height > 0)
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


def _refine_in_parts(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: tuple[Pending, ...],
    *,
    dry_run: bool,
) -> RefineOutcome:
    """Refine a range that memory would not hold: part by part up to the gate, then in one commit."""
    last = todo[-1]
    whole = Pending(merged_ranges(todo), last.generation)
    with spilled(dataset, work.part_rows * len(todo)) as parts:
        for number, part in enumerate(todo):
            judged = _judge_range(work, dataset, bronze, silver, part, releases=number == 0)
            parts.count(judged.landed, judged.released, judged.good - judged.candidates.height, judged.warned)
            parts.add(compare_with(silver, judged.candidates, dataset), judged.rows)
            parts.add_rejected(_quarantined(work, dataset, judged), judged.rejected)
            parts.waiting.append(judged.waits)
        parts.settle()
        changes = parts.changes(_keys_of_rejected(work, dataset, silver, parts.rejected_keys()))
        after = _after(silver, changes, dataset)
        generation = newest_complete(work.lake, bronze, dataset.name) if whole.generation else None
        deletes = find_deletes(work.lake, dataset, bronze, after, generation)
        report = parts.account(_report(work, dataset, silver)).model_copy(update={"deleted": deletes.height})
        attempt = next_try(silver, work.token())
        if not dry_run:
            put_rejected(work.lake, dataset.name, attempt, parts.quarantined(SCHEMA))
        limited = generation is not None and generation.largest_share is not None
        rows, sample = pl.concat(parts.received), pl.concat(parts.sample)
        taken = Range(whole, rows, sample.filter(~pl.col(DELETED)), report, limited, parts.candidates)
        screened = screen_silver(work.lake, dataset, silver, taken, work.run_id, work.clock())
        checks = [*check_vanished(f"silver.{dataset.name}", deletes, after, generation), *screened.checks]
        gate = _gate(dataset, parts.live_rows() if parts.candidates else None, report, checks, False)
        if dry_run or not gate.open:
            if not dry_run:
                screened.keep(work.lake, gate)
            return RefineOutcome(report=report, gate=gate)
        if not deletes.is_empty():
            kept = changes.join(deletes.lazy(), on=list(dataset.key), how="anti")
            changes = pl.concat([kept.select(list(dataset.silver_schema())), deletes.lazy()])
        only_inserts = parts.only_inserts and deletes.is_empty()
        _commit(work, dataset, silver, changes, whole, attempt, report.inserted, only_inserts)
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
    known = _keys_of_rejected(work, dataset, silver, key_text(rejected, dataset.key))
    touched = again.filter(key_text(again, dataset.key).is_in(known.drop_nulls().unique().implode()))
    return replace(comparison, closings=touched)


def _keys_of_rejected(work: Refinement, dataset: Dataset, silver: Table, now: pl.Series) -> pl.Series:
    """Return the keys, as texts, of the rows rejected now and before."""
    kept = rejected_rows(work.lake, dataset.name, silver)
    return now if kept is None else pl.concat([now, kept.select("key").collect().to_series()])


def latest_versions(good: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows that are compared with silver: one a key, or in a history one a key and moment."""
    return versions(good, dataset) if dataset.keeps == "history" else newest(good, dataset.key)


def commit_merge(
    work: Refinement, dataset: Dataset, silver: Table, merge: Comparison, todo: Pending, attempt: Try
) -> None:
    """Commit the changes that a comparison came to, and look whether silver then holds what it should."""
    only_inserts = merge.updates.is_empty() and merge.closings.is_empty()
    _commit(work, dataset, silver, merge.changes, todo, attempt, merge.inserts.height, only_inserts)


def _commit(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    changes: pl.DataFrame | pl.LazyFrame,
    todo: Pending,
    attempt: Try,
    inserts: int,
    only_inserts: bool,
) -> None:
    rows = silver.row_count() + inserts
    in_order = changes.select(list(dataset.silver_schema()))
    commit_silver(silver, dataset.name, dataset.row_key, in_order, todo, attempt, only_inserts)
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


def _judge_range(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: Pending,
    *,
    releases: bool = True,
) -> _Judged:
    rows = read_range(bronze, todo)
    verdict, linked = judge_rows(work, dataset, readable(rows.lazy()).collect())
    released, waiting = _released(work, dataset, bronze if releases else None, silver, verdict.good)
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
        waits=pl.concat([waiting, linked.rejected.select(dataset.key)]).unique(),
    )


def with_refused(rejected: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Add the records that their source refused: the reason is the source's, and the key is not known."""
    told = refused(rows)
    if told.is_empty():
        return rejected
    reasons = told.select(*ORIGIN, pl.concat_list(REFUSED).alias(REASONS))
    return pl.concat([rejected, reasons], how="diagonal")


def _released(
    work: Refinement, dataset: Dataset, bronze: Table | None, silver: Table, judged: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge again the rows that wait for a parent; return those that silver can take now, and the keys still waiting.

    That a row was released is not written anywhere: a row that silver has, or has a newer version of, is not waiting.
    Without ``bronze`` none is looked for.
    """
    none = judged.clear()
    kept = rejected_rows(work.lake, dataset.name, silver) if dataset.references else None
    if kept is None or bronze is None:
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


def _after(silver: Table, changes: pl.DataFrame | pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return silver as it would be with the changes; of a history what would be current."""
    kept = silver.scan().join(changes.lazy(), on=list(dataset.row_key), how="anti")
    after = pl.concat([kept, changes.lazy()], how="diagonal").select(list(dataset.silver_schema()))
    return after.filter(CURRENT) if dataset.keeps == "history" else after


def _quarantined(work: Refinement, dataset: Dataset, judged: _Judged) -> pl.DataFrame:
    """Return rejected rows as quarantine keeps them, each with its raw record out of bronze."""
    rejected = judged.rejected
    raw = judged.rows.join(rejected.select(ORIGIN), on=list(ORIGIN), how="semi")
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


def _gate(
    dataset: Dataset,
    alive: Candidate | None,
    report: RefineReport,
    made: Sequence[CheckReport],
    changes: bool,
) -> GateReport:
    """Decide about the candidates; ``alive`` are those that are no tombstones, None where there are none."""
    scope = f"silver.{dataset.name}"
    checks: list[CheckReport] = [
        check_account(scope, report),
        check_rejects(scope, report.rejected, report.landed, dataset.limits),
        *made,
    ]
    contract = dataset.contract if alive is not None else None
    if contract is not None and alive is not None:
        checks += run_contract(contract, alive, scope)
    required = contract is not None or (dataset.table_contract is not None and changes)
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
