"""What people decide about deliveries: let a held one through, leave one out or take it back, and undo that.

Each decision is one silver commit, which carries the rows and the list of deliveries that silver does not have. So it
happens once, wherever a process is killed: repeated, it finds that it is done. Taking back makes the keys that a
delivery touched again, from all other versions that bronze has of them: silver is then as if it had never come. Where
that cannot be exact, because bronze lacks rows by now, it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl
from pydantic import Field

from headworks.bronze.generations import Generation, complete_before, newest_complete
from headworks.bronze.resolutions import Resolver, note_passed, unresolved
from headworks.errors import SettingsError
from headworks.quality.baselines import vouch
from headworks.quality.deliveries import Delivery, find, holds, put_holds, record
from headworks.reports import GateReport, RefineReport, Report
from headworks.silver.arrays import elements
from headworks.silver.arrivals import Without, arrival_of
from headworks.silver.dataset import DELETED, ORIGIN, VOID, Dataset
from headworks.silver.emptied import FromNothing
from headworks.silver.following import following
from headworks.silver.holding import Overruled, keep_list, let_go, replace_state
from headworks.silver.judged import Judged, quarantined
from headworks.silver.merging import commit_changes
from headworks.silver.parse import parse, readable
from headworks.silver.quarantine import next_try, put_rejected, rejected_rows
from headworks.silver.rebuild import check_whole
from headworks.silver.refinement import refine_from_nothing, release_held, versions_again
from headworks.silver.replay import check_signed
from headworks.silver.table import Pending, of_ranges, pending, read_range, split
from headworks.silver.versions import rows_of
from headworks.silver.work import Refinement, silver_reference
from headworks.storage.delta import Table
from headworks.storage.translating import reading

Action = Literal["release", "discard", "undo"]

_NOTHING = Pending((), 0)


class Decided(Report):
    """What a decision did, or would do: the delivery as it is then, and the keys of silver that changed."""

    delivery: Delivery
    report: RefineReport
    gate: GateReport | None = None
    inserted: int = Field(default=0, description="Rows of silver that it did not have.")
    updated: int = Field(default=0, description="Rows of silver that have other values or another origin.")
    removed: int = Field(default=0, description="Rows of silver that go.")
    already: bool = Field(default=False, description="It was decided so before, and nothing was done.")
    vouched: bool = Field(default=False, description="Later deliveries are compared with it from now on.")


def release(
    work: Refinement,
    dataset: Dataset,
    number: str,
    *,
    by: str,
    note: str,
    despite_contract: bool = False,
    as_baseline: bool = False,
    dry_run: bool = False,
) -> Decided:
    """Let a held delivery into silver; what held it is overruled, a contract only with ``despite_contract``.

    With ``as_baseline`` later deliveries are compared with it, as with any other that was accepted; so they can be with
    one that silver has already.
    Raises `SettingsError` without a name or a reason, or for a delivery that is not held, and `CandidateStale` where
    another run committed in between: it can then be repeated.
    """
    with reading(f"silver.{dataset.name}"):
        one, silver = _known(work, dataset, number, by, note)
        if as_baseline and one.is_in_silver:
            said = not dry_run and vouch(work.lake, f"silver.{dataset.name}", one.id)
            return _already(work, one, silver).model_copy(update={"vouched": said})
        if one.state == "released" or (one.state != "held" and _was_this_run(work, one)):
            return _already(work, one, silver)
        if one.state != "held":
            raise _refused(one, "released", "held")
        silver = following(work, dataset, silver, dry_run=dry_run)
        word = Overruled(by, note, despite_contract)
        outcome = release_held(work, dataset, silver, one, word, dry_run=dry_run)
        done = one
        if outcome.report.committed:
            done = replace_state(one, "released", work, by=by, note=note)
        said = outcome.report.committed and as_baseline and vouch(work.lake, f"silver.{dataset.name}", one.id)
        return Decided(
            delivery=done,
            report=outcome.report,
            gate=outcome.gate,
            inserted=outcome.report.inserted,
            updated=outcome.report.updated,
            vouched=said,
        )


def discard(
    work: Refinement, dataset: Dataset, number: str, *, by: str, note: str, dry_run: bool = False
) -> Decided:
    """Leave a held delivery out, or take one back that silver has: then silver is as if it had never come.

    Raises as `release`, and `SettingsError` where bronze lacks what silver was made of.
    """
    with reading(f"silver.{dataset.name}"):
        one, silver = _known(work, dataset, number, by, note)
        if one.state == "discarded":
            return _already(work, one, silver)
        if one.state == "pending":
            raise _refused(one, "discarded", "held, accepted or released")
        done = replace_state(one, "discarded", work, by=by, note=note)
        if not one.is_in_silver:
            return _listed(work, dataset, silver, done, dry_run=dry_run)
        return _made_again(work, dataset, silver, done, dry_run=dry_run)


def undo(
    work: Refinement, dataset: Dataset, number: str, *, by: str, note: str, dry_run: bool = False
) -> Decided:
    """Take the last decision about a delivery back: it is then in the state that it had before.

    Raises as `release`.
    """
    with reading(f"silver.{dataset.name}"):
        one, silver = _known(work, dataset, number, by, note)
        undoable = one.state in {"discarded", "released", "superseded"}
        if not undoable and _was_this_run(work, one):
            return _already(work, one, silver)
        if not undoable or one.before in {None, "pending"}:
            raise _refused(one, "undone", "discarded, released or superseded")
        assert one.before is not None
        done = replace_state(one, one.before, work, by=by, note=note)
        if done.state in {"discarded", "superseded"}:
            raise _refused(one, "undone", "held or accepted before that")
        if one.is_in_silver == done.is_in_silver:
            return _listed(work, dataset, silver, done, dry_run=dry_run)
        return _made_again(work, dataset, silver, done, dry_run=dry_run)


def decide(
    work: Refinement,
    dataset: Dataset,
    number: str,
    action: Action,
    *,
    by: str,
    note: str,
    despite_contract: bool = False,
    as_baseline: bool = False,
    dry_run: bool = False,
) -> Decided:
    """Release, discard or undo, by the name of the action."""
    if action == "release":
        return release(
            work,
            dataset,
            number,
            by=by,
            note=note,
            despite_contract=despite_contract,
            as_baseline=as_baseline,
            dry_run=dry_run,
        )
    acts = {"discard": discard, "undo": undo}
    if action not in acts:
        raise SettingsError(f"There is no action {action!r}.", do="use one of release, discard, undo.")
    return acts[action](work, dataset, number, by=by, note=note, dry_run=dry_run)


def _known(work: Refinement, dataset: Dataset, number: str, by: str, note: str) -> tuple[Delivery, Table]:
    check_signed(by, note, f"silver.{dataset.name}")
    one = find(work.lake, number, dataset.name)
    return one, work.lake.must_open("silver", dataset.name)


def _refused(one: Delivery, what: str, wanted: str) -> SettingsError:
    return SettingsError(
        f"Delivery {one.id} is {one.state} and cannot be {what}: that is for one that is {wanted}.",
        where=f"silver.{one.dataset}",
        do=f"look at it: headworks delivery show {one.id}.",
    )


def _was_this_run(work: Refinement, one: Delivery) -> bool:
    """Return whether an earlier try of the same run has decided it: its answer was lost."""
    return one.run_id == work.run_id and bool(one.by)


def _already(work: Refinement, one: Delivery, silver: Table) -> Decided:
    return Decided(delivery=one, report=_report(work, one, silver), already=True)


def _report(work: Refinement, one: Delivery, silver: Table) -> RefineReport:
    return RefineReport(dataset=one.dataset, table=silver_reference(work.lake, silver))


def _with(entries: Sequence[Delivery], one: Delivery) -> list[Delivery]:
    """Return the list of deliveries that silver does not have, with one in its new state."""
    others = [each for each in entries if each.id != one.id]
    return others if one.is_in_silver else [*others, one]


def _listed(work: Refinement, dataset: Dataset, silver: Table, done: Delivery, *, dry_run: bool) -> Decided:
    """Note another state of a delivery whose rows are not in silver and stay out."""
    if not dry_run:
        keep_list(work, dataset, silver, _with(holds(work.lake, silver), done))
        record(work.lake, [done])
        if done.state != "held":
            let_go(work, dataset, done)
    return Decided(delivery=done, report=_report(work, done, silver))


def _made_again(
    work: Refinement, dataset: Dataset, silver: Table, done: Delivery, *, dry_run: bool
) -> Decided:
    """Make the keys that a delivery touched again, with its rows or without them, and list it so in one commit."""
    bronze = work.lake.must_open("bronze", dataset.name)
    check_whole(bronze, silver, dataset.name)
    silver = following(work, dataset, silver, dry_run=dry_run)
    entries = _with(holds(work.lake, silver), done)
    if dataset.nested is not None:
        return _all_again(work, dataset, bronze, silver, done, entries, dry_run=dry_run)
    before = rows_of(silver, dataset).select(list(dataset.silver_schema()))
    seen = Without(bronze, (span for one in entries for span in one.spans))
    keys = _touched(dataset, bronze, before, done)
    empty = FromNothing(silver, silver.schema, lambda: None)
    near = _Of(seen, _origins(work, dataset, seen, empty, keys))
    rows, judged = versions_again(work, dataset, near, empty, _full_read(work, dataset, bronze, entries))
    rows = rows.join(keys, on=list(dataset.key), how="semi").select(list(dataset.silver_schema()))
    there = before.join(keys.lazy(), on=list(dataset.key), how="semi").collect()
    key = list(dataset.row_key)
    fresh = rows.join(there, on=key, how="anti", nulls_equal=True)
    changed = _changed(rows, there, key)
    removed = there.join(rows, on=key, how="anti", nulls_equal=True).select(key)
    decided = Decided(
        delivery=done,
        report=_report(work, done, silver),
        inserted=fresh.height,
        updated=changed.height,
        removed=removed.height,
    )
    if dry_run:
        return decided
    attempt = next_try(silver, work.token())
    attempt = put_rejected(work.lake, dataset.name, attempt, _new_rejects(work, dataset, silver, judged))
    named = put_holds(work.lake, silver, entries, attempt.token, dataset.name)
    logged = done.model_copy(update={"writer": attempt.writer})
    if done.is_in_silver:
        # Before the commit: after it silver lists the delivery no longer, and only the log says who brought it back.
        record(work.lake, [logged])
    changes = pl.concat([fresh, changed])
    growth = fresh.height - removed.height
    commit_changes(work, dataset, silver, changes, attempt, growth, removed, named)
    if not done.is_in_silver:
        record(work.lake, [logged])
    _note_released(work, dataset, silver, judged, by=done.by)
    report = decided.report.model_copy(
        update={"table": silver_reference(work.lake, silver), "committed": True}
    )
    return decided.model_copy(update={"report": report})


def _all_again(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    done: Delivery,
    entries: Sequence[Delivery],
    *,
    dry_run: bool,
) -> Decided:
    """Make all of silver again: which elements of an array count depends on all arrays of their parent."""
    before = rows_of(silver, dataset).select(*dataset.row_key, DELETED).collect()
    empty = FromNothing(silver, dataset.silver_schema(), lambda: None)
    word = Overruled(done.by, done.note, despite_contract=True)
    outcome = refine_from_nothing(work, dataset, bronze, empty, dry_run=dry_run, out=entries, word=word)
    if not dry_run and not outcome.report.committed:
        return Decided(delivery=done, report=outcome.report, gate=outcome.gate)
    if dry_run:
        return Decided(delivery=done, report=outcome.report, gate=outcome.gate)
    record(work.lake, [done])
    now = work.lake.must_open("silver", dataset.name)
    after = rows_of(now, dataset).select(*dataset.row_key, DELETED).collect()
    key = list(dataset.row_key)
    return Decided(
        delivery=done,
        report=outcome.report,
        gate=outcome.gate,
        inserted=after.join(before, on=key, how="anti", nulls_equal=True).height,
        removed=before.join(after, on=key, how="anti", nulls_equal=True).height,
    )


def _touched(dataset: Dataset, bronze: Table, there: pl.LazyFrame, one: Delivery) -> pl.DataFrame:
    """Return the keys whose rows in silver may have come from a delivery, or would come from it."""
    key = list(dataset.key)
    types = {name: dtype for name, dtype in there.collect_schema().items() if name in dataset.key}
    rows = elements(read_range(bronze, arrival_of(one).todo))
    read = parse(readable(rows.lazy()).collect(), dataset).select(key).drop_nulls()
    streams = [span.stream for span in one.spans] if one.generation else []
    ended = there.filter(pl.col("_stream").is_in(streams) | (pl.col(VOID).is_not_null() & bool(streams)))
    found = pl.concat([read.cast(types), ended.select(key).collect()])  # type: ignore[arg-type]
    return found.unique()


class _Of(Table):
    """A bronze table as if it had nothing but the rows with some origins."""

    def __init__(self, bronze: Table, origins: pl.DataFrame) -> None:
        super().__init__(bronze._delta, bronze.name)
        self._rows, self._origins = bronze, origins

    def scan(self) -> pl.LazyFrame:
        """Return the rows with these origins."""
        return self._rows.scan().join(self._origins.lazy(), on=list(ORIGIN), how="semi")


def _origins(
    work: Refinement, dataset: Dataset, bronze: Table, empty: Table, keys: pl.DataFrame
) -> pl.DataFrame:
    """Return where in bronze all versions of some keys are, and the records whose key is not known."""
    todo = pending(dataset.name, bronze, empty)
    todo = Pending(
        tuple(type(one)(one.stream, one.after, one.upto) for one in todo.ranges), 0, todo.remembered
    )
    found = [pl.DataFrame(schema={"_stream": pl.String, "_sequence": pl.Int64, "_row": pl.Int64})]
    for part in split(bronze, todo, work.part_rows):
        rows = of_ranges(bronze, part).collect()
        read = parse(readable(rows.lazy()).collect(), dataset)
        known = read.select(*ORIGIN, *dataset.key).drop_nulls()
        others = known.with_columns(pl.col(name).cast(keys.schema[name]) for name in dataset.key).join(
            keys, on=list(dataset.key), how="anti"
        )
        found.append(rows.select(ORIGIN).join(others, on=list(ORIGIN), how="anti"))
    return pl.concat(found)


def _full_read(
    work: Refinement, dataset: Dataset, bronze: Table, entries: Sequence[Delivery]
) -> Generation | None:
    """Return the newest complete full read whose delivery silver has; None where there is none."""
    out = [one.generation for one in entries if one.generation]
    newest = newest_complete(work.lake, bronze, dataset.name)
    if newest is None or newest.number not in out:
        return newest
    return complete_before(work.lake, bronze, dataset.name, out)


def _changed(rows: pl.DataFrame, there: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the rows whose key is there with anything else in it."""
    known = rows.join(there, on=key, how="semi", nulls_equal=True)
    return known.join(there, on=known.columns, how="anti", nulls_equal=True)


def _new_rejects(work: Refinement, dataset: Dataset, silver: Table, judged: Judged) -> pl.DataFrame:
    """Return the rejected rows of the keys that the quarantine does not have yet."""
    rejected = quarantined(work, dataset, judged)
    kept = rejected_rows(work.lake, dataset.name, silver, ever=True)
    if kept is None:
        return rejected
    return rejected.join(kept.select(ORIGIN).collect(), on=list(ORIGIN), how="anti")


def _note_released(work: Refinement, dataset: Dataset, silver: Table, judged: Judged, *, by: str) -> None:
    """Note rows of the quarantine that passed, judged once more by the rules as they are now."""
    kept = rejected_rows(work.lake, dataset.name, silver)
    if kept is None:
        return
    rejected = judged.rejected.select(ORIGIN)
    mine = unresolved(work.lake, dataset.name, kept).collect()
    looked_at = mine.join(judged.rows.select(ORIGIN), on=list(ORIGIN), how="semi")
    passed = looked_at.join(rejected, on=list(ORIGIN), how="anti")
    if not passed.is_empty():
        resolver = Resolver(work.run_id, by=by, note="judged again with its key", moment=work.clock())
        note_passed(work.lake, dataset.name, passed, resolver)
