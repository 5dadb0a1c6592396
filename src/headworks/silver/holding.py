"""Holding a delivery that the gate did not accept, and what may let it go without anybody's word.

Time does not, and running again does not. A held delivery is judged again only where what it was judged by changed: the
declaration, a person's judgement of an anomaly, or the parents that its rows wait for. Where each of its keys has a
newer version in silver, the source has corrected it, and it is superseded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from headworks.bronze.generations import ended_id
from headworks.errors import CandidateStale
from headworks.quality.deliveries import Delivery, State, holds, put_holds, record
from headworks.quality.gate import let_through, with_checks
from headworks.quality.judgements import Judgement, accepted_numbers, judgements
from headworks.reports import CheckReport, GateReport
from headworks.silver.arrays import elements
from headworks.silver.arrivals import Arrival, arrival_of
from headworks.silver.compare import with_voids
from headworks.silver.dataset import ARRIVAL, CURSOR, PROVENANCE, Dataset
from headworks.silver.parse import UNREADABLE, parse, readable, refused
from headworks.silver.quarantine import SCHEMA, Try, forget_held, next_try, put_held, put_rejected
from headworks.silver.table import Pending, commit_silver, read_range
from headworks.silver.versions import in_silver_types, rows_of
from headworks.silver.work import Refinement
from headworks.storage.delta import Table

_OBJECTS = {"failed", "error", "not evaluated"}
_LIFTED = {"anomaly", "limit", "vanished", "total", "key", "type"}
"""What a person's release overrules; a contract only where that is said, and a wrong account never."""


@dataclass(frozen=True)
class Overruled:
    """A person's word that a delivery shall pass: whose, and whether contracts are overruled too."""

    by: str
    note: str
    despite_contract: bool = False


def objections(gate: GateReport) -> tuple[CheckReport, ...]:
    """Return the checks that keep a gate closed."""
    return tuple(one for one in gate.checks if one.outcome in _OBJECTS)


def judged_by(work: Refinement, dataset: Dataset) -> str:
    """Return what a delivery is judged by, as a text that changes with it: declaration, limits, judgements."""
    return _judged_by(dataset, judgements(work.lake, f"silver.{dataset.name}"))


def declaration(dataset: Dataset) -> str:
    """Return a text that changes with how a dataset's rows are read and judged."""
    rules = [f"{name}: {rule}" for name, rule in dataset.schema._validation_rules(with_cast=False).items()]
    declared = [
        *rules,
        *(f"{name}: {column!r}" for name, column in dataset.schema.columns().items()),
        *(f"{name}: {expression}" for name, expression in dataset.columns.items()),
        *(repr(one) for one in dataset.references),
        *(f"{one.reason}: {one.holds}" for one in dataset.agreements),
        repr(dataset.limits),
        repr(sorted(dataset.warnings)),
        *(
            file.read_text(encoding="utf-8")
            for file in (dataset.contract, dataset.table_contract)
            if file is not None and file.exists()
        ),
    ]
    return _hash(*declared)


def _judged_by(dataset: Dataset, said: Sequence[Judgement]) -> str:
    return "/".join((declaration(dataset), _hash(repr(dataset.anomalies)), accepted_numbers(said)))


def _hash(*texts: str) -> str:
    # An object's place in memory is no part of what it says.
    plain = "\n".join(text.partition(" at 0x")[0] for text in texts)
    return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


def may_be_judged_again(work: Refinement, dataset: Dataset, one: Delivery) -> bool:
    """Return whether anything but time changed for a held delivery."""
    waits = bool(dataset.references) and any(check.kind == "limit" for check in one.checks)
    return waits or one.judged_by != judged_by(work, dataset)


def weighed(work: Refinement, dataset: Dataset, gate: GateReport, one: Delivery) -> GateReport:
    """Return the decision about a held delivery that was judged again: what held it stays, but for what changed.

    An anomaly stays one until it is accepted, or its limits are others: what is usual has moved on since. New ones are
    none either, for the same reason.
    """
    said = judgements(work.lake, f"silver.{dataset.name}")
    declared, limits, _ = (one.judged_by or "//").split("/")
    declared_now, limits_now, _ = _judged_by(dataset, said).split("/")
    again = {check.name: check for check in gate.checks}
    before = {check.name: check for check in one.checks}
    checks: list[CheckReport] = []
    for check in gate.checks:
        if check.kind == "anomaly" and limits == limits_now and check.outcome == "failed":
            if check.name not in before:
                continue
            checks.append(before[check.name])
        else:
            checks.append(check)
    for name, check in before.items():
        now = again.get(name)
        if check.kind == "anomaly":
            stays = limits == limits_now and (now is None or now.outcome not in {"accepted", "failed"})
            stays = stays and not any(each.makes_normal(name, work.clock()) for each in said)
        else:
            stays = check.kind != "limit" and declared == declared_now
            stays = stays and (now is None or now.outcome not in _OBJECTS)
        if stays:
            checks = [each for each in checks if each.name != name] + [check]
    return with_checks(gate, checks)


def overruled(gate: GateReport, word: Overruled) -> GateReport:
    """Return the decision with what a person overrules."""
    kinds = {*_LIFTED, *({"contract"} if word.despite_contract else ())}
    checks = [
        let_through(check, word.by, word.note) if check.outcome in _OBJECTS and check.kind in kinds else check
        for check in gate.checks
    ]
    lifted = with_checks(gate, checks)
    if word.despite_contract and lifted.reasons and not objections(lifted):
        # That no check of the contract was evaluated is the contract's objection, too.
        return lifted.model_copy(update={"open": True, "reasons": ()})
    return lifted


