"""The rejected records that somebody has to decide about: each is one, however often it came.

A source that is read whole gives the same bad record with every run, and each time it becomes a row of the quarantine:
where it came from decides which version of its key it is. For people these rows are one record, the same key with the
same content, which was seen first and last at some time. What was discarded once stays discarded when it comes again.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl
from pydantic import Field

from headworks.bronze.resolutions import Resolver, resolutions, resolve, unresolved
from headworks.errors import SettingsError
from headworks.reports import Report
from headworks.silver.dataset import ORIGIN, Dataset
from headworks.silver.quarantine import SCHEMA, pending_rows, rejected_rows
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

FIRST_SEEN, LAST_SEEN, TIMES = "first_seen", "last_seen", "times"
"""Columns of a record: when it was rejected first and last, and how many rows of the quarantine it has."""

_ALONE = "_alone"
_SAME = ("key", "record", _ALONE)
"""What makes rows one record; a row whose content is not known is a record of its own."""


class Selection(Report):
    """Which rejected rows are meant: those that satisfy all that is given; with nothing given, all of a dataset."""

    reasons: tuple[str, ...] = Field(
        default=(), description="Rows rejected for at least one of these reasons."
    )
    # Not `keys`: Prefect takes whatever has an attribute of that name for a mapping.
    row_keys: tuple[str, ...] = Field(
        default=(), description="Rows with these keys, as the quarantine shows them."
    )
    runs: tuple[str, ...] = Field(default=(), description="Rows rejected by these runs.")
    since: datetime | None = Field(default=None, description="Rows rejected at or after this moment.")
    before: datetime | None = Field(default=None, description="Rows rejected before this moment.")

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the selected ones of rejected rows."""
        if self.reasons:
            rows = rows.filter(pl.col("reasons").list.eval(pl.element().is_in(list(self.reasons))).list.any())
        if self.row_keys:
            rows = rows.filter(pl.col("key").is_in(list(self.row_keys)))
        if self.runs:
            rows = rows.filter(pl.col("run_id").is_in(list(self.runs)))
        if self.since is not None:
            rows = rows.filter(pl.col("rejected_at") >= self.since)
        return rows if self.before is None else rows.filter(pl.col("rejected_at") < self.before)


def open_rejects(lake: Lake, dataset: str, silver: Table | None) -> pl.LazyFrame:
    """Return the rejected rows that count and that nothing was decided about."""
    rows = rejected_rows(lake, dataset, silver)
    if rows is None:
        return pl.LazyFrame(schema=SCHEMA)
    open_ones = unresolved(lake, dataset, rows)
    if not _has_discarded(lake, dataset):
        return open_ones
    return open_ones.join(
        _discarded(lake, dataset, silver), on=["key", "record"], how="anti", nulls_equal=True
    )


def closed_rejects(lake: Lake, dataset: str, silver: Table | None) -> pl.LazyFrame:
    """Return the rejected rows of a try that silver did not commit: after a closed gate, what closed it.

    They do not count and nothing can be decided about them: the next run judges their range again.
    """
    rows = pending_rows(lake, dataset, silver)
    return pl.LazyFrame(schema=SCHEMA) if rows is None else rows


def as_records(rows: pl.LazyFrame, selection: Selection | None = None) -> pl.LazyFrame:
    """Return one row for each record: the one that came last, with when it came first and last, and how often.

    Of a selection are the records that have a row in it; the other rows of theirs are counted, too.
    """
    alone = pl.when(pl.col("record").is_null()).then(pl.concat_str(ORIGIN, separator=" "))
    named = rows.with_columns(alone.alias(_ALONE))
    counted = named.group_by(_SAME).agg(
        pl.col("rejected_at").min().alias(FIRST_SEEN),
        pl.col("rejected_at").max().alias(LAST_SEEN),
        pl.len().alias(TIMES),
    )
    chosen = named if selection is None else selection.of(named)
    last = chosen.sort("rejected_at", *ORIGIN, maintain_order=True).unique(
        _SAME, keep="last", maintain_order=True
    )
    found = last.join(counted, on=list(_SAME), how="left", nulls_equal=True, maintain_order="left")
    return found.drop(_ALONE)


