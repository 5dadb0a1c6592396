"""From what a range came to, to the commit: screening, contract and gate; then silver has it, or it is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl

from headworks.bronze.resolutions import Resolver, note_passed
from headworks.errors import CandidateStale
from headworks.quality.contracts import run_contract
from headworks.quality.deliveries import (
    Delivery,
    holds,
    note_accepted,
    put_holds,
    record,
)
from headworks.quality.gate import check_account, check_rejects, decide
from headworks.quality.views import AfterMerge, Candidate, Rows
from headworks.reports import CheckReport, GateReport, RefineReport
from headworks.silver.accounts import Account, keep_account
from headworks.silver.arrivals import Arrival
from headworks.silver.compare import Comparison
from headworks.silver.dataset import (
    DELETED,
    ORIGIN,
    PROVENANCE,
    VOID,
    Dataset,
)
from headworks.silver.emptied import FromNothing
from headworks.silver.holding import (
    Overruled,
    hold,
    let_go,
    overruled,
    state_of,
    weighed,
)
from headworks.silver.merging import Gone, Holds
from headworks.silver.noted import Changed, put_noted
from headworks.silver.quarantine import SCHEMA, Try, next_try, note_closed, put_rejected, rejected_rows
from headworks.silver.rejects import count_known, note_discarded_again
from headworks.silver.replaced import note_replaced
from headworks.silver.screening import Range, screen_silver
from headworks.silver.vanishing import check_vanished
from headworks.silver.waiting import Waiting, put_waiting
from headworks.silver.work import Refinement, RefineOutcome, added_up, silver_reference
from headworks.storage.delta import Table
from headworks.storage.rehearsal import keep_changes, note_unknown


@dataclass(frozen=True)
class Came:
    """What a range came to, in whichever way it was ingested, before anything of it is kept.

    ``alive`` are the candidates that are no tombstones, None where there are none; ``merge`` is what silver gets
    of them, where that is in memory, and ``changes`` are its rows wherever they are. ``commit`` merges them into
    silver; ``settled`` are the rows of the quarantine that then wait no longer, and ``index`` is which wait on, where
    that is known.
    """

    taken: Range
    gone: Gone
    quarantined: Callable[[], pl.DataFrame | pl.LazyFrame]
    alive: Candidate | None
    merge: Comparison | None
    changes: Callable[[], pl.DataFrame | pl.LazyFrame]
    commit: Callable[[Try, Holds], None]
    settled: pl.DataFrame
    index: Waiting | None = None


@dataclass(frozen=True)
class OneDelivery:
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


def conclude(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    came: Came,
    delivery: OneDelivery,
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
    index = None if changed is None else came.index
    note_settled(work, dataset, bronze, came.settled, changed, index, came.quarantined)
    if delivery.held is not None:
        let_go(work, dataset, delivery.held)
    # Only now: a profile whose candidate was never committed is nothing to compare with.
    screened.keep(work.lake, gate, released=delivery.word is not None)
    done = report.model_copy(update={"table": silver_reference(work.lake, silver), "committed": True})
    return RefineOutcome(report=done, gate=gate)


def _changed(dataset: Dataset, came: Came, attempt: Try) -> Changed | None:
    """Return what a commit changes, where it is in memory."""
    return None if came.merge is None else Changed(attempt, came.merge.changes.select(dataset.key))


def _with_known(work: Refinement, dataset: Dataset, silver: Table, came: Came) -> RefineReport:
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
    work: Refinement, dataset: Dataset, silver: Table, delivery: OneDelivery, gate: GateReport, token: int
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
    work: Refinement, dataset: Dataset, attempt: Try, delivery: OneDelivery, outcome: RefineOutcome
) -> None:
    """Keep what the run came to so far, for a try of it that begins after this commit."""
    committed = outcome.report.model_copy(update={"committed": True})
    summed = added_up(delivery.earlier, outcome.model_copy(update={"report": committed}))
    gate = summed.gate or outcome.gate
    assert gate is not None
    account = Account(run_id=work.run_id, report=summed.report, gate=gate)
    keep_account(work.lake, dataset.name, attempt, account)


def _keep_out(
    work: Refinement, dataset: Dataset, silver: Table, came: Came, delivery: OneDelivery, gate: GateReport
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


def note_settled(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    settled: pl.DataFrame,
    changed: Changed | None = None,
    index: Waiting | None = None,
    rejected: Callable[[], pl.DataFrame | pl.LazyFrame] | None = None,
) -> None:
    """Note which rejected rows wait no longer; where another run notes at the same moment, the next refinement does.

    Then ``index`` is kept: which rows wait on, with those that were ``rejected`` now.
    """
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
        put_waiting(work, dataset, index, changed, rejected)


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
