"""One dataset from bronze to silver: a pending range is judged, compared, gated and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from headworks.bronze.generations import Generation
from headworks.bronze.nested import take_nested
from headworks.quality.deliveries import (
    Delivery,
    held_check,
    holds,
    open_holds,
)
from headworks.quality.gate import decide, with_checks
from headworks.quality.rules import REASONS
from headworks.reports import CheckReport, GateReport, RefineReport, TableRef
from headworks.silver.accounts import account_of
from headworks.silver.arrivals import Without, arrival_of, divided
from headworks.silver.compare import Comparison, fresh_of
from headworks.silver.concluding import Came, OneDelivery, conclude, note_settled
from headworks.silver.dataset import (
    DELETED,
    Dataset,
)
from headworks.silver.emptied import FromNothing
from headworks.silver.following import changed_columns, following
from headworks.silver.holding import (
    Overruled,
    as_it_came,
    is_superseded,
    may_be_judged_again,
    note_superseded,
)
from headworks.silver.judged import Judged, judge_range, quarantined
from headworks.silver.merging import (
    Holds,
    after_merge,
    commit_merge,
    commit_rows,
    compared_keys,
    ended_but_shown,
    find_gone,
    follows_parents,
    keys_of_rejected,
    live_rows,
    living,
    not_there,
    touching_rejected,
    with_first_elements,
    with_vanished,
)
from headworks.silver.parts import can_be_taken_in_parts, spilled
from headworks.silver.quarantine import SCHEMA, Try
from headworks.silver.references import parents_elsewhere
from headworks.silver.screening import Range, screen_idle
from headworks.silver.table import (
    Pending,
    count_batches,
    is_read_again,
    merged_ranges,
    pending,
    split,
)
from headworks.silver.vanishing import find_vanished
from headworks.silver.versions import compare_with, latest_versions
from headworks.silver.work import PART_ROWS, Refinement, RefineOutcome, added_up, silver_reference
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import reading

__all__ = [
    "PART_ROWS",
    "RefineOutcome",
    "Refinement",
    "refine",
    "refine_from_nothing",
    "release_held",
    "versions_again",
]


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
                return _refine(rehearsing, dataset, None, dry_run=True)
        earlier = None if before is None else RefineOutcome(report=before.report, gate=before.gate)
        return _refine(work, dataset, earlier, dry_run=dry_run)


def _refine(
    work: Refinement, dataset: Dataset, earlier: RefineOutcome | None, *, dry_run: bool
) -> RefineOutcome:
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
    outcome = _refine_pending(work, dataset, bronze, silver, earlier, dry_run=dry_run)
    report = outcome.report.model_copy(update={"columns": columns})
    return outcome.model_copy(update={"report": report, "gate": _warned(dataset, outcome.gate, warnings)})


def refine_from_nothing(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: FromNothing,
    *,
    dry_run: bool,
    out: Sequence[Delivery] | None = None,
    word: Overruled | None = None,
) -> RefineOutcome:
    """Refine all of bronze into a silver as if it had nothing, but for the deliveries that it is not to have.

    ``out`` are these where they change with the commit.
    """
    without = holds(work.lake, silver) if out is None else out
    todo = pending(dataset.name, bronze, silver)
    if without:
        # Rows that silver is not to have are not counted among those that were landed.
        ranges = tuple(replace(one, rows=None) for one in todo.ranges)
        todo = replace(todo, ranges=ranges)
        bronze = Without(bronze, (span for one in without for span in one.spans))
    counts = count_batches(bronze, todo)
    delivery = OneDelivery(word=word, out=None if out is None else tuple(out))
    return _refine_one(work, dataset, bronze, silver, todo, counts, delivery, dry_run=dry_run)


def versions_again(
    work: Refinement, dataset: Dataset, bronze: Table, silver: FromNothing, generation: Generation | None
) -> tuple[pl.DataFrame, Judged]:
    """Return what silver would have of all rows of a bronze, deletions by a full read among them; nothing is kept."""
    todo = replace(pending(dataset.name, bronze, silver), generation=0)
    judged = judge_range(work, dataset, bronze, silver, todo)
    comparison = compare_with(silver, judged.candidates, dataset)
    after = after_merge(silver, comparison, dataset)
    vanished = find_vanished(work.lake, dataset, bronze, silver, after, generation, judged.rejected)
    return with_vanished(silver, judged.candidates, comparison, vanished, dataset).changes, judged


def _refine_pending(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    earlier: RefineOutcome | None,
    *,
    dry_run: bool,
) -> RefineOutcome:
    """Judge each delivery that is pending alone, the oldest first, and what is held where that may have changed."""
    done = _held_again(work, dataset, bronze, silver, earlier, dry_run=dry_run)
    waits = dataset.hold_policy == "wait"
    if waits and open_holds(work.lake, silver):
        outcome = RefineOutcome(report=_report(work, dataset, silver))
        return _with_held(work, dataset, silver, added_up(done, outcome))
    todo = pending(dataset.name, bronze, silver)
    counts = count_batches(bronze, todo)
    arrivals = divided(work.lake, dataset, bronze, silver, todo, counts)
    before = done.report.landed if done is not None and done.report.committed else 0
    kept_out: dict[str, int] = {}
    left = {arrival.id: arrival.rows for arrival in arrivals}
    for arrival in arrivals or (None,):
        judged = OneDelivery(arrival, done)
        pending_ = arrival.todo if arrival is not None else todo
        outcome = _refine_one(work, dataset, bronze, silver, pending_, counts, judged, dry_run=dry_run)
        done = added_up(done, outcome)
        if arrival is not None and (outcome.report.committed or outcome.report.held):
            rows = left.pop(arrival.id)
            kept_out |= {} if outcome.report.committed else {arrival.id: rows}
        closed = outcome.gate is not None and not outcome.gate.open
        if closed and (waits or (not outcome.report.held and not dry_run)):
            # What is neither merged nor held is asked again by the next run, and nothing passes it by.
            break
    assert done is not None
    if not dry_run and dataset.nested is None:
        done = _counted(done, before + sum(one.rows for one in arrivals), kept_out.values(), left.values())
    if not dry_run and not waits:
        replaced = [
            one for one in open_holds(work.lake, silver) if is_superseded(work, dataset, bronze, silver, one)
        ]
        note_superseded(work, dataset, silver, replaced)
    return _with_held(work, dataset, silver, done)


def _counted(done: RefineOutcome, pending: int, held: Iterable[int], left: Iterable[int]) -> RefineOutcome:
    """Return an outcome with what became of all rows that were pending, so that the account can be held against it."""
    counted = {"pending": pending, "newly_held": sum(held), "behind": sum(left)}
    return done.model_copy(update={"report": done.report.model_copy(update=counted)})


def _held_again(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    done: RefineOutcome | None,
    *,
    dry_run: bool,
) -> RefineOutcome | None:
    """Judge again what is held, where anything but time changed for it; return what passed."""
    for one in open_holds(work.lake, silver):
        if dry_run or not may_be_judged_again(work, dataset, one):
            continue
        outcome = _judge_held(as_it_came(work, one), dataset, bronze, silver, one, done)
        if outcome.report.committed:
            done = added_up(done, outcome)
    return done


def _judge_held(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    one: Delivery,
    done: RefineOutcome | None = None,
    word: Overruled | None = None,
    *,
    dry_run: bool = False,
) -> RefineOutcome:
    """Judge a held delivery, once more or because somebody lets it through."""
    arrival = arrival_of(one)
    counts = count_batches(bronze, arrival.todo)
    judged = OneDelivery(arrival, done, one, word)
    return _refine_one(work, dataset, bronze, silver, arrival.todo, counts, judged, dry_run=dry_run)


def release_held(
    work: Refinement, dataset: Dataset, silver: Table, one: Delivery, word: Overruled, *, dry_run: bool
) -> RefineOutcome:
    """Take a held delivery into silver by a person's word: what held it is overruled, all else is as ever."""
    bronze = work.lake.must_open("bronze", dataset.name)
    return _judge_held(work, dataset, bronze, silver, one, None, word, dry_run=dry_run)


