"""Silver made again from bronze: every row that bronze has is judged by the declaration as it is now, in one commit.

A column that is declared later, or read by another expression, is empty in the rows that silver has: they were judged
before it was there. A rebuild refines all of bronze as a first run would, with the same steps and the same gate,
against a silver that has nothing (`FromNothing`). Its commit replaces all rows of the table from exactly the version
that was opened, and says since which try rejected rows count (``REBUILT``), so silver and quarantine change in one
moment. A run that is killed before it has changed nothing; after it another rebuild comes to the same rows.

Rows that a person has discarded stay rejected. What is noted of rows that were released is forgotten, since they are in
silver then, or are rejected again and wait for a decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from headworks.bronze.consumed import check_bronze
from headworks.bronze.generations import ended_id
from headworks.bronze.landing import landed_rows
from headworks.bronze.resolutions import forget_passed
from headworks.errors import SettingsError
from headworks.names import AGED
from headworks.quality.limits import AnomalyLimits
from headworks.reports import GateReport, RefineReport, Report
from headworks.silver.dataset import DELETED, Dataset
from headworks.silver.emptied import FromNothing
from headworks.silver.refinement import refine_from_nothing
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import reading


class RebuildOutcome(Report):
    """What a rebuild came to: the account of all of bronze, and how many keys silver had before and has now.

    ``lost`` counts keys that silver had and that are not in it now, since their rows are rejected by now or deleted.
    """

    report: RefineReport
    gate: GateReport | None = None
    before: int = 0
    after: int = 0
    lost: int = 0


@dataclass(frozen=True)
class _Keys:
    """The keys that are alive in a version of silver."""

    lake: Lake
    dataset: Dataset

    def of(self, version: int) -> pl.LazyFrame:
        silver = self.lake.must_open("silver", self.dataset.name, version)
        named = set(self.dataset.key) <= set(silver.columns)
        rows = silver.scan().filter(~pl.col(DELETED))
        return rows.select(self.dataset.key if named else pl.lit(None).alias("none")).unique()


def rebuild(work: Refinement, dataset: Dataset, *, dry_run: bool = False) -> RebuildOutcome:
    """Make a dataset's silver again from all that bronze has; with a closed gate silver stays as it is.

    Raises `SettingsError` where bronze does not have all rows any more, `LakeUnusable` where it is older than silver,
    and `CandidateStale` where another run committed in between: it can then be repeated.
    """
    with reading(f"silver.{dataset.name}"):
        lake = work.lake
        bronze, silver = lake.must_open("bronze", dataset.name), lake.must_open("silver", dataset.name)
        check_bronze(dataset.name, bronze, silver)
        check_whole(bronze, silver, dataset.name)
        before = silver.version
        empty = FromNothing(silver, dataset.silver_schema(), lambda: forget_passed(lake, dataset.name))
        # Days are compared with days: the whole of a table is like none of them.
        quiet = replace(
            dataset, anomalies=AnomalyLimits(enabled=False, future_hours=dataset.anomalies.future_hours)
        )
        outcome = refine_from_nothing(work, quiet, bronze, empty, dry_run=dry_run)
        keys = _Keys(lake, dataset)
        had = keys.of(before)
        if not outcome.report.committed:
            count = _count(had)
            return RebuildOutcome(report=outcome.report, gate=outcome.gate, before=count, after=count)
        has = keys.of(empty.version)
        same = had.collect_schema() == has.collect_schema()
        lost = _count(had.join(has, on=list(dataset.key), how="anti", nulls_equal=True)) if same else 0
        return RebuildOutcome(
            report=outcome.report, gate=outcome.gate, before=_count(had), after=_count(has), lost=lost
        )


def check_whole(bronze: Table, silver: Table, dataset: str) -> None:
    """Raise `SettingsError` where bronze lacks rows that were landed, or has a full read that silver has not taken."""
    if bronze.transaction(ended_id(dataset)) > silver.transaction(ended_id(dataset)):
        raise SettingsError(
            "A full read ended that silver has not taken yet, and what it may delete has to pass the gate first.",
            where=bronze.name,
            do="run the dataset's flow, and then make silver again.",
        )
    there = dict(bronze.scan().group_by("_stream").len().collect().iter_rows())
    gone = {
        stream: landed - there.get(stream, 0)
        for stream in bronze.streams()
        if (landed := landed_rows(bronze, stream)) > there.get(stream, 0)
    }
    if not gone:
        return
    why = "retention took them (keep_days)" if bronze.transaction(AGED) else "something took them away"
    listing = ", ".join(f"{count} of stream {stream}" for stream, count in sorted(gone.items()))
    raise SettingsError(
        f"Bronze has not all rows any more that silver was made of: {listing} are gone, since {why}. Made again, "
        "silver would lose them.",
        where=bronze.name,
        do="nothing was changed. Read the source in full: its rows then get the new columns, and silver keeps the "
        "others as they are.",
    )


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
