"""Replaying the quarantine: kept rows are judged again, and those that pass now become silver, exactly once.

A row is judged again from bronze, by its origin, under the rules as they are now. What passes goes the way of every
silver commit: a try, a gate, the merge, all from the compared snapshot. So a replay that is killed or repeated,
or that runs alongside another one, makes the same silver as a first run under the new rules would have made. Nothing is
taken out of the quarantine: that a row was released is noted in ``ops.resolutions``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from headworks.bronze.resolutions import Resolver, note_passed, resolve
from headworks.errors import SettingsError
from headworks.quality.contracts import run_contract
from headworks.quality.gate import decide
from headworks.quality.rules import REASONS
from headworks.reports import CheckReport, GateReport, ReplayReport, Report, TableRef
from headworks.silver.compare import Comparison
from headworks.silver.concluding import table_checks
from headworks.silver.dataset import DELETED, ORIGIN, Dataset
from headworks.silver.following import following
from headworks.silver.judged import judge_rows, latest_cursor
from headworks.silver.merging import commit_merge, live_rows, without_ended
from headworks.silver.parse import UNREADABLE, readable
from headworks.silver.quarantine import SCHEMA, next_try, put_rejected
from headworks.silver.refused import refused_versions
from headworks.silver.rejects import Selection, as_records, open_rejects, rows_of_records
from headworks.silver.replaced import note_replaced
from headworks.silver.table import Pending, rows_of_origin
from headworks.silver.versions import compare_with, in_silver_types, latest_versions
from headworks.silver.work import Refinement, silver_reference
from headworks.storage.delta import Table
from headworks.storage.rehearsal import keep_changes
from headworks.storage.translating import collected, reading

_NOTHING = Pending((), 0)


class ReplayOutcome(Report):
    """What a replay did, and what the gate said; with a closed gate silver is as it was."""

    report: ReplayReport
    gate: GateReport | None = None


@dataclass(frozen=True)
class _Again:
    """Kept rows, judged again, and of how many records they are."""

    records: int
    kept: pl.DataFrame
    passed: pl.DataFrame
    rejected: pl.DataFrame


def check_signed(by: str, note: str, where: str) -> None:
    """Raise `SettingsError` unless a decision about rejected rows has a name and a reason."""
    if not by.strip() or len(note.strip()) < 3:
        raise SettingsError(
            "Rows are released and discarded by somebody and for a reason.",
            where=where,
            do="give --by and --note, or the parameters by and note.",
        )


def replay(
    work: Refinement,
    dataset: Dataset,
    selection: Selection | None = None,
    *,
    by: str = "",
    note: str = "",
    dry_run: bool = False,
) -> ReplayOutcome:
    """Judge the selected rejected rows again, and merge those that pass; rows that do not stay as they are.

    Raises `CandidateStale` where another run committed in between: the replay can then be repeated as it is.
    """
    with reading(f"silver.{dataset.name}"):
        return _replay(work, dataset, selection, by, note, dry_run=dry_run)


def _replay(
    work: Refinement, dataset: Dataset, selection: Selection | None, by: str, note: str, *, dry_run: bool
) -> ReplayOutcome:
    there = work.lake.open("silver", dataset.name)
    if there is None:
        # Nothing was refined yet, so nothing was rejected.
        nowhere = TableRef(table=f"silver.{dataset.name}", version=0)
        return ReplayOutcome(report=ReplayReport(dataset=dataset.name, table=nowhere))
    silver, bronze = there, work.lake.must_open("bronze", dataset.name)
    silver = following(work, dataset, silver, dry_run=dry_run)
    again = _judge_again(work, dataset, bronze, silver, selection or Selection())
    candidates = latest_versions(again.passed, dataset)
    comparison = compare_with(silver, candidates, dataset)
    report = ReplayReport(
        dataset=dataset.name,
        table=silver_reference(work.lake, silver),
        records=again.records,
        judged=again.kept.height,
        inserted=comparison.inserts.height,
        updated=comparison.updates.height,
        superseded=comparison.superseded + again.passed.height - candidates.height,
        unchanged=comparison.unchanged,
        still_rejected=again.rejected.height,
        reasons=_counted(again.rejected),
    )
    if not again.passed.height:
        return ReplayOutcome(report=report)
    kept = without_ended(work, dataset, bronze, silver, candidates, again.passed, comparison)
    if dataset.nested is not None and dataset.keeps != "history":
        report = _without(report, comparison, kept, dataset)
    comparison = kept
    gate = _gate(dataset, report, candidates, table_checks(work, dataset, silver, comparison))
    if dry_run or not gate.open:
        if gate.open:
            # So that a dry run of the next dataset finds the parents that this one would release.
            keep_changes(work.lake, dataset.name, dataset.row_key, comparison.changes)
        return ReplayOutcome(report=report, gate=gate)
    if not comparison.is_empty:
        # As every silver commit is made, but that no range of bronze is consumed and nothing is rejected.
        attempt = next_try(silver, work.token())
        attempt = put_rejected(work.lake, dataset.name, attempt, pl.DataFrame(schema=SCHEMA))
        commit_merge(work, dataset, silver, comparison, _NOTHING, attempt)
        report = report.model_copy(update={"table": silver_reference(work.lake, silver), "committed": True})
    passed = again.kept.join(again.passed.select(ORIGIN), on=list(ORIGIN), how="semi")
    note_passed(work.lake, dataset.name, passed, Resolver(work.run_id, by, note, work.clock()))
    note_replaced(work, dataset, bronze)
    return ReplayOutcome(report=report, gate=gate)


def discard(
    work: Refinement, dataset: str, selection: Selection, *, by: str, note: str, dry_run: bool = False
) -> int:
    """Note that the selected rejected records shall not be judged again; return how many there are.

    The rows stay in the quarantine, with who discarded them and why. Raises `SettingsError` without a name or a reason.
    """
    check_signed(by, note, dataset)
    there = open_rejects(work.lake, dataset, work.lake.open("silver", dataset))
    chosen = collected(as_records(there, selection), f"quarantine.{dataset}")
    if dry_run or chosen.is_empty():
        return chosen.height
    rows = collected(rows_of_records(there, chosen), f"quarantine.{dataset}")
    resolve(work.lake, dataset, rows, "discarded", Resolver(work.run_id, by, note, work.clock()))
    return chosen.height


def _judge_again(
    work: Refinement, dataset: Dataset, bronze: Table, silver: Table, selection: Selection
) -> _Again:
    there = open_rejects(work.lake, dataset.name, silver)
    chosen = as_records(there, selection).collect()
    # Each row of a record: which of them is the newest version of its key follows from bronze.
    kept = rows_of_records(there, chosen).collect().unique(list(ORIGIN))
    rows = rows_of_origin(bronze, kept).collect()
    verdict, linked = judge_rows(work, dataset, readable(rows.lazy()).collect())
    at_source = refused_versions(rows, dataset, latest_cursor(work, dataset)).select(*ORIGIN, REASONS)
    rejected = pl.concat([pl.concat([verdict.rejected, linked.rejected]).select(*ORIGIN, REASONS), at_source])
    return _Again(chosen.height, kept, in_silver_types(linked.good.drop(UNREADABLE), silver), rejected)


def _gate(
    dataset: Dataset, report: ReplayReport, candidates: pl.DataFrame, of_table: list[CheckReport]
) -> GateReport:
    scope = f"silver.{dataset.name}"
    went = report.released + report.superseded + report.unchanged + report.still_rejected
    checks = [
        CheckReport(
            scope=scope,
            name="every row accounted for",
            kind="account",
            outcome="passed" if went == report.judged else "failed",
            detail=f"{report.judged} judged again, {went} went",
        )
    ]
    checks += of_table
    if dataset.contract is not None:
        checks += run_contract(dataset.contract, live_rows(candidates), scope)
    return decide(scope, checks, contract_required=dataset.contract is not None or bool(of_table))


def _without(report: ReplayReport, found: Comparison, kept: Comparison, dataset: Dataset) -> ReplayReport:
    """Count rows that were ended before they were released as superseded."""
    dead = kept.changes.filter(DELETED).select(dataset.key)

    def ended(rows: pl.DataFrame) -> int:
        return rows.filter(~pl.col(DELETED)).join(dead, on=list(dataset.key), how="semi").height

    inserted, updated = ended(found.inserts), ended(found.updates)
    counts = {
        "inserted": report.inserted - inserted,
        "updated": report.updated - updated,
        "superseded": report.superseded + inserted + updated,
    }
    return report.model_copy(update=counts)


def _counted(rejected: pl.DataFrame) -> dict[str, int]:
    return dict(sorted(Counter(reason for row in rejected.get_column(REASONS) for reason in row).items()))
