"""One dataset from bronze to silver: a pending range is judged, compared, gated and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from headworks.bronze.generations import Generation, newest_complete
from headworks.bronze.nested import take_nested
from headworks.bronze.resolutions import Resolver, note_passed
from headworks.errors import CandidateStale
from headworks.quality.contracts import run_contract
from headworks.quality.gate import check_account, check_rejects, decide
from headworks.quality.rules import REASONS
from headworks.quality.views import AfterMerge, Candidate, Rows
from headworks.reports import CheckReport, GateReport, RefineReport, TableRef
from headworks.silver.accounts import Account, account_of, keep_account
from headworks.silver.arrays import find_ended, with_empty_ones
from headworks.silver.compare import Comparison
from headworks.silver.dataset import CURRENT, DELETED, PROVENANCE, VALID_TO, VOID, Dataset
from headworks.silver.emptied import FromNothing
from headworks.silver.following import changed_columns, following
from headworks.silver.history import compare_history
from headworks.silver.judged import Judged, judge_range, quarantined
from headworks.silver.parse import key_text, same_key
from headworks.silver.parts import can_be_taken_in_parts, spilled
from headworks.silver.quarantine import SCHEMA, Try, next_try, note_closed, put_rejected, rejected_rows
from headworks.silver.references import parents_elsewhere
from headworks.silver.replaced import note_replaced
from headworks.silver.screening import Range, screen_idle, screen_silver
from headworks.silver.table import (
    Pending,
    check_committed,
    commit_silver,
    merged_ranges,
    pending,
    split,
)
from headworks.silver.vanishing import Vanished, check_vanished, find_vanished
from headworks.silver.versions import compare_with, latest_versions, rows_of
from headworks.silver.work import PART_ROWS, Refinement, RefineOutcome, silver_reference
from headworks.storage.delta import Table
from headworks.storage.rehearsal import keep_changes, note_unknown
from headworks.storage.store import Lake
from headworks.storage.translating import reading

__all__ = ["PART_ROWS", "RefineOutcome", "Refinement", "commit_merge", "live_rows", "refine", "table_checks"]

_SUMMED = (
    "landed",
    "released",
    "rejected",
    "superseded",
    "unchanged",
    "inserted",
    "updated",
    "deleted",
    "returned",
)
"""What two tries of one run count together."""


@dataclass(frozen=True)
class _Gone:
    """Silver after the merge of the changes, and the keys in it that a complete full read no longer has."""

    after: pl.LazyFrame
    generation: Generation | None
    vanished: Vanished

    @property
    def deletes(self) -> pl.DataFrame:
        """The tombstones of these keys."""
        return self.vanished.deletes

    @property
    def counts(self) -> dict[str, int]:
        """What of it the report says."""
        return {
            "deleted": self.vanished.deletes.height,
            "returned": self.vanished.back.height,
            "unidentified": self.vanished.unidentified,
        }

    @property
    def limited(self) -> bool:
        """Whether the full read brings a limit of its own for what it may delete."""
        return self.generation is not None and self.generation.largest_share is not None


@dataclass(frozen=True)
class _Came:
    """What a range came to, in whichever way it was ingested, before anything of it is kept.

    ``alive`` are the candidates that are no tombstones, None where there are none; ``merge`` is what silver gets
    of them, where that is in memory, and ``changes`` are its rows wherever they are. ``commit`` merges them into
    silver; ``settled`` are the rows of the quarantine that then wait no longer.
    """

    taken: Range
    gone: _Gone
    quarantined: Callable[[], pl.DataFrame | pl.LazyFrame]
    alive: Candidate | None
    merge: Comparison | None
    changes: Callable[[], pl.DataFrame | pl.LazyFrame]
    commit: Callable[[Try], None]
    settled: pl.DataFrame


def refine(work: Refinement, dataset: Dataset, *, dry_run: bool = False) -> RefineOutcome:
    """Take what silver has not consumed of bronze through rules, references, comparison and gate, and merge it.

    Nothing new gives a report with ``committed`` false and no gate. Raises `CandidateStale` where another run committed
    in between: the refinement can then be repeated as it is. What the lake's storage answers is raised as an error of
    ours: `LakeUnavailable` for what heals. A dry run writes nothing to the lake.
    """
    with reading(f"silver.{dataset.name}"):
        silver = work.lake.open("silver", dataset.name) if work.counts_on and not dry_run else None
        before = account_of(work.lake, dataset.name, silver, work.run_id) if silver is not None else None
        if dry_run and work.lake.rehearsal is None:
            with TemporaryDirectory(prefix="headworks-dry-") as folder:
                rehearsing = replace(work, lake=Lake(work.lake.settings, Path(folder)))
                return _refine(rehearsing, dataset, dry_run=True)
        outcome = _refine(work, dataset, dry_run=dry_run)
        return outcome if before is None else _with_earlier(before, outcome)


def _with_earlier(before: Account, outcome: RefineOutcome) -> RefineOutcome:
    """Add what an earlier try of the same run committed to what this one did."""
    now, then = outcome.report, before.report
    summed = {name: getattr(then, name) + getattr(now, name) for name in _SUMMED}
    by_name = {
        name: dict(sorted((Counter(getattr(then, name)) + Counter(getattr(now, name))).items()))
        for name in ("reasons", "warned")
    }
    report = now.model_copy(update={**summed, **by_name, "committed": True})
    return RefineOutcome(report=report, gate=outcome.gate or before.gate)


def _refine(work: Refinement, dataset: Dataset, *, dry_run: bool) -> RefineOutcome:
    warnings: tuple[str, ...] = ()
    if dataset.nested is not None and not dry_run:
        ports = {"clock": work.clock, "token": work.token}
        warnings = take_nested(work.lake, dataset.name, dataset.nested, work.run_id, **ports).warnings
    if dry_run and work.lake.open("bronze", dataset.name) is None:
        return RefineOutcome(
            report=RefineReport(
                dataset=dataset.name, table=TableRef(table=f"silver.{dataset.name}", version=0)
            )
        )
    bronze = work.lake.must_open("bronze", dataset.name)
    silver = work.lake.ensure("silver", dataset.name, dataset.silver_schema(), key=dataset.key)
    columns = changed_columns(dataset, silver)
    silver = following(work, dataset, silver, dry_run=dry_run)
    outcome = _refine_pending(work, dataset, bronze, silver, dry_run=dry_run)
    report = outcome.report.model_copy(update={"columns": columns})
    return outcome.model_copy(update={"report": report, "gate": _warned(dataset, outcome.gate, warnings)})


def refine_from_nothing(
    work: Refinement, dataset: Dataset, bronze: Table, silver: FromNothing, *, dry_run: bool
) -> RefineOutcome:
    """Refine all of bronze into a silver as if it had nothing, see ``rebuild.py``."""
    return _refine_pending(work, dataset, bronze, silver, dry_run=dry_run)


def _refine_pending(
    work: Refinement, dataset: Dataset, bronze: Table, silver: Table, *, dry_run: bool
) -> RefineOutcome:
    todo = pending(dataset.name, bronze, silver)
    parts = split(bronze, todo, work.part_rows)
    if len(parts) > 1 and can_be_taken_in_parts(dataset):
        return _refine_in_parts(work, dataset, bronze, silver, parts, dry_run=dry_run)
    return _refine_at_once(work, dataset, bronze, silver, todo, dry_run=dry_run)


def _warned(dataset: Dataset, gate: GateReport | None, warnings: Sequence[str]) -> GateReport | None:
    """Add what is not known of a range to what the gate said about it."""
    scope = f"silver.{dataset.name}"
    checks = [
        CheckReport(
            scope=scope,
            name="rows not known",
            kind="account",
            outcome="warned",
            severity="warning",
            detail=warning,
        )
        for warning in warnings
    ]
    if gate is None:
        return decide(scope, checks, contract_required=False) if checks else None
    return gate.model_copy(update={"checks": (*gate.checks, *checks)})


def _refine_at_once(
    work: Refinement, dataset: Dataset, bronze: Table, silver: Table, todo: Pending, *, dry_run: bool
) -> RefineOutcome:
    """Refine a range in memory; where nothing is new, only what waited for a parent is looked at."""
    judged = judge_range(work, dataset, bronze, silver, todo)
    if todo.is_empty() and not judged.released and not _follows_parents(work, dataset, silver):
        if not dry_run:
            _note_settled(work, dataset, bronze, judged.settled)
        return RefineOutcome(
            report=_report(work, dataset, silver).model_copy(update={"waiting": judged.waiting}),
            gate=screen_idle(work.lake, dataset, silver, work.run_id, work.clock()),
        )
    comparison = compare_with(silver, judged.candidates, dataset)
    comparison = _touching_rejected(work, dataset, silver, judged.rejected, comparison)
    gone = _gone(work, dataset, bronze, silver, comparison, judged.rejected, todo, judged.arrays)
    report = _account(_report(work, dataset, silver), judged, comparison).model_copy(update=gone.counts)
    alive = live_rows(judged.candidates)

    merge = _with_vanished(silver, judged.candidates, comparison, gone.vanished, dataset)

    def commit(attempt: Try) -> None:
        commit_merge(work, dataset, silver, merge, todo, attempt)

    came = _Came(
        taken=Range(todo, judged.rows, judged.candidates.filter(~pl.col(DELETED)), report, gone.limited),
        gone=gone,
        quarantined=lambda: quarantined(work, dataset, judged),
        alive=alive if alive.height else None,
        merge=merge,
        changes=lambda: merge.changes,
        commit=commit,
        settled=judged.settled,
    )
    return _conclude(work, dataset, bronze, silver, came, dry_run=dry_run)


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
    whole = Pending(merged_ranges(todo), todo[-1].generation, todo[-1].remembered)

    def compare_again(rows: pl.DataFrame) -> tuple[Comparison, int]:
        latest = latest_versions(rows, dataset)
        return compare_with(silver, latest, dataset), rows.height - latest.height

    with spilled(dataset, work.part_rows * len(todo)) as parts:
        for number, part in enumerate(todo):
            judged = judge_range(work, dataset, bronze, silver, part, releases=number == 0)
            parts.count(judged.landed, judged.released, judged.good - judged.candidates.height, judged.warned)
            parts.add(compare_with(silver, judged.candidates, dataset), judged.rows)
            parts.count_replaced(judged.replaced)
            parts.add_rejected(quarantined(work, dataset, judged), judged.rejected, judged.places)
            parts.waiting.append(judged.waits)
            parts.elsewhere += judged.elsewhere
            parts.add_arrays(judged.arrays)
            parts.settled.append(judged.settled)
        replaced = parts.take_out_replaced()
        parts.elsewhere -= parents_elsewhere(work.lake, dataset, replaced)
        parts.settle(compare_again)
        changes = parts.changes(_keys_of_rejected(work, dataset, silver, parts.rejected_keys()))
        gone = _gone(work, dataset, bronze, silver, changes, parts.rejected_origins(), whole, parts.arrays())
        vanished = gone.vanished.rows
        report = parts.account(_report(work, dataset, silver)).model_copy(update=gone.counts)
        rows, sample = pl.concat(parts.received), pl.concat(parts.sample)

        def merged() -> pl.LazyFrame:
            if vanished.is_empty():
                return changes
            kept = changes.join(vanished.lazy(), on=list(dataset.key), how="anti")
            return pl.concat([kept.select(list(dataset.silver_schema())), vanished.lazy()])

        def commit(attempt: Try) -> None:
            growth = report.inserted
            if not vanished.is_empty():
                growth += _unknown(gone.after, gone.vanished.kept_out, dataset).height
            only_inserts = parts.only_inserts and vanished.is_empty()
            _commit(work, dataset, silver, merged(), whole, attempt, growth, only_inserts)

        came = _Came(
            taken=Range(whole, rows, sample.filter(~pl.col(DELETED)), report, gone.limited, parts.candidates),
            gone=gone,
            quarantined=lambda: parts.quarantined(SCHEMA),
            alive=parts.live_rows() if parts.candidates else None,
            merge=None,
            changes=merged,
            commit=commit,
            settled=pl.concat(parts.settled),
        )
        return _conclude(work, dataset, bronze, silver, came, dry_run=dry_run)


def _conclude(
    work: Refinement, dataset: Dataset, bronze: Table, silver: Table, came: _Came, *, dry_run: bool
) -> RefineOutcome:
    """Keep the rejected rows, compare with good runs, ask the gate, and merge where it is open."""
    report, gone, scope = came.taken.report, came.gone, f"silver.{dataset.name}"
    attempt = next_try(silver, work.token())
    if not dry_run:
        attempt = put_rejected(work.lake, dataset.name, attempt, came.quarantined())
    screened = screen_silver(work.lake, dataset, silver, came.taken, work.run_id, work.clock())
    # What the last full read deletes of a silver that is made again has passed the gate when it ended.
    limit = None if isinstance(silver, FromNothing) else gone.generation
    found = check_vanished(scope, gone.deletes, gone.after, limit, gone.vanished.unidentified)
    checks = [*found, *screened.checks]
    changes = came.merge is not None and not came.merge.is_empty
    if came.merge is not None:
        checks += table_checks(work, dataset, silver, came.merge)
    gate = _gate(dataset, came.alive, report, checks, changes, dry_run=dry_run)
    if dry_run and report.elsewhere:
        note_unknown(work.lake, dataset.name)
    if dry_run or not gate.open:
        if not dry_run:
            with suppress(CandidateStale):
                note_closed(work.lake, dataset.name, attempt)
            screened.keep(work.lake, gate)
        elif gate.open:
            keep_changes(work.lake, dataset.name, dataset.row_key, came.changes())
        return RefineOutcome(report=report, gate=gate)
    keep_account(work.lake, dataset.name, attempt, Account(run_id=work.run_id, report=report, gate=gate))
    came.commit(attempt)
    _note_settled(work, dataset, bronze, came.settled)
    # Only now: a profile whose candidate was never committed is nothing to compare with.
    screened.keep(work.lake, gate)
    done = report.model_copy(update={"table": silver_reference(work.lake, silver), "committed": True})
    return RefineOutcome(report=done, gate=gate)


def _note_settled(work: Refinement, dataset: Dataset, bronze: Table, settled: pl.DataFrame) -> None:
    """Note which rejected rows wait no longer; where another run notes at the same moment, the next refinement does."""
    with suppress(CandidateStale):
        if not settled.is_empty():
            resolver = Resolver(
                work.run_id, by="", note="the row that it refers to came", moment=work.clock()
            )
            note_passed(work.lake, dataset.name, settled, resolver)
        note_replaced(work, dataset, bronze)


def _follows_parents(work: Refinement, dataset: Dataset, silver: Table) -> bool:
    """Return whether elements of arrays have to end or come back with their parents, though nothing new came."""
    if dataset.nested is None:
        return False
    there = _current(rows_of(silver, dataset), dataset)
    return not find_ended(work.lake, dataset, silver, there, pl.DataFrame()).rows.is_empty()


def _gone(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    changes: Comparison | pl.LazyFrame,
    rejected: pl.DataFrame,
    todo: Pending,
    arrays: pl.DataFrame,
) -> _Gone:
    """Find the keys that a complete full read, if one is to be consumed, no longer has."""
    after = _after(silver, changes, dataset)
    if dataset.nested is not None:
        whole = with_empty_ones(bronze, dataset, arrays)
        return _Gone(after, None, find_ended(work.lake, dataset, silver, after, whole))
    generation = newest_complete(work.lake, bronze, dataset.name) if todo.generation else None
    found = find_vanished(work.lake, dataset, bronze, silver, after, generation, rejected)
    return _Gone(after, generation, found)


def _touching_rejected(
    work: Refinement, dataset: Dataset, silver: Table, rejected: pl.DataFrame, comparison: Comparison
) -> Comparison:
    """Keep the later reading of unchanged rows only where a rejected row has the same key.

    Such a row may lie between both readings; judged again after a fix, it must not win over the later one. To keep it
    for all would rewrite silver with every full read.
    """
    again = comparison.closings
    if dataset.keeps == "history" or again.is_empty():
        return comparison
    known = _keys_of_rejected(work, dataset, silver, key_text(rejected, dataset.key))
    mine = key_text(again, dataset.key).to_frame("key").select(same_key(pl.col("key"))).to_series()
    touched = again.filter(mine.is_in(known.drop_nulls().unique().implode()))
    return replace(comparison, closings=touched)


def _keys_of_rejected(work: Refinement, dataset: Dataset, silver: Table, now: pl.Series) -> pl.Series:
    """Return the keys, as texts to be compared, of the rows rejected now and before."""
    kept = rejected_rows(work.lake, dataset.name, silver)
    keys = now if kept is None else pl.concat([now, kept.select("key").collect().to_series()])
    return keys.to_frame("key").select(same_key(pl.col("key"))).to_series()


def commit_merge(
    work: Refinement, dataset: Dataset, silver: Table, merge: Comparison, todo: Pending, attempt: Try
) -> None:
    """Commit the changes that a comparison came to, and look whether silver then holds what it should."""
    only_inserts = merge.updates.is_empty() and merge.closings.is_empty() and merge.removed.is_empty()
    _commit(work, dataset, silver, merge.changes, todo, attempt, merge.growth, only_inserts, merge.removed)


def _commit(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    changes: pl.DataFrame | pl.LazyFrame,
    todo: Pending,
    attempt: Try,
    growth: int,
    only_inserts: bool,
    removed: pl.DataFrame | None = None,
) -> None:
    rows = silver.row_count() + growth
    in_order = changes.select(list(dataset.silver_schema()))
    commit_silver(silver, dataset.name, dataset.row_key, in_order, todo, attempt, only_inserts, removed)
    check_committed(work.lake, dataset.name, silver, attempt, rows)


def _with_vanished(
    silver: Table, candidates: pl.DataFrame, comparison: Comparison, vanished: Vanished, dataset: Dataset
) -> Comparison:
    """Add what a full read says about keys; in a history each deletion becomes a version that ends the last one."""
    if vanished.rows.is_empty():
        return comparison
    if dataset.keeps == "history":
        ends = pl.concat([vanished.deletes, vanished.kept_out]).select(candidates.columns)
        return compare_history(
            pl.concat([candidates, ends]),
            rows_of(silver, dataset),
            dataset,
            vanished.back.select(dataset.key),
        )
    rows = vanished.rows.select(comparison.inserts.columns)

    def without(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(rows, on=list(dataset.key), how="anti") if frame.height else frame

    known = pl.concat([comparison.inserts.select(dataset.key), _keys_there(silver, rows, dataset)])
    added = rows.join(known, on=list(dataset.key), how="anti")
    new = pl.concat([rows.join(comparison.inserts, on=list(dataset.key), how="semi"), added])
    return replace(
        comparison,
        inserts=pl.concat([without(comparison.inserts), new]),
        updates=pl.concat([without(comparison.updates), rows.join(new, on=list(dataset.key), how="anti")]),
        closings=without(comparison.closings),
    )


def _keys_there(silver: Table, rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    return silver.scan().select(dataset.key).join(rows.lazy(), on=list(dataset.key), how="semi").collect()


def _unknown(after: pl.LazyFrame, rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return those of the rows whose keys are not there after the merge."""
    return rows.lazy().join(after, on=list(dataset.key), how="anti").collect()