def _with_held(work: Refinement, dataset: Dataset, silver: Table, outcome: RefineOutcome) -> RefineOutcome:
    """Say in a refinement's outcome what is held: the gate stays closed for it, or warns where others may pass."""
    open_ones = open_holds(work.lake, silver)
    if not open_ones:
        return outcome
    checks = [held_check(f"silver.{dataset.name}", one, work.clock()) for one in open_ones]
    gate = outcome.gate or GateReport(scope=f"silver.{dataset.name}", open=True)
    gate = with_checks(gate, (*gate.checks, *checks))
    rows = sum(one.rows for one in open_ones)
    return RefineOutcome(report=outcome.report.model_copy(update={"held": rows}), gate=gate)


def _refine_one(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: Pending,
    counts: pl.DataFrame,
    judged: OneDelivery,
    *,
    dry_run: bool,
) -> RefineOutcome:
    """Refine one delivery, in parts where it is larger than memory would like."""
    parts = split(bronze, todo, work.part_rows, counts)
    if len(parts) > 1 and can_be_taken_in_parts(dataset):
        return _refine_in_parts(work, dataset, bronze, silver, parts, judged, dry_run=dry_run)
    return _refine_at_once(work, dataset, bronze, silver, todo, judged, dry_run=dry_run)


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
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: Pending,
    delivery: OneDelivery,
    *,
    dry_run: bool,
) -> RefineOutcome:
    """Refine a range in memory; where nothing is new, only what waited for a parent is looked at."""
    judged = judge_range(work, dataset, bronze, silver, todo)
    if todo.is_empty() and not judged.released and not follows_parents(work, dataset, silver):
        if not dry_run:
            note_settled(work, dataset, bronze, judged.settled, index=judged.index)
        return RefineOutcome(
            report=_report(work, dataset, silver).model_copy(update={"waiting": judged.waiting}),
            gate=screen_idle(work.lake, dataset, silver, work.run_id, work.clock()),
        )
    comparison = compare_with(silver, judged.candidates, dataset)
    all_read_again = comparison.closings
    comparison = touching_rejected(work, dataset, silver, judged.rejected, comparison)
    comparison = with_first_elements(bronze, silver, dataset, judged.versions, comparison, judged.arrays)
    of_range = (judged.rejected, todo, judged.arrays, judged.versions)
    gone = find_gone(work, dataset, bronze, silver, comparison, *of_range)
    shown_again = ended_but_shown(dataset, all_read_again, comparison.closings, gone.vanished)
    if not shown_again.is_empty():
        comparison = replace(comparison, closings=pl.concat([comparison.closings, shown_again]))
        gone = find_gone(work, dataset, bronze, silver, comparison, *of_range)
    report = _account(_report(work, dataset, silver), judged, comparison).model_copy(update=gone.counts)
    alive, again = live_rows(judged.candidates), is_read_again(bronze, todo.ranges)

    merge = with_vanished(silver, judged.candidates, comparison, gone.vanished, dataset)

    def commit(attempt: Try, listed: Holds) -> None:
        commit_merge(work, dataset, silver, merge, todo, attempt, listed)

    came = Came(
        taken=Range(
            todo,
            judged.rows,
            living(fresh_of(comparison) if again else judged.candidates),
            report,
            gone.limited,
            delivery=delivery.id,
            again=again,
        ),
        gone=gone,
        quarantined=cache(lambda: quarantined(work, dataset, judged)),
        alive=alive if alive.height else None,
        merge=merge,
        changes=lambda: merge.changes,
        commit=commit,
        settled=judged.settled,
        index=judged.index,
    )
    return conclude(work, dataset, bronze, silver, came, delivery, dry_run=dry_run)