def rows_of_records(rows: pl.LazyFrame, chosen: pl.DataFrame) -> pl.LazyFrame:
    """Return all rows of the records that have a row among the chosen ones."""
    same = chosen.lazy().filter(pl.col("record").is_not_null()).select("key", "record").unique()
    alone = chosen.lazy().filter(pl.col("record").is_null()).select(ORIGIN)
    whole = rows.join(same, on=["key", "record"], how="semi", nulls_equal=True)
    return pl.concat([whole, rows.join(alone, on=list(ORIGIN), how="semi")])


def rejects_by_reason(rows: pl.LazyFrame) -> list[tuple[str, int, datetime]]:
    """Return each reason with its number of records and when the oldest was rejected first, the commonest first."""
    counted = collected(
        as_records(rows)
        .select("reasons", FIRST_SEEN)
        .explode("reasons")
        .group_by("reasons")
        .agg(pl.len(), pl.col(FIRST_SEEN).min())
        .sort(["len", "reasons"], descending=[True, False]),
        "quarantine",
    )
    return [(reason, count, oldest) for reason, count, oldest in counted.iter_rows()]


def count_known(lake: Lake, dataset: str, silver: Table | None, rejected: pl.LazyFrame) -> int:
    """Count those of newly rejected rows whose very record was rejected before."""
    before = rejected_rows(lake, dataset, silver)
    if before is None:
        return 0
    known = rejected.filter(pl.col("record").is_not_null()).join(
        before.select("key", "record").unique(), on=["key", "record"], how="semi", nulls_equal=True
    )
    return int(collected(known.select(pl.len()), f"quarantine.{dataset}").item())


def note_discarded_again(work: Refinement, dataset: Dataset) -> None:
    """Note rows of records that somebody has discarded before as discarded, by the same person and for that reason."""
    lake, name = work.lake, dataset.name
    silver = lake.open("silver", name)
    rows = rejected_rows(lake, name, silver)
    if rows is None or not _has_discarded(lake, name):
        return
    by = _discarded(lake, name, silver).unique(["key", "record"], maintain_order=True)
    again = unresolved(lake, name, rows).join(by, on=["key", "record"], how="inner", nulls_equal=True)
    for (who, note), part in collected(again, f"quarantine.{name}").group_by("by", "note"):
        resolve(lake, name, part, "discarded", Resolver(work.run_id, str(who), str(note), work.clock()))


def check_reasons(lake: Lake, name: str, dataset: Dataset | None, reasons: tuple[str, ...]) -> None:
    """Raise `SettingsError` for a reason that a dataset does not declare and that no row of it was rejected for."""
    if not reasons:
        return
    table = lake.open("quarantine", name)
    rows = pl.LazyFrame(schema=SCHEMA) if table is None else table.scan()
    given = collected(rows.select(pl.col("reasons").explode().drop_nulls().unique()), f"quarantine.{name}")
    known = {*given.to_series(), *(dataset.reasons if dataset is not None else ())}
    if unknown := [reason for reason in reasons if reason not in known]:
        raise SettingsError(
            f"No row is rejected for {', '.join(map(repr, unknown))}: there is no such reason.",
            where=f"quarantine.{name}",
            do=f"use one of {', '.join(sorted(known))}." if known else "nothing was rejected so far.",
        )


def _has_discarded(lake: Lake, dataset: str) -> bool:
    """Return whether anybody has discarded a record: mostly nobody has, and the quarantine need not be read for it."""
    decided = resolutions(lake, dataset).filter(pl.col("resolution") == "discarded").select("_row").head(1)
    return not collected(decided, "ops.resolutions").is_empty()


def _discarded(lake: Lake, dataset: str, silver: Table | None) -> pl.LazyFrame:
    """Return key and content of each record that somebody has discarded, with who did so and why."""
    ever = rejected_rows(lake, dataset, silver, ever=True)
    decided = resolutions(lake, dataset).filter(pl.col("resolution") == "discarded")
    if ever is None:
        return pl.LazyFrame(
            schema={"key": pl.String, "record": pl.String, "by": pl.String, "note": pl.String}
        )
    named = ever.filter(pl.col("record").is_not_null()).join(
        decided.select(*ORIGIN, "by", "note"), on=list(ORIGIN), how="inner"
    )
    return named.select("key", "record", "by", "note")