def _after(silver: Table, changes: Comparison | pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return silver after the merge of the changes; of a history what is current then, and deletions."""
    merged = changes.changes.lazy() if isinstance(changes, Comparison) else changes
    kept = rows_of(silver, dataset).join(merged, on=list(dataset.row_key), how="anti")
    if isinstance(changes, Comparison) and changes.removed.height:
        kept = kept.join(changes.removed.lazy(), on=list(dataset.row_key), how="anti")
    after = pl.concat([kept, merged], how="diagonal").select(list(dataset.silver_schema()))
    return _current(after, dataset)


def _current(rows: pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return what is current of a history, and its deletions; of others all rows."""
    if dataset.keeps != "history":
        return rows
    return rows.filter(pl.col(CURRENT) | (pl.col(DELETED) & pl.col(VALID_TO).is_null()))


def _account(report: RefineReport, judged: Judged, comparison: Comparison) -> RefineReport:
    reasons = Counter(reason for row in judged.rejected.get_column(REASONS).to_list() for reason in row)
    return report.model_copy(
        update={
            "landed": judged.landed,
            "released": judged.released,
            "rejected": judged.rejected.height,
            "reasons": dict(sorted(reasons.items())),
            "warned": judged.warned,
            "superseded": comparison.superseded + judged.good - judged.candidates.height + judged.replaced,
            "followed": judged.followed,
            "unchanged": comparison.unchanged,
            "inserted": comparison.inserts.height,
            "updated": comparison.updates.height,
            "waiting": judged.waiting,
            "elsewhere": judged.elsewhere,
        }
    )


def table_checks(work: Refinement, dataset: Dataset, silver: Table, merge: Comparison) -> list[CheckReport]:
    """Run the contract for the table after the merge, where there is one and anything would change."""
    if dataset.table_contract is None or merge.is_empty:
        return []
    local = work.lake.settings.is_local

    def rows(table: Table) -> Rows:
        return table.files() if local and not table.is_seen_otherwise else table.scan().collect()

    alongside = {
        name.replace(".", "_"): rows(work.lake.must_open("silver", name)) for name in dataset.contract_sees
    }
    gone = merge.removed.with_columns(pl.lit(value=True).alias(DELETED)) if merge.removed.height else None
    batch = pl.concat([merge.changes, *([] if gone is None else [gone])], how="diagonal")
    batch = batch.drop(*PROVENANCE, VOID, strict=False)
    after_merge = AfterMerge(rows(silver), batch, dataset.row_key, alongside)
    return run_contract(dataset.table_contract, after_merge, f"silver.{dataset.name}")


def _gate(
    dataset: Dataset,
    alive: Candidate | None,
    report: RefineReport,
    made: Sequence[CheckReport],
    changes: bool,
    *,
    dry_run: bool,
) -> GateReport:
    """Decide about the candidates; ``alive`` are those that are no tombstones, None where there are none."""
    scope = f"silver.{dataset.name}"
    checks: list[CheckReport] = [
        check_account(scope, report),
        check_rejects(
            scope,
            report.rejected,
            report.landed,
            dataset.limits,
            elsewhere=report.elsewhere,
            followed=report.followed,
            waiting=report.waiting,
            dry_run=dry_run,
        ),
        *made,
    ]
    contract = dataset.contract if alive is not None else None
    if contract is not None and alive is not None:
        checks += run_contract(contract, alive, scope)
    required = contract is not None or (dataset.table_contract is not None and changes)
    return decide(scope, checks, contract_required=required)


def live_rows(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return candidates without tombstones and metadata: what a contract is about."""
    return candidates.filter(~pl.col(DELETED)).drop(*PROVENANCE, DELETED, VOID, strict=False)


def _report(work: Refinement, dataset: Dataset, silver: Table) -> RefineReport:
    return RefineReport(dataset=dataset.name, table=silver_reference(work.lake, silver))
