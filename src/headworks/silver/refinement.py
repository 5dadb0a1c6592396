"""One dataset from bronze to silver: a pending range is judged, compared, gated and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from headworks.bronze.generations import Generation, newest_complete
from headworks.bronze.nested import take_nested
from headworks.bronze.resolutions import Resolver, note_passed
from headworks.errors import CandidateStale
from headworks.quality.contracts import run_contract
from headworks.quality.deliveries import (
    Delivery,
    held_check,
    holds,
    note_accepted,
    open_holds,
    put_holds,
    record,
)
from headworks.quality.gate import check_account, check_rejects, decide, with_checks
from headworks.quality.rules import REASONS
from headworks.quality.views import AfterMerge, Candidate, Rows
from headworks.reports import CheckReport, GateReport, RefineReport, TableRef
from headworks.silver.accounts import Account, account_of, keep_account
from headworks.silver.arrays import find_ended, with_known_arrays
from headworks.silver.arrivals import Arrival, Without, arrival_of, divided
from headworks.silver.compare import PAST, Comparison, fresh_of
from headworks.silver.dataset import (
    CURRENT,
    DELETED,
    ORIGIN,
    PROVENANCE,
    VALID_TO,
    VOID,
    Dataset,
)
from headworks.silver.emptied import FromNothing
from headworks.silver.following import changed_columns, following
from headworks.silver.history import compare_history
from headworks.silver.holding import (
    Overruled,
    as_it_came,
    hold,
    is_superseded,
    let_go,
    may_be_judged_again,
    note_superseded,
    overruled,
    state_of,
    weighed,
)
from headworks.silver.judged import Judged, judge_range, quarantined
from headworks.silver.noted import Changed, put_noted
from headworks.silver.parse import key_text, same_key
from headworks.silver.parts import can_be_taken_in_parts, spilled
from headworks.silver.quarantine import SCHEMA, Try, next_try, note_closed, put_rejected, rejected_rows
from headworks.silver.references import parents_elsewhere
from headworks.silver.rejects import count_known, note_discarded_again
from headworks.silver.replaced import note_replaced
from headworks.silver.screening import Range, screen_idle, screen_silver
from headworks.silver.table import (
    Pending,
    check_committed,
    commit_silver,
    count_batches,
    is_read_again,
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
    "known",
    "followed",
)
"""What two tries of one run count together."""

_NOTHING_COMMITTED: dict[str, object] = dict.fromkeys((*_SUMMED, "elsewhere"), 0) | {
    "reasons": {},
    "warned": {},
}
"""What a delivery that is held adds to what the others came to."""


Holds = dict[str, int] | None
"""The transactions that name the list of deliveries which silver does not have, where that changes."""


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
    commit: Callable[[Try, Holds], None]
    settled: pl.DataFrame


@dataclass(frozen=True)
class _Judged:
    """Which delivery a range is, what came before it in this refinement, and what is known of it already.

    ``held`` is its state where it is held and judged again, ``word`` a person's who lets it pass. ``out`` are the
    deliveries that silver does not have then, where they are others than now.
    """

    arrival: Arrival | None = None
    earlier: RefineOutcome | None = None
    held: Delivery | None = None
    word: Overruled | None = None
    out: tuple[Delivery, ...] | None = None

    @property
    def id(self) -> str:
        """The delivery's id; empty where silver is made from nothing."""
        return "" if self.arrival is None else self.arrival.id


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


def _summed(then: RefineOutcome | None, outcome: RefineOutcome) -> RefineOutcome:
    """Add what was committed before, in this refinement or by an earlier try of the run, to what came then.

    What was judged and not committed has its numbers only where it is alone.
    """
    if then is None:
        return outcome
    now, before = outcome.report, then.report
    if not before.committed:
        gate = _both(then.gate, outcome.gate)
        return RefineOutcome(report=now if now.committed or outcome.gate else before, gate=gate)
    counted = now if now.committed else now.model_copy(update=_NOTHING_COMMITTED)
    summed = {name: getattr(before, name) + getattr(counted, name) for name in _SUMMED}
    by_name = {
        name: dict(sorted((Counter(getattr(before, name)) + Counter(getattr(counted, name))).items()))
        for name in ("reasons", "warned")
    }
    report = now.model_copy(update={**summed, **by_name, "committed": True})
    return RefineOutcome(report=report, gate=_both(then.gate, outcome.gate))