def _refine_in_parts(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: tuple[Pending, ...],
    delivery: OneDelivery,
    *,
    dry_run: bool,
) -> RefineOutcome:
    """Refine a range that memory would not hold: part by part up to the gate, then in one commit."""
    whole = replace(todo[-1], ranges=merged_ranges(todo))

    def compare_again(rows: pl.DataFrame) -> Comparison:
        return compare_with(silver, latest_versions(rows, dataset), dataset)

    with spilled(dataset, work.part_rows * len(todo), again=is_read_again(bronze, whole.ranges)) as parts:
        for number, part in enumerate(todo):
            judged = judge_range(work, dataset, bronze, silver, part, releases=number == 0, in_parts=True)
            parts.count(judged.landed, judged.released, judged.good - judged.candidates.height, judged.warned)
            parts.add(compare_with(silver, judged.candidates, dataset), judged.rows, judged.versions)
            parts.count_replaced(judged.replaced)
            parts.add_rejected(quarantined(work, dataset, judged), judged.rejected, judged.places)
            parts.waiting.append(judged.waits)
            parts.elsewhere += judged.elsewhere
            parts.add_arrays(judged.arrays)
            parts.settled.append(judged.settled)
        replaced = parts.take_out_replaced()
        parts.elsewhere -= parents_elsewhere(work.lake, dataset, replaced)
        parts.settle(compare_again)
        every = bool(open_holds(work.lake, silver))
        touched = None if every else keys_of_rejected(work, dataset, silver, parts.rejected_keys())
        changes = parts.changes(touched)
        rejected, arrays = parts.rejected_origins(), parts.arrays()
        gone = find_gone(work, dataset, bronze, silver, changes, rejected, whole, arrays)
        if dataset.nested is not None and touched is not None and gone.vanished.deletes.height:
            changes = parts.changes(pl.concat([touched, compared_keys(gone.vanished.deletes, dataset)]))
            gone = find_gone(work, dataset, bronze, silver, changes, rejected, whole, arrays)
        vanished = gone.vanished.rows
        report = parts.account(_report(work, dataset, silver)).model_copy(update=gone.counts)
        rows, sample = pl.concat(parts.received), pl.concat(parts.sample)

        def merged() -> pl.LazyFrame:
            if vanished.is_empty():
                return changes
            kept = changes.join(vanished.lazy(), on=list(dataset.key), how="anti")
            return pl.concat([kept.select(list(dataset.silver_schema())), vanished.lazy()])

        def commit(attempt: Try, listed: Holds) -> None:
            growth = report.inserted
            if not vanished.is_empty():
                growth += not_there(gone.after, gone.vanished.kept_out, dataset).height
            only_inserts = parts.only_inserts and vanished.is_empty()
            commit_rows(work, dataset, silver, merged(), whole, attempt, growth, only_inserts, listed=listed)

        came = Came(
            taken=Range(
                whole,
                rows,
                sample.filter(~pl.col(DELETED)),
                report,
                gone.limited,
                parts.sampled,
                delivery=delivery.id,
                again=parts.again,
            ),
            gone=gone,
            quarantined=lambda: parts.quarantined(SCHEMA),
            alive=parts.live_rows() if parts.candidates else None,
            merge=None,
            changes=merged,
            commit=commit,
            settled=pl.concat(parts.settled),
        )
        return conclude(work, dataset, bronze, silver, came, delivery, dry_run=dry_run)


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


def _report(work: Refinement, dataset: Dataset, silver: Table) -> RefineReport:
    return RefineReport(dataset=dataset.name, table=silver_reference(work.lake, silver))