def state_of(
    arrival: Arrival, dataset: Dataset, work: Refinement, gate: GateReport, before: Delivery | None = None
) -> Delivery:
    """Return a delivery that the gate has judged, accepted or held."""
    moment = work.clock()
    return Delivery(
        id=arrival.id,
        dataset=dataset.name,
        state="accepted" if gate.open else "held",
        spans=arrival.spans,
        generation=arrival.todo.generation,
        rows=arrival.rows,
        runs=arrival.runs,
        landed_at=arrival.landed_at,
        at=moment,
        run_id=work.run_id,
        checks=() if gate.open else objections(gate),
        judged_by="" if gate.open else judged_by(work, dataset),
        before="held" if before is not None else "pending",
        held_at=before.held_at if before is not None else None if gate.open else moment,
        policy=dataset.hold_policy,
    )


def hold(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    one: Delivery,
    todo: Pending,
    rejected: pl.DataFrame | pl.LazyFrame,
) -> Try:
    """Let silver's watermark pass a delivery and list it as held, in one commit; its rejected rows can be looked at."""
    attempt = next_try(silver, work.token())
    attempt = put_held(work.lake, dataset.name, attempt, rejected, one.spans)
    others = [each for each in holds(work.lake, silver) if each.id != one.id]
    _commit_list(work, dataset, silver, [*others, one], todo, attempt)
    record(work.lake, [one])
    return attempt


def keep_list(work: Refinement, dataset: Dataset, silver: Table, entries: Sequence[Delivery]) -> None:
    """Commit the list of deliveries that silver does not have, and nothing else."""
    attempt = put_rejected(
        work.lake, dataset.name, next_try(silver, work.token()), pl.DataFrame(schema=SCHEMA)
    )
    _commit_list(work, dataset, silver, entries, Pending((), 0), attempt)


def _commit_list(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    entries: Sequence[Delivery],
    todo: Pending,
    attempt: Try,
) -> None:
    named = put_holds(work.lake, silver, entries, attempt.token, dataset.name)
    nothing = pl.DataFrame(schema=silver.schema)
    commit_silver(silver, dataset.name, dataset.row_key, nothing, todo, attempt, holds=named)


def let_go(work: Refinement, dataset: Dataset, one: Delivery) -> None:
    """Forget the rejected rows that were kept of a held delivery; the next look at them passes over what is left."""
    with suppress(CandidateStale):
        forget_held(work.lake, dataset.name, one.spans)


def is_superseded(work: Refinement, dataset: Dataset, bronze: Table, silver: Table, one: Delivery) -> bool:
    """Return whether silver has a newer version, that was accepted, of each key of a held delivery."""
    newer_read = any(each.generation > one.generation for each in holds(work.lake, silver))
    if one.generation and (newer_read or bronze.transaction(ended_id(dataset.name)) <= one.generation):
        return False
    rows = elements(read_range(bronze, arrival_of(one).todo))
    if rows.is_empty():
        # A full read that only found keys gone: the newer one, that was accepted, says what is there.
        return bool(one.generation)
    if not refused(rows).is_empty():
        return False
    read = parse(readable(rows.lazy()).collect(), dataset)
    if (
        read.height != rows.height
        or read.select(pl.any_horizontal(pl.col(dataset.key).is_null()).any()).item()
    ):
        return False
    newest = with_voids(in_silver_types(read.drop(UNREADABLE), silver))
    there = rows_of(silver, dataset).select(*dataset.key, *PROVENANCE)
    mine = newest.select(*dataset.key, *PROVENANCE)
    pairs = mine.lazy().join(there, on=list(dataset.key), how="left", suffix="_there").collect()
    later = pl.col(f"{ARRIVAL}_there") > pl.col(ARRIVAL)
    newer = later & (
        pl.col(CURSOR).is_null()
        | pl.col(f"{CURSOR}_there").is_null()
        | (pl.col(f"{CURSOR}_there") >= pl.col(CURSOR))
    )
    every = pairs.group_by(list(dataset.key)).agg(newer.fill_null(value=False).any().alias("newer"))
    return bool(every.get_column("newer").all())


def note_superseded(
    work: Refinement, dataset: Dataset, silver: Table, replaced: Sequence[Delivery]
) -> tuple[Delivery, ...]:
    """Note that the source has corrected held deliveries; returns them in their new state."""
    if not replaced:
        return ()
    done = tuple(
        replace_state(one, "superseded", work, note="each of its keys has a newer version that was accepted")
        for one in replaced
    )
    gone = {one.id: one for one in done}
    entries = [gone.get(one.id, one) for one in holds(work.lake, silver)]
    keep_list(work, dataset, silver, entries)
    record(work.lake, done)
    for one in done:
        let_go(work, dataset, one)
    return done


def replace_state(one: Delivery, state: State, work: Refinement, *, by: str = "", note: str = "") -> Delivery:
    """Return a delivery in another state, into which this run puts it now."""
    return one.turned(state, run_id=work.run_id, moment=work.clock(), by=by, note=note)


def as_it_came(work: Refinement, one: Delivery) -> Refinement:
    """Return a refinement that judges a held delivery by the clock of the time when it was held."""
    moment: datetime | None = one.held_at or one.at
    return work if moment is None else replace(work, clock=lambda: moment)