def _both(then: GateReport | None, now: GateReport | None) -> GateReport | None:
    """Return one decision about several deliveries: open where each was let through."""
    if then is None or now is None:
        return now or then
    known = set(then.checks)
    checks = (*then.checks, *(check for check in now.checks if check not in known))
    reasons = tuple(dict.fromkeys((*then.reasons, *now.reasons)))
    return GateReport(scope=now.scope, open=not reasons, checks=checks, reasons=reasons)


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
    delivery = _Judged(word=word, out=None if out is None else tuple(out))
    return _refine_one(work, dataset, bronze, silver, todo, counts, delivery, dry_run=dry_run)


def versions_again(
    work: Refinement, dataset: Dataset, bronze: Table, silver: FromNothing, generation: Generation | None
) -> tuple[pl.DataFrame, Judged]:
    """Return what silver would have of all rows of a bronze, deletions by a full read among them; nothing is kept."""
    todo = replace(pending(dataset.name, bronze, silver), generation=0)
    judged = judge_range(work, dataset, bronze, silver, todo)
    comparison = compare_with(silver, judged.candidates, dataset)
    after = _after(silver, comparison, dataset)
    vanished = find_vanished(work.lake, dataset, bronze, silver, after, generation, judged.rejected)
    return _with_vanished(silver, judged.candidates, comparison, vanished, dataset).changes, judged


def commit_changes(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    changes: pl.DataFrame,
    attempt: Try,
    growth: int,
    removed: pl.DataFrame,
    listed: Holds,
) -> None:
    """Commit rows that were made again from bronze, which is consumed no further by it."""
    _commit(
        work,
        dataset,
        silver,
        changes,
        Pending((), 0),
        attempt,
        growth,
        only_inserts=False,
        removed=removed,
        listed=listed,
    )


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
        return _with_held(work, dataset, silver, _summed(done, outcome))
    todo = pending(dataset.name, bronze, silver)
    counts = count_batches(bronze, todo)
    arrivals = divided(work.lake, dataset, bronze, silver, todo, counts)
    before = done.report.landed if done is not None and done.report.committed else 0
    kept_out: dict[str, int] = {}
    left = {arrival.id: arrival.rows for arrival in arrivals}
    for arrival in arrivals or (None,):
        judged = _Judged(arrival, done)
        pending_ = arrival.todo if arrival is not None else todo
        outcome = _refine_one(work, dataset, bronze, silver, pending_, counts, judged, dry_run=dry_run)
        done = _summed(done, outcome)
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
            done = _summed(done, outcome)
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
    judged = _Judged(arrival, done, one, word)
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
    judged: _Judged,
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
    delivery: _Judged,
    *,
    dry_run: bool,
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
    all_read_again = comparison.closings
    comparison = _touching_rejected(work, dataset, silver, judged.rejected, comparison)
    gone = _gone(work, dataset, bronze, silver, comparison, judged.rejected, todo, judged.arrays)
    shown_again = _shown_again(dataset, all_read_again, comparison.closings, gone.vanished)
    if not shown_again.is_empty():
        comparison = replace(comparison, closings=pl.concat([comparison.closings, shown_again]))
        gone = _gone(work, dataset, bronze, silver, comparison, judged.rejected, todo, judged.arrays)
    report = _account(_report(work, dataset, silver), judged, comparison).model_copy(update=gone.counts)
    alive, again = live_rows(judged.candidates), is_read_again(bronze, todo.ranges)

    merge = _with_vanished(silver, judged.candidates, comparison, gone.vanished, dataset)

    def commit(attempt: Try, listed: Holds) -> None:
        commit_merge(work, dataset, silver, merge, todo, attempt, listed)

    came = _Came(
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
    )
    return _conclude(work, dataset, bronze, silver, came, delivery, dry_run=dry_run)


def _refine_in_parts(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: tuple[Pending, ...],
    delivery: _Judged,
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
        touched = None if every else _keys_of_rejected(work, dataset, silver, parts.rejected_keys())
        changes = parts.changes(touched)
        rejected, arrays = parts.rejected_origins(), parts.arrays()
        gone = _gone(work, dataset, bronze, silver, changes, rejected, whole, arrays)
        if dataset.nested is not None and touched is not None and gone.vanished.deletes.height:
            changes = parts.changes(pl.concat([touched, _compared_keys(gone.vanished.deletes, dataset)]))
            gone = _gone(work, dataset, bronze, silver, changes, rejected, whole, arrays)
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
                growth += _unknown(gone.after, gone.vanished.kept_out, dataset).height
            only_inserts = parts.only_inserts and vanished.is_empty()
            _commit(work, dataset, silver, merged(), whole, attempt, growth, only_inserts, listed=listed)

        came = _Came(
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
        return _conclude(work, dataset, bronze, silver, came, delivery, dry_run=dry_run)


def _conclude(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    came: _Came,
    delivery: _Judged,
    *,
    dry_run: bool,
) -> RefineOutcome:
    """Compare with good runs, ask the gate, and merge where it is open; else the delivery is held."""
    report, gone, scope = _with_known(work, dataset, silver, came), came.gone, f"silver.{dataset.name}"
    screened = screen_silver(
        work.lake, dataset, silver, came.taken.counted(report), work.run_id, work.clock()
    )
    # What the last full read deletes of a silver that is made again has passed the gate when it ended.
    limit = None if isinstance(silver, FromNothing) else gone.generation
    found = check_vanished(scope, gone.deletes, gone.after, limit, gone.vanished.unidentified)
    checks = [*found, *screened.checks]
    changes = came.merge is not None and not came.merge.is_empty
    if came.merge is not None:
        checks += table_checks(work, dataset, silver, came.merge)
    gate = _gate(dataset, came.alive, report, checks, changes, dry_run=dry_run)
    if delivery.held is not None and delivery.word is None:
        gate = weighed(work, dataset, gate, delivery.held)
    elif delivery.word is not None:
        gate = overruled(gate, delivery.word)
    if dry_run and report.elsewhere:
        note_unknown(work.lake, dataset.name)
    if dry_run:
        if gate.open:
            keep_changes(work.lake, dataset.name, dataset.row_key, came.changes())
        return RefineOutcome(report=report, gate=gate)
    if not gate.open:
        is_held = _keep_out(work, dataset, silver, came, delivery, gate)
        screened.keep(work.lake, gate)
        if is_held and delivery.arrival is not None:
            report = report.model_copy(update={"held": delivery.arrival.rows})
        return RefineOutcome(report=report, gate=gate)
    rejected = came.quarantined()
    if delivery.held is not None:
        rejected = _not_kept_yet(work, dataset, silver, rejected)
    attempt = put_rejected(work.lake, dataset.name, next_try(silver, work.token()), rejected)
    state, listed = _accepted(work, dataset, silver, delivery, gate, attempt.token)
    _keep_account(work, dataset, attempt, delivery, RefineOutcome(report=report, gate=gate))
    state = None if state is None else state.model_copy(update={"writer": attempt.writer})
    if state is not None and delivery.held is not None:
        # Before the commit: until then silver lists it as held, and after it only the log says who let it through.
        record(work.lake, [state])
    came.commit(attempt, listed)
    if state is not None and delivery.held is None:
        note_accepted(work.lake, state)
    changed = None if listed is not None or delivery.held is not None else _changed(dataset, came, attempt)
    _note_settled(work, dataset, bronze, came.settled, changed)
    if delivery.held is not None:
        let_go(work, dataset, delivery.held)
    # Only now: a profile whose candidate was never committed is nothing to compare with.
    screened.keep(work.lake, gate, released=delivery.word is not None)
    done = report.model_copy(update={"table": silver_reference(work.lake, silver), "committed": True})
    return RefineOutcome(report=done, gate=gate)


def _changed(dataset: Dataset, came: _Came, attempt: Try) -> Changed | None:
    """Return what a commit changes, where it is in memory."""
    return None if came.merge is None else Changed(attempt, came.merge.changes.select(dataset.key))


def _with_known(work: Refinement, dataset: Dataset, silver: Table, came: _Came) -> RefineReport:
    """Return the account, with how many of the rejected rows are records that were rejected before."""
    report = came.taken.report
    if not report.rejected:
        return report
    known = count_known(work.lake, dataset.name, silver, came.quarantined().lazy())
    return report.model_copy(update={"known": known})


def _not_kept_yet(
    work: Refinement, dataset: Dataset, silver: Table, rejected: pl.DataFrame | pl.LazyFrame
) -> pl.LazyFrame:
    """Return the rejected rows that the quarantine does not have from when the delivery was released before."""
    kept = rejected_rows(work.lake, dataset.name, silver, ever=True)
    origins = (
        pl.LazyFrame(schema={name: SCHEMA[name] for name in ORIGIN}) if kept is None else kept.select(ORIGIN)
    )
    return rejected.lazy().join(origins, on=list(ORIGIN), how="anti", maintain_order="left")


def _accepted(
    work: Refinement, dataset: Dataset, silver: Table, delivery: _Judged, gate: GateReport, token: int
) -> tuple[Delivery | None, Holds]:
    """Return a delivery's state once it is in silver, and what its commit says about those that are not."""
    if delivery.arrival is None:
        if delivery.out is None:
            return None, None
        return None, put_holds(work.lake, silver, delivery.out, token, dataset.name)
    state = state_of(delivery.arrival, dataset, work, gate, delivery.held)
    if delivery.held is None:
        return state, None
    word = delivery.word
    if word is not None:
        state = state.model_copy(update={"state": "released", "by": word.by, "note": word.note})
    else:
        state = state.model_copy(update={"note": "judged again: what it was judged by has changed"})
    others = [one for one in holds(work.lake, silver) if one.id != state.id]
    return state, put_holds(work.lake, silver, others, token, dataset.name)


def _keep_account(
    work: Refinement, dataset: Dataset, attempt: Try, delivery: _Judged, outcome: RefineOutcome
) -> None:
    """Keep what the run came to so far, for a try of it that begins after this commit."""
    committed = outcome.report.model_copy(update={"committed": True})
    summed = _summed(delivery.earlier, outcome.model_copy(update={"report": committed}))
    gate = summed.gate or outcome.gate
    assert gate is not None
    account = Account(run_id=work.run_id, report=summed.report, gate=gate)
    keep_account(work.lake, dataset.name, attempt, account)


def _keep_out(
    work: Refinement, dataset: Dataset, silver: Table, came: _Came, delivery: _Judged, gate: GateReport
) -> bool:
    """Keep what a closed gate was closed for, and return whether it is a delivery that is held now.

    A gate that could not be asked says nothing about the data: it is asked again, and nothing is held by it.
    """
    if delivery.held is not None:
        return True
    objects = any(check.outcome == "failed" for check in gate.checks)
    if delivery.arrival is not None and objects and not isinstance(silver, FromNothing):
        one = state_of(delivery.arrival, dataset, work, gate)
        hold(work, dataset, silver, one, delivery.arrival.todo, came.quarantined())
        return True
    attempt = put_rejected(work.lake, dataset.name, next_try(silver, work.token()), came.quarantined())
    with suppress(CandidateStale):
        note_closed(work.lake, dataset.name, attempt)
    return False


def _note_settled(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    settled: pl.DataFrame,
    changed: Changed | None = None,
) -> None:
    """Note which rejected rows wait no longer; where another run notes at the same moment, the next refinement does."""
    with suppress(CandidateStale):
        if not settled.is_empty():
            resolver = Resolver(
                work.run_id, by="", note="the row that it refers to came", moment=work.clock()
            )
            note_passed(work.lake, dataset.name, settled, resolver)
        mark = note_replaced(work, dataset, bronze, changed)
        note_discarded_again(work, dataset)
        if mark is not None:
            put_noted(work.lake, dataset, mark)


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
        fresh = changes.fresh.lazy() if isinstance(changes, Comparison) else changes
        whole = with_known_arrays(bronze, silver, dataset, arrays, fresh)
        return _Gone(after, None, find_ended(work.lake, dataset, silver, after, whole))
    generation = newest_complete(work.lake, bronze, dataset.name) if todo.generation else None
    found = find_vanished(work.lake, dataset, bronze, silver, after, generation, rejected)
    return _Gone(after, generation, found)


def _touching_rejected(
    work: Refinement, dataset: Dataset, silver: Table, rejected: pl.DataFrame, comparison: Comparison
) -> Comparison:
    """Keep the later reading of unchanged rows only where a rejected row has the same key, or a held one may.

    Such a row may lie between both readings; judged again after a fix, it must not win over the later one. To keep it
    for all would rewrite silver with every full read.
    """
    again = comparison.closings
    if dataset.keeps == "history" or again.is_empty() or open_holds(work.lake, silver):
        # What is held lies between two readings as well.
        return comparison
    known = _keys_of_rejected(work, dataset, silver, key_text(rejected, dataset.key))
    mine = _compared_keys(again, dataset)
    touched = again.filter(mine.is_in(known.drop_nulls().unique().implode()))
    return replace(comparison, closings=touched)


def _shown_again(
    dataset: Dataset, read_again: pl.DataFrame, kept: pl.DataFrame, vanished: Vanished
) -> pl.DataFrame:
    """Return the later readings of unchanged elements that would end, had they not been read again.

    An array of the same range lacks them, and a newer one has them.
    """
    if dataset.nested is None or read_again.is_empty() or vanished.deletes.is_empty():
        return read_again.clear()
    ended, there = _compared_keys(vanished.deletes, dataset), _compared_keys(kept, dataset)
    mine = _compared_keys(read_again, dataset)
    return read_again.filter(mine.is_in(ended.implode()) & ~mine.is_in(there.implode()))


def _compared_keys(rows: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """Return keys as texts that may be compared with those of other types."""
    return key_text(rows, dataset.key).to_frame("key").select(same_key(pl.col("key"))).to_series()


def _keys_of_rejected(work: Refinement, dataset: Dataset, silver: Table, now: pl.Series) -> pl.Series:
    """Return the keys, as texts to be compared, of the rows rejected now and before."""
    kept = rejected_rows(work.lake, dataset.name, silver)
    keys = now if kept is None else pl.concat([now, kept.select("key").collect().to_series()])
    return keys.to_frame("key").select(same_key(pl.col("key"))).to_series()


def without_ended(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    candidates: pl.DataFrame,
    found: Comparison,
) -> Comparison:
    """Return the changes of rows that were kept back without elements that are not in their parents' newest arrays."""
    if dataset.nested is None:
        return found
    known = with_known_arrays(bronze, silver, dataset, pl.DataFrame(), found.fresh.lazy())
    ended = find_ended(work.lake, dataset, silver, _after(silver, found, dataset), known)
    return _with_vanished(silver, candidates, found, ended, dataset)


def commit_merge(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    merge: Comparison,
    todo: Pending,
    attempt: Try,
    listed: Holds = None,
) -> None:
    """Commit the changes that a comparison came to, and look whether silver then holds what it should."""
    only_inserts = merge.updates.is_empty() and merge.closings.is_empty() and merge.removed.is_empty()
    _commit(
        work, dataset, silver, merge.changes, todo, attempt, merge.growth, only_inserts, merge.removed, listed
    )


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
    listed: Holds = None,
) -> None:
    rows = silver.row_count() + growth
    in_order = changes.select(list(dataset.silver_schema()))
    commit_silver(
        silver, dataset.name, dataset.row_key, in_order, todo, attempt, only_inserts, removed, listed
    )
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
    return living(candidates).drop(*PROVENANCE, DELETED, VOID, strict=False)


def living(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return candidates that are no tombstones."""
    return candidates.filter(~pl.col(DELETED)).drop(PAST, strict=False)


def _report(work: Refinement, dataset: Dataset, silver: Table) -> RefineReport:
    return RefineReport(dataset=dataset.name, table=silver_reference(work.lake, silver))
